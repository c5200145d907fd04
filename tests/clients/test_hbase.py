"""Threads that ask HBase at once, as the days of a backfill do."""

from concurrent.futures import ThreadPoolExecutor

from clients import hbase
from contracts.hbase import LATE_AMOUNT, REVENUE_LATE, USER_PROFILES
from contracts.settings import Settings

THREADS, TIMES = 8, 40


def test_each_thread_gets_the_answers_to_its_own_questions(stack: Settings) -> None:
    prefixes = [f"thread-{number}/".encode() for number in range(THREADS)]
    with hbase.connection(stack) as made:
        for number, prefix in enumerate(prefixes):
            made.table(REVENUE_LATE.name).put(prefix + b"row", {LATE_AMOUNT.column: str(number).encode()})

    def ask(number: int) -> set[tuple[int, bytes]]:
        found = set()
        for _ in range(TIMES):
            rows = hbase.scan(stack, REVENUE_LATE, row_prefix=prefixes[number])
            found |= {(len(rows), cells[LATE_AMOUNT.column]) for _, cells in rows}
            assert hbase.scan(stack, USER_PROFILES, row_prefix=prefixes[number]) == []
        return found

    try:
        with ThreadPoolExecutor(THREADS) as pool:
            answers = list(pool.map(ask, range(THREADS)))
    finally:
        with hbase.connection(stack) as made:
            for prefix in prefixes:
                made.table(REVENUE_LATE.name).delete(prefix + b"row")
    assert answers == [{(1, str(number).encode())} for number in range(THREADS)]

"""The views of stock, users and alerts at the command line, from rows as the speed layer writes them to HBase."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
import pytest

from clients import hbase
from contracts.errors import BrokenPromise
from contracts.events import Alert
from contracts.hbase import (
    REVENUE_BY_MINUTE,
    REVENUE_LATE,
    SALES_BY_MINUTE,
    SPEED_PROGRESS,
    STOCK,
    STOCK_ALERTS,
    TRAFFIC_BY_MINUTE,
    USER_PROFILES,
    HBaseTable,
    Spending,
    Stock,
    Visit,
)
from contracts.settings import Settings
from serving import speed
from tests.support.running import Job, run

MORNING = datetime(2026, 11, 21, 9, tzinfo=UTC)
EVENING = datetime(2026, 11, 21, 18, tzinfo=UTC)
SPAN: dict[str, Any] = {"start": datetime(1900, 1, 1, tzinfo=UTC), "end": MORNING}
ALERTS = [
    Alert(f"id-{level}", f"2026-11-21T09:0{level}:00.000Z", "P-served", "north", level, 10) for level in (1, 2, 3)
]
ROWS: list[tuple[HBaseTable, str, dict[str, Any]]] = [
    (STOCK, "P-served/north", {"v:0": Stock(9, 10, MORNING), "v:1": Stock(49, 10, EVENING)}),
    (STOCK, "P-served/south", {"v:0": Stock(10, 10, MORNING)}),
    (STOCK, "P-served-not/south", {"v:0": Stock(1, 10, MORNING)}),
    (
        USER_PROFILES,
        "u-served",
        {
            "c:0": Visit("product", "toys", "mobile", "DE", MORNING),
            "p:0": Spending(Decimal("20.25"), MORNING, 2),
            "p:1": Spending(Decimal("0.05"), EVENING, 1),
        },
    ),
    # Keys that sort before those of any alert of our time.
    *(
        (STOCK_ALERTS, f"{9 - alert.stock_level:013d}/P-served/{alert.event_id}", {"a:alert": alert})
        for alert in ALERTS
    ),
]


@pytest.fixture(scope="module")
def served(stack: Settings) -> Iterator[Job]:
    """Runs a view on the rows above, which are gone afterwards."""
    with closing(hbase.connect(stack)) as connection:
        for table, key, cells in ROWS:
            row = {column.encode(): msgspec.json.encode(value) for column, value in cells.items()}
            connection.table(table.name).put(key.encode(), row)

        yield partial(run, "serving", variables={"PATH": "", **stack.as_environment()}, timeout=60)
        for table, key, _ in ROWS:
            connection.table(table.name).delete(key.encode())


def test_stock(served: Job) -> None:
    assert json.loads(served("stock", "P-served", "--json").stdout) == {
        "product_id": "P-served",
        "warehouses": {
            "north": {"level": 49, "threshold": 10, "time": "2026-11-21T18:00:00Z"},
            "south": {"level": 10, "threshold": 10, "time": "2026-11-21T09:00:00Z"},
        },
    }
    assert "south" in served("stock", "P-served").stdout


def test_profile(served: Job) -> None:
    assert json.loads(served("profile", "u-served", "--json").stdout) == {
        "user_id": "u-served",
        "visit": {
            "page": "product",
            "category": "toys",
            "device": "mobile",
            "country": "DE",
            "time": "2026-11-21T09:00:00Z",
        },
        "purchases": 3,
        "amount": "20.30",
        "last_purchase": "2026-11-21T18:00:00Z",
    }


def test_newest_alerts_come_first(served: Job) -> None:
    found = json.loads(served("alerts", "--newest", "2", "--json").stdout)
    assert [alert["event_id"] for alert in found] == ["id-3", "id-2"]


@pytest.mark.parametrize(("view", "sentence"), [("stock", "no stock of product"), ("profile", "was never seen")])
def test_what_is_not_known_is_one_sentence(served: Job, view: str, sentence: str) -> None:
    result = served(view, "nobody")
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert sentence in result.stderr


@pytest.mark.parametrize(
    ("table", "key", "column", "cell", "ask"),
    [
        (STOCK_ALERTS, b"0000000000000/P-odd/1", b"a:alert", b"{}", partial(speed.alerts, newest=1)),
        (STOCK_ALERTS, b"\xff\xfe", b"a:alert", msgspec.json.encode(ALERTS[0]), speed.alerts),
        (STOCK, b"P-odd/north", b"v:0", b'{"level": "many"}', partial(speed.stock, product="P-odd")),
        (STOCK, b"P-odd/north", b"v:0", b"\xff", speed.stocks),
        (USER_PROFILES, b"u-odd", b"p:0", b"[]", partial(speed.profile, user="u-odd")),
        (REVENUE_BY_MINUTE, b"190001010000", b"v:0", b'{"amount": "much"}', partial(speed.revenue, **SPAN)),
        (REVENUE_BY_MINUTE, b"1900010100zz", b"v:0", b"{}", partial(speed.revenue, **SPAN)),
        (TRAFFIC_BY_MINUTE, b"190001010000", b"v:0", b'{"pages": {"home": "x"}}', partial(speed.traffic, **SPAN)),
        (SALES_BY_MINUTE, b"190001010000", b"v:0", b'{"toys": {}}', partial(speed.sales, **SPAN)),
        (REVENUE_LATE, b"190001010000/odd", b"l:amount", b"much", partial(speed.late_revenue, **SPAN)),
        (SPEED_PROGRESS, b"odd", b"v:zero", b"{}", speed.progress),
    ],
)
def test_a_row_that_the_platform_did_not_write_is_named(
    stack: Settings, table: HBaseTable, key: bytes, column: bytes, cell: bytes, ask: Callable[[Settings], Any]
) -> None:
    with closing(hbase.connect(stack)) as connection:
        connection.table(table.name).put(key, {column: cell})
        try:
            with pytest.raises(BrokenPromise, match=f"table {table.name} is not what the speed layer writes"):
                ask(stack)
        finally:
            connection.table(table.name).delete(key)

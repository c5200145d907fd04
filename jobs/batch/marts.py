"""Filling marts: what the tasks ``revenue``, ``funnel``, ``affinity`` and ``stock`` do, each with marts of its own."""

import time
from datetime import date

import click
import structlog

from clients.sql import SQL_SETTINGS, Sql, connect
from contracts.command import with_settings
from contracts.errors import NotFound
from contracts.hive import MARTS, RAW, HiveTable
from contracts.settings import Settings
from jobs.batch import statements
from jobs.batch.options import day_option

log = structlog.get_logger()


def mart_task(help: str, *marts: str) -> click.Command:
    """The command of a task that fills these marts."""

    @click.command(help=help)
    @day_option
    @with_settings(*SQL_SETTINGS)
    def main(day: date, settings: Settings) -> None:
        with connect(settings) as sql:
            fill(sql, day, *marts)

    return main


def fill(sql: Sql, day: date, *marts: str) -> None:
    """Overwrites a day of each mart with what ``sql/<mart>.sql`` selects.

    Raises :class:`NotFound` when a stream that the marts are made of has no rows on that day: an ``INSERT OVERWRITE``
    with dynamic partitioning of nothing would leave an older result in place.
    """
    for stream in sorted({stream for mart in marts for stream in statements.streams(mart)}):
        landed = count(sql, RAW[stream], day)
        if not landed:
            raise NotFound(
                f"{RAW[stream].qualified} has no rows on {day}; let ingest land the day and run "
                "jobs.batch.repair_partitions first"
            )
        log.info("read", stream=stream, date=str(day), rows=landed)
    for mart in marts:
        started = time.monotonic()
        sql.execute(statements.statement(mart, day))
        rows = gather_statistics(sql, MARTS[mart], day)
        log.info("filled", mart=mart, date=str(day), rows=rows, seconds=elapsed(started))


def gather_statistics(sql: Sql, table: HiveTable, day: date) -> int:
    """Gathers the optimiser's statistics of a table's day, and returns its rows; a day without rows has none."""
    rows = count(sql, table, day)
    if rows:
        for statement in sql.engine.statistics(table, day):
            sql.execute(statement)
    return rows


def count(sql: Sql, table: HiveTable, day: date) -> int:
    """Rows of a table's day as they lie there, copies included."""
    return int(sql.rows(f"SELECT COUNT(*) FROM {table.qualified} WHERE {statements.of_day(day)}")[0][0])  # noqa: S608


def elapsed(started: float) -> float:
    """Seconds since a reading of ``time.monotonic``, to the millisecond."""
    return round(time.monotonic() - started, 3)

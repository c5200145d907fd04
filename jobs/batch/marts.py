"""Filling marts: what the tasks ``revenue``, ``funnel``, ``affinity`` and ``stock`` do, each with marts of its own.

Each run writes a day to a place of its own, and then makes the mart's partition point there. A reader sees a day as it
was or as it is; two runs at once, or a statement that a task left behind, do not touch each other's files.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from uuid import uuid4

import click
import structlog
from hdfs import InsecureClient

from clients import hdfs as files
from clients.hdfs import HDFS_SETTINGS
from clients.sql import SQL_SETTINGS, Sql, connect
from contracts import paths
from contracts.command import with_settings
from contracts.errors import BrokenPromise, NotFound
from contracts.hive import MARTS, RAW, HiveTable
from contracts.settings import Settings
from jobs.batch import days, statements
from jobs.batch.options import day_option, run_option

KEPT = 2
"""Places of a day that are kept, for readers that have begun: the one that counts, and the one before."""
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Batch:
    """Where a run computes: the SQL session, HDFS and its URI, and the run's id (empty by hand)."""

    sql: Sql
    hdfs: InsecureClient
    uri: str
    run: str


def mart_task(help: str, *marts: str) -> click.Command:
    """The command of a task that fills these marts."""

    @click.command(help=help)
    @day_option
    @run_option
    @with_settings(*SQL_SETTINGS, "hdfs_uri", *HDFS_SETTINGS)
    def main(day: date, run: str, settings: Settings) -> None:
        hdfs = files.client(settings)
        with connect(settings) as sql:
            for found in days.days_of(hdfs, day, run):
                fill(Batch(sql, hdfs, settings.hdfs_uri, run), found, *marts)

    return main


def fill(batch: Batch, day: date, *marts: str) -> None:
    """Makes a day of each mart what ``sql/<mart>.sql`` selects. Raises as :func:`require_rows` and :func:`put`."""
    require_rows(batch.sql, day)
    for mart in marts:
        put(batch, MARTS[mart], day, partial(statements.statement, mart, day))


def require_rows(sql: Sql, day: date) -> None:
    """Raises :class:`NotFound` where no stream has rows of a day; one alone may be quiet."""
    landed = rows_landed(sql, day)
    log.info("read", date=str(day), **landed)
    if not any(landed.values()):
        raise NotFound(
            f"{', '.join(table.qualified for table in RAW.values())} have no rows on {day}; let ingest land the day "
            "and run jobs.batch.repair_partitions first"
        )


def rows_landed(sql: Sql, day: date) -> dict[str, int]:
    """Rows of each stream's day, copies included, in one statement: a statement costs more than such a count."""
    counts = (
        f"SELECT '{stream}', COUNT(*) FROM {table.qualified} WHERE {statements.of_day(day)}"  # noqa: S608
        for stream, table in RAW.items()
    )
    return {stream: int(rows) for stream, rows in sql.rows(" UNION ALL ".join(counts))}


def put(batch: Batch, mart: HiveTable, day: date, insert: Callable[[str], str]) -> None:
    """Makes a day of a mart what the statement ``insert(table)`` writes.

    Raises :class:`BrokenPromise` where another run computes the day since; the mart is then as that run has it.
    """
    sql, started = batch.sql, time.monotonic()
    name = f"{datetime.now(UTC):%Y%m%dt%H%M%S%f}_{uuid4().hex[:8]}"
    own = replace(mart, name=f"{mart.name}__{name}", location=paths.mart_run(mart.name, str(day), name))
    sql.execute(own.ddl(batch.uri))
    try:
        sql.execute(insert(own.qualified))
        rows = count(sql, own, day)
        days.require_newest(batch.hdfs, day, batch.run)
        location = f"{batch.uri}{own.location}/date={day}" if rows else None
        for statement in statements.put_partition(mart, day, location):
            sql.execute(statement)
    finally:
        sql.execute(f"DROP TABLE IF EXISTS {own.qualified}")
    try:
        days.require_newest(batch.hdfs, day, batch.run)
    except BrokenPromise:
        days.reopen(batch.hdfs, day)
        raise
    _tidy(batch, mart, day)
    gather_statistics(sql, mart, day, rows)
    log.info("filled", mart=mart.name, date=str(day), rows=rows, seconds=elapsed(started))


def _tidy(batch: Batch, mart: HiveTable, day: date) -> None:
    """Removes what earlier runs made of a day, and the tables that killed ones left."""
    folder, _, _ = paths.mart_run(mart.name, str(day), "").rpartition("/")
    made = [name for name in files.names(batch.hdfs, folder) if name.startswith(f"{day}-")]
    for name in made[:-KEPT]:
        batch.sql.execute(f"DROP TABLE IF EXISTS {mart.qualified}__{name.removeprefix(f'{day}-')}")
        files.remove(batch.hdfs, f"{folder}/{name}")


def gather_statistics(sql: Sql, table: HiveTable, day: date, there: int) -> None:
    """Gathers the optimiser's statistics of a table's day with so many rows, or hours; a day without any has none."""
    for statement in sql.engine.statistics(table, day) if there else ():
        sql.execute(statement)


def count(sql: Sql, table: HiveTable, day: date) -> int:
    """Rows of a table's day as they lie there, copies included."""
    return int(sql.rows(f"SELECT COUNT(*) FROM {table.qualified} WHERE {statements.of_day(day)}")[0][0])  # noqa: S608


def elapsed(started: float) -> float:
    """Seconds since a reading of ``time.monotonic``, to the millisecond."""
    return round(time.monotonic() - started, 3)

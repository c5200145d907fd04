"""Removes what is older than it is to be kept: landed rows, marts, exports, and the speed layer's minutes and alerts.

Each is off unless it is set. A day is removed whole, and only once no event of it is accepted any more. What is removed
is gone for ``jobs.rebuild`` and ``jobs.batch.backfill`` too.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import click
import happybase
import structlog
from hdfs import InsecureClient

from clients import hbase
from clients import hdfs as files
from clients.hbase import HBASE_SETTINGS
from clients.hdfs import HDFS_SETTINGS
from clients.sql import SQL_SETTINGS, Sql, connect
from contracts import paths
from contracts.command import run, with_settings
from contracts.events import MAX_EVENT_AGE
from contracts.hbase import (
    REVENUE_BY_MINUTE,
    REVENUE_LATE,
    SALES_BY_MINUTE,
    STOCK_ALERTS,
    TRAFFIC_BY_MINUTE,
    alert_key,
    minute_key,
)
from contracts.hive import MARTS, RAW, HiveTable
from contracts.settings import Settings
from jobs.batch.statements import drop_days
from serving.days import first_kept, keep_from

LEAST_DAYS: Final = MAX_EVENT_AGE.days + 5
"""No event of a day so old is accepted any more, and none waits to be landed."""
ROWS: Final = 10_000
"""Of HBase, removed at a time."""
log = structlog.get_logger()


def remove_raw(hdfs: InsecureClient, sql: Sql, first: date) -> int:
    """Removes the landed rows of days before ``first``; how many days of streams that were."""
    keep_from(hdfs, max(first, first_kept(hdfs) or first))  # before it: a run that begins now must not take them
    removed = 0
    for stream, table in RAW.items():
        folder = paths.stream_folder(stream)
        old = _before(first, files.names(hdfs, folder), "date=")
        _drop(sql, table, old)
        for day in old:
            files.remove(hdfs, f"{folder}/date={day}")
        removed += len(old)
    return removed


def remove_marts(hdfs: InsecureClient, sql: Sql, first: date) -> int:
    """Removes the marts' days before ``first``, and first the marks that say that serving may take them."""
    keep_from(hdfs, max(first, first_kept(hdfs) or first))
    for name in files.names(hdfs, paths.DAYS):
        if name.endswith(".json") and name < f"{first}":
            files.remove(hdfs, f"{paths.DAYS}/{name}")
    removed = 0
    for mart, table in MARTS.items():
        runs = paths.mart_run(mart, "", "").rpartition("/")[0]
        made = {f"{runs}/{name}": name[:10] for name in files.names(hdfs, runs) if name < f"{first}"}
        # As version 0.1.0 wrote them.
        folder = paths.mart_folder(mart)
        made |= {f"{folder}/date={day}": day for day in _before(first, files.names(hdfs, folder), "date=")}
        _drop(sql, table, sorted(set(made.values())))
        for path in made:
            files.remove(hdfs, path)
        removed += len(set(made.values()))
    return removed


def remove_exports(hdfs: InsecureClient, first: date) -> int:
    """Removes the CSV files of days before ``first``."""
    old = _before(first, files.names(hdfs, paths.EXPORTS), "date=")
    for day in old:
        files.remove(hdfs, paths.export_folder(day))
    return len(old)


def remove_speed(settings: Settings, first: date) -> int:
    """Removes minutes and alerts of days before ``first`` from HBase; how many rows."""
    start = datetime.combine(first, time(), UTC)
    minutes = {"row_stop": minute_key(start)}
    alerts = {"row_start": alert_key(start - timedelta(milliseconds=1), "", "")}
    by_minute = (REVENUE_BY_MINUTE, REVENUE_LATE, TRAFFIC_BY_MINUTE, SALES_BY_MINUTE)
    removed = sum(_remove_rows(settings, table.name, minutes) for table in by_minute)
    return removed + _remove_rows(settings, STOCK_ALERTS.name, alerts)


def _remove_rows(settings: Settings, table: str, scanned: dict[str, Any]) -> int:
    def remove_some(connection: happybase.Connection) -> int:
        rows = [key for key, _ in connection.table(table).scan(limit=ROWS, **scanned)]
        with connection.table(table).batch(batch_size=1000) as batch:
            for key in rows:
                batch.delete(key)
        return len(rows)

    removed = 0
    while found := hbase.attempt(settings, remove_some):
        removed += found
    return removed


def _before(first: date, names: Iterable[str], prefix: str) -> list[str]:
    """The days of folders, of those before ``first``."""
    return [day for name in names if name.startswith(prefix) and (day := name.removeprefix(prefix)) < f"{first}"]


def _drop(sql: Sql, table: HiveTable, days: list[str]) -> None:
    for statement in drop_days(table, days):
        sql.execute(statement)


def days_option(name: str, what: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """An option of days to keep; 0 keeps all."""

    def checked(_: click.Context, parameter: click.Parameter, days: int) -> int:
        if 0 < days < LEAST_DAYS:
            raise click.BadParameter(
                f"{days} is less than {LEAST_DAYS}: events are accepted for {MAX_EVENT_AGE.days} days; 0 keeps all",
                param=parameter,
            )
        return days

    return click.option(
        f"--{name}-days",
        type=click.IntRange(min=0),
        default=0,
        show_default="keeps all",
        envvar=f"ECOMMERCE_RETENTION_{name.upper()}_DAYS",
        show_envvar=True,
        callback=checked,
        help=f"Keep {what} for so many days, {LEAST_DAYS} at least.",
    )


@click.command()
@days_option("raw", "landed rows")
@days_option("mart", "the marts")
@days_option("export", "CSV files on HDFS")
@days_option("speed", "the speed layer's minutes and alerts")
@with_settings(*SQL_SETTINGS, *HDFS_SETTINGS, *HBASE_SETTINGS)
def main(settings: Settings, raw_days: int, mart_days: int, export_days: int, speed_days: int) -> None:
    """Remove what is older than it is to be kept; nothing, unless it is told so."""
    today = datetime.now(UTC).date()
    hdfs = files.client(settings)

    def first(days: int) -> date:
        return today - timedelta(days=days)

    if mart_days or raw_days:
        with connect(settings) as sql:
            if mart_days:
                log.info("removed", marts=remove_marts(hdfs, sql, first(mart_days)), before=f"{first(mart_days)}")
            if raw_days:
                log.info("removed", raw_days=remove_raw(hdfs, sql, first(raw_days)), before=f"{first(raw_days)}")
    if export_days:
        log.info("removed", export_days=remove_exports(hdfs, first(export_days)), before=f"{first(export_days)}")
    if speed_days:
        log.info("removed", speed_rows=remove_speed(settings, first(speed_days)), before=f"{first(speed_days)}")


if __name__ == "__main__":
    run(main)

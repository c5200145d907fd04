"""Makes the partitions and files that ingest has landed known to the SQL endpoint."""

import time
from datetime import date

import click
import structlog

from clients.sql import SQL_SETTINGS, Sql, connect
from contracts.command import run, with_settings
from contracts.hive import RAW
from contracts.settings import Settings
from jobs.batch.marts import elapsed, gather_statistics
from jobs.batch.options import day_option

log = structlog.get_logger()


def repair_partitions(sql: Sql, day: date) -> None:
    """Registers all new partitions of the raw tables, and gathers statistics of the day's."""
    for table in RAW.values():
        started = time.monotonic()
        for statement in sql.engine.repair(table):
            sql.execute(statement)
        rows = gather_statistics(sql, table, day)
        log.info("repaired", table=table.name, date=str(day), rows=rows, seconds=elapsed(started))


@click.command()
@day_option
@with_settings(*SQL_SETTINGS)
def main(day: date, settings: Settings) -> None:
    """Registers the partitions that have landed and refreshes the SQL endpoint's view of their files."""
    with connect(settings) as sql:
        repair_partitions(sql, day)


if __name__ == "__main__":
    run(main)

"""Makes the partitions and files that ingest has landed known to the SQL endpoint."""

import time
from datetime import date

import click
import structlog
from hdfs import InsecureClient

from clients import hdfs as files
from clients.hdfs import HDFS_SETTINGS
from clients.sql import SQL_SETTINGS, Sql, connect
from contracts import paths
from contracts.command import run as run_command
from contracts.command import with_settings
from contracts.hive import RAW
from contracts.settings import Settings
from jobs.batch.days import days_of
from jobs.batch.marts import elapsed, gather_statistics
from jobs.batch.options import day_option, run_option
from jobs.compaction.exchange import show_landed_of

log = structlog.get_logger()


def repair_partitions(sql: Sql, day: date, hours: dict[str, list[str]]) -> None:
    """Registers the ``hours`` (00 to 23) of a day that each stream has, and gathers statistics of them."""
    for stream, table in RAW.items():
        started = time.monotonic()
        for statement in sql.engine.register(table, day, hours[stream]):
            sql.execute(statement)
        gather_statistics(sql, table, day, len(hours[stream]))
        log.info("registered", table=table.name, date=str(day), hours=len(hours[stream]), seconds=elapsed(started))


def landed_hours(hdfs: InsecureClient, day: date) -> dict[str, list[str]]:
    """The hours of a day for which each stream has a folder."""
    folders = {stream: f"{paths.stream_folder(stream)}/date={day}" for stream in RAW}
    return {
        stream: [name.removeprefix("hour=") for name in files.names(hdfs, folder) if name.startswith("hour=")]
        for stream, folder in folders.items()
    }


@click.command()
@day_option
@run_option
@with_settings(*SQL_SETTINGS, *HDFS_SETTINGS)
def main(day: date, run: str, settings: Settings) -> None:
    """Registers the partitions that have landed and refreshes the SQL endpoint's view of their files."""
    hdfs = files.client(settings)
    with connect(settings) as sql:
        for found in days_of(hdfs, day, run):
            show_landed_of(hdfs, str(found))
            repair_partitions(sql, found, landed_hours(hdfs, found))


if __name__ == "__main__":
    run_command(main)

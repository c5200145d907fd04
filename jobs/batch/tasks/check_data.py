"""Whether the day has landed whole, asked before anything is computed from it, and which days the run computes."""

from datetime import date, datetime, time, timedelta

import click
import structlog
from hdfs import InsecureClient

from clients import hdfs
from clients.hdfs import HDFS_SETTINGS
from contracts import paths
from contracts.command import run as run_command
from contracts.command import with_settings
from contracts.errors import NotFound
from contracts.hive import RAW
from contracts.settings import Settings
from jobs.batch import days
from jobs.batch.options import day_option, patience_option, run_option, seconds_option

log = structlog.get_logger()


def check_data(settings: Settings, day: date) -> None:
    """Raises :class:`NotFound` where no stream has a Parquet file of the day; one alone may be quiet."""
    client = hdfs.connect(settings)
    found = {stream: landed_files(client, stream, day) for stream in RAW}
    log.info("found", date=str(day), **found)
    if not any(found.values()):
        looked = ", ".join(f"{paths.stream_folder(stream)}/date={day}" for stream in found)
        raise NotFound(f"no data of {day} on HDFS at {settings.webhdfs_url} ({looked})")


def landed_files(client: InsecureClient, stream: str, day: date) -> int:
    """How many Parquet files of a day a stream has."""
    midnight = datetime.combine(day, time())
    return sum(
        name.endswith(".parquet") and not hdfs.hidden(name)
        for hour in range(24)
        for name in hdfs.names(client, paths.hour_folder(stream, midnight + timedelta(hours=hour)))
    )


@click.command()
@day_option
@run_option
@seconds_option(
    "--grace",
    1800,
    "ECOMMERCE_DAY_GRACE",
    "For late events after the day's end; all that Kafka took until then must be landed.",
)
@patience_option
@with_settings(*HDFS_SETTINGS)
def main(day: date, run: str, grace: float, patience: float, settings: Settings) -> None:
    """Wait until the day has landed whole; fail where no stream has data of it.

    With --run, also plans the days of that run: this one, and all older ones that got rows since they were computed.
    """
    client = hdfs.connect(settings)
    whole = days.wait_until_landed(client, day, timedelta(seconds=grace), patience)
    check_data(settings, day)
    if run:
        planned = days.begin(client, day, whole, run)
        log.info("planned", run=run, days=planned.days)


if __name__ == "__main__":
    run_command(main)

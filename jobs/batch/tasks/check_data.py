"""Whether the day's events have landed on HDFS, asked before anything is computed from them."""

from datetime import date, datetime, time, timedelta

import click
import structlog
from hdfs import InsecureClient

from clients import hdfs
from clients.hdfs import HDFS_SETTINGS
from contracts import paths
from contracts.command import run, with_settings
from contracts.errors import NotFound
from contracts.hive import RAW
from contracts.settings import Settings
from jobs.batch.options import day_option

log = structlog.get_logger()


def check_data(settings: Settings, day: date) -> None:
    """Raises :class:`NotFound` naming the streams without a Parquet file of the day, and where they were looked for."""
    client = hdfs.connect(settings)
    found = {stream: landed_files(client, stream, day) for stream in RAW}
    log.info("found", date=str(day), **found)
    if missing := [
        f"{stream} ({paths.stream_folder(stream)}/date={day})" for stream, count in found.items() if not count
    ]:
        raise NotFound(f"no data of {day} on HDFS at {settings.webhdfs_url} for {', '.join(missing)}")


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
@with_settings(*HDFS_SETTINGS)
def main(day: date, settings: Settings) -> None:
    """Fails unless each stream has landed data of the day."""
    check_data(settings, day)


if __name__ == "__main__":
    run(main)

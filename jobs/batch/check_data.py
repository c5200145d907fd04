"""Whether the day's events have landed on HDFS, asked before anything is computed from them."""

from datetime import date

import click
import structlog

from contracts import paths
from contracts.command import CommandError, run, with_settings
from contracts.settings import Settings
from contracts.tables import RAW
from jobs.batch import files
from jobs.batch.options import day_option

log = structlog.get_logger()


def check_data(settings: Settings, day: date) -> None:
    """Raises ``CommandError`` naming the streams without a Parquet file of the day, and where they were looked for."""
    with files.connect(settings) as client:
        found = {stream: files.landed_files(client, stream, day) for stream in RAW}
    log.info("found", date=str(day), **found)
    if missing := [
        f"{stream} ({paths.stream_folder(stream)}/date={day})" for stream, count in found.items() if not count
    ]:
        raise CommandError(f"no data of {day} on HDFS at {settings.webhdfs_url} for {', '.join(missing)}")


@click.command()
@day_option
@with_settings(*files.HDFS_SETTINGS)
def main(day: date, settings: Settings) -> None:
    """Fails unless each stream has landed data of the day."""
    check_data(settings, day)


if __name__ == "__main__":
    run(main)

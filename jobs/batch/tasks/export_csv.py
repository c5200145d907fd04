"""One CSV for each mart and day: RFC 4180, UTF-8, a header, columns and rows always in the same order."""

import csv
import io
import os
import uuid
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import structlog

from clients import hdfs
from clients.hdfs import HDFS_SETTINGS
from clients.sql import SQL_SETTINGS, Sql, connect
from contracts import paths
from contracts.command import run as run_command
from contracts.command import with_settings
from contracts.errors import NotFound
from contracts.hive import MARTS, HiveTable
from contracts.settings import Settings
from jobs.batch.days import days_of
from jobs.batch.options import day_option, run_option
from jobs.batch.statements import of_day
from serving.days import note_end

log = structlog.get_logger()


def header(mart: HiveTable) -> list[str]:
    """The partition column first, then the mart's own in their order."""
    return [*mart.partitions, *(column.name for column in mart.columns)]


def rows(sql: Sql, mart: HiveTable, day: date) -> list[tuple[Any, ...]]:
    """The mart's rows of a day, ordered by their columns from left to right."""
    columns = [f"`{name}`" for name in header(mart)]
    return sql.rows(
        f"SELECT {', '.join(columns)} FROM {mart.qualified} WHERE {of_day(day)} "  # noqa: S608
        f"ORDER BY {', '.join(columns[len(mart.partitions) :])}"
    )


def to_csv(names: list[str], values: Iterable[tuple[Any, ...]]) -> bytes:
    """RFC 4180: CRLF ends every line, fields are quoted where they must be; no value is an empty field."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(names)
    writer.writerows([_field(value) for value in row] for row in values)
    return text.getvalue().encode("utf-8")


def _field(value: Any) -> str:
    if value is None:
        return ""
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def write_locally(folder: Path, name: str, data: bytes) -> None:
    """As :func:`clients.hdfs.write_whole`, below a local folder."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{name}.{uuid.uuid4().hex}"
    temporary.write_bytes(data)
    os.replace(temporary, folder / name)  # noqa: PTH105


def export(sql: Sql, settings: Settings, day: date, to: Path | None) -> None:
    """Writes all marts of a day. Raises :class:`NotFound` where none has rows of it; a quiet stream's may have none."""
    exports = {name: (rows(sql, mart, day), header(mart)) for name, mart in MARTS.items()}
    if not any(found for found, _ in exports.values()):
        raise NotFound(f"no mart has rows on {day}; run the tasks that fill them first")
    folder = paths.export_folder(str(day))
    client = hdfs.connect(settings)
    hdfs.make_folder(client, folder)
    for name, (found, names) in exports.items():
        data = to_csv(names, found)
        hdfs.write_whole(client, f"{folder}/{name}.csv", data)
        if to is not None:
            write_locally(to / f"date={day}", f"{name}.csv", data)
        log.info("exported", mart=name, date=str(day), rows=len(found), bytes=len(data), folder=folder)


@click.command()
@day_option
@run_option
@click.option(
    "--to",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also write the files to a local folder, below date=YYYY-MM-DD/.",
)
@with_settings(*SQL_SETTINGS, *HDFS_SETTINGS)
def main(day: date, run: str, to: Path | None, settings: Settings) -> None:
    """Exports the marts of a day as CSV files to HDFS; the last task of a run, which notes that it ended well."""
    client = hdfs.client(settings)
    with connect(settings) as sql:
        for found in days_of(client, day, run):
            export(sql, settings, found, to)
    if run:
        note_end(client, paths.DAILY_RUN)


if __name__ == "__main__":
    run_command(main)

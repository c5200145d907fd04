"""The ``.sql`` files: loading them and filling in their parameters.

A file names its parameters as ``${name}``: the marts and raw streams of the contract, ``${date}``,
``${becomes_critical}`` and ``${unknown_country}``. A mart stands for the table to fill; a stream for the day's events,
each ``event_id`` once, whatever copies have landed. The only value that comes from outside is the day, and it is a
``date``, not text.
"""

from collections.abc import Iterable
from datetime import date
from functools import cache
from pathlib import Path
from string import Template
from typing import Final

from contracts.events import UNKNOWN_COUNTRY
from contracts.hive import BECOMES_CRITICAL, RAW, HiveTable

FOLDER: Final = Path(__file__).parent / "tasks" / "sql"


def statement(name: str, day: date, into: str) -> str:
    """The text of ``sql/<name>.sql`` for a day, which fills the table ``into``.

    Raises ``KeyError`` for a parameter that the contract lacks.
    """
    streams = {stream: distinct_events(table, day) for stream, table in RAW.items()}
    values = {name: into, "date": f"'{day:%Y-%m-%d}'", "becomes_critical": BECOMES_CRITICAL}
    return _template(name).substitute(streams | values, unknown_country=UNKNOWN_COUNTRY)


def put_partition(table: HiveTable, day: date, location: str | None) -> tuple[str, ...]:
    """A day of a table is from now on what lies at ``location``: for a reader before or after, never in between.

    Without a location the table has no such day.
    """
    partition = f"PARTITION (`date`='{day:%Y-%m-%d}')"
    if location is None:
        return (f"ALTER TABLE {table.qualified} DROP IF EXISTS {partition}",)
    return (
        f"ALTER TABLE {table.qualified} ADD IF NOT EXISTS {partition} LOCATION '{location}'",
        f"ALTER TABLE {table.qualified} {partition} SET LOCATION '{location}'",
    )


def drop_days(table: HiveTable, days: Iterable[str]) -> tuple[str, ...]:
    """A table has days (YYYY-MM-DD) no more; their files stay."""
    return tuple(f"ALTER TABLE {table.qualified} DROP IF EXISTS PARTITION (`date`='{day}')" for day in days)


def of_day(day: date) -> str:
    """The condition that selects a day's partitions."""
    return f"`date` = '{day:%Y-%m-%d}'"


def distinct_events(table: HiveTable, day: date) -> str:
    """A subquery of a day's events: of several rows of one ``event_id`` the one that came first into Kafka.

    That is the copy which the speed layer counts too.
    """
    nth = "ROW_NUMBER() OVER (PARTITION BY event_id ORDER BY kafka_partition, kafka_offset) AS nth"
    landed = f"SELECT *, {nth} FROM {table.qualified} WHERE {of_day(day)}"  # noqa: S608
    return f"(SELECT * FROM ({landed}) landed WHERE nth = 1)"  # noqa: S608


@cache
def _template(name: str) -> Template:
    return Template((FOLDER / f"{name}.sql").read_text(encoding="utf-8"))

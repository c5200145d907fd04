"""Which days are closed: computed by the batch layer from all that has landed of them.

A day closes by evidence and opens again by commits. The daily run notes as of which commit it computes a day, and
closes it once the day's marts are reconciled; a later commit with rows of the day opens it, whoever made it.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import msgspec
from hdfs import InsecureClient

from clients import hdfs as files
from clients.commits import CommitLog
from contracts import paths
from contracts.errors import NotFound

LOOKED_AT: Final = 45
"""Of the days with rows, how many are looked at, the newest: a day older than 30 gets no rows."""


class Mark(msgspec.Struct, frozen=True):
    """The newest run that computed a day.

    ``sequence``: the newest commit with rows of the day when the run began; 0 for rows of version 0.1.0, None where the
    day was not over. ``closed``: its marts are there and reconciled; ``differs``: they are there, and the layers do not
    agree. ``closed_at``: when a run last closed the day.
    """

    run: str
    sequence: int | None
    closed: bool = False
    differs: bool = False
    closed_at: datetime | None = None


def mark(hdfs: InsecureClient, day: date) -> Mark | None:
    """The mark of a day; None for one that no run has begun."""
    try:
        return msgspec.json.decode(files.read(hdfs, paths.day_mark(str(day))), type=Mark)
    except NotFound:
        return None


def end_of(day: date) -> datetime:
    """The midnight (UTC) after a day."""
    return datetime.combine(day, time(), UTC) + timedelta(days=1)


def from_to(first: date, last: date) -> list[date]:
    """The days from ``first`` to ``last``, both included; none where ``last`` is before."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def over(landed: Iterable[str], kept: date | None, now: datetime) -> list[date]:
    """Of the days with rows those that are over and kept, the newest :data:`LOOKED_AT` of them, oldest first.

    ``landed``: as ``Commit.days``; ``kept``: as :func:`first_kept`.
    """
    days = sorted(map(date.fromisoformat, landed))
    return [day for day in days if (kept or date.min) <= day and end_of(day) < now][-LOOKED_AT:]


def first_kept(hdfs: InsecureClient) -> date | None:
    """The first day whose rows and marts ``jobs.retention`` has kept; None where it has removed none."""
    try:
        return date.fromisoformat(files.read(hdfs, paths.FIRST_KEPT).decode())
    except NotFound:
        return None


def keep_from(hdfs: InsecureClient, first: date) -> None:
    """Notes that days before ``first`` are not kept."""
    files.write_whole(hdfs, paths.FIRST_KEPT, f"{first}".encode())


def ended(hdfs: InsecureClient, run: str) -> datetime | None:
    """When a run noted at a path (``contracts.paths.DAILY_RUN``, ``COMPACTION_RUN``) that it ended well."""
    try:
        return datetime.fromisoformat(files.read(hdfs, run).decode())
    except NotFound:
        return None


def note_end(hdfs: InsecureClient, run: str) -> None:
    """Notes at a path that a run ended well, now."""
    files.write_whole(hdfs, run, datetime.now(UTC).isoformat().encode())


def closed(hdfs: InsecureClient, days: Iterable[date]) -> dict[date, Mark]:
    """Those of ``days`` that are closed as of the newest commit, each with its mark."""
    newest = CommitLog(hdfs, paths.INGEST).newest().days
    return {day: found for day, found in marks(hdfs, days).items() if found and is_closed(day, found, newest)}


def is_closed(day: date, found: Mark, newest: dict[str, int]) -> bool:
    """Whether a day's mark says that it is closed as of the commit in ``newest`` (as ``Commit.days``)."""
    return found.closed and found.sequence == newest.get(str(day), 0)


def marks(hdfs: InsecureClient, days: Iterable[date]) -> dict[date, Mark | None]:
    """The mark of each day."""
    chosen = list(days)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(copy_context().run, mark, hdfs, day) for day in chosen]
        return dict(zip(chosen, (answer.result() for answer in asked), strict=True))

"""Which days are closed: computed by the batch layer from all that has landed of them.

A day closes by evidence and opens again by commits. The daily run notes as of which commit it computes a day, and
closes it once the day's marts are reconciled; a later commit with rows of the day opens it, whoever made it.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import msgspec
from hdfs import InsecureClient

from clients import hdfs as files
from clients.commits import CommitLog
from contracts import paths
from contracts.errors import NotFound


class Mark(msgspec.Struct, frozen=True):
    """The newest run that computed a day.

    ``sequence``: the newest commit with rows of the day when the run began; 0 for rows of version 0.1.0, None where the
    day was not over. ``closed``: its marts are there and reconciled.
    """

    run: str
    sequence: int | None
    closed: bool = False


def mark(hdfs: InsecureClient, day: date) -> Mark | None:
    """The mark of a day; None for one that no run has begun."""
    try:
        return msgspec.json.decode(files.read(hdfs, paths.day_mark(str(day))), type=Mark)
    except NotFound:
        return None


def closed(hdfs: InsecureClient, days: Iterable[date]) -> dict[date, Mark]:
    """Those of ``days`` that are closed as of the newest commit, each with its mark."""
    chosen = list(days)
    newest = CommitLog(hdfs, paths.INGEST).newest().days
    with ThreadPoolExecutor(8) as pool:
        marks = pool.map(lambda day: mark(hdfs, day), chosen)
        return {
            day: found
            for day, found in zip(chosen, marks, strict=True)
            if found and found.closed and found.sequence == newest.get(str(day), 0)
        }

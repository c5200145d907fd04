"""Which hours are compacted: those that are over and have many files, looked for where something has landed since."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import msgspec
from hdfs import InsecureClient

from clients import hdfs as files
from clients.commits import Commit
from contracts import paths
from contracts.events import BY_NAME
from contracts.hive import RAW

LATE_FILES: Final = 3
"""Of an hour that is compacted, how many files of late rows are left beside: 24 hours of 3 streams have 288 at most."""
SEEN: Final = f"{paths.COMPACTION}/seen.json"
"""Of each date, as of which commit with rows of it nothing was left to compact."""


class Hour(NamedTuple):
    """An hour (00 to 23, UTC) of a date (YYYY-MM-DD) of a stream."""

    stream: str
    date: str
    hour: str

    @property
    def folder(self) -> str:
        return f"{paths.stream_folder(self.stream)}/date={self.date}/hour={self.hour}"

    @property
    def end(self) -> datetime:
        return datetime.fromisoformat(f"{self.date}T{self.hour}:00:00+00:00") + timedelta(hours=1)


class Due(NamedTuple):
    """An hour to compact: its files' bytes by name, in groups that must not be mixed."""

    hour: Hour
    groups: list[dict[str, int]]


def open_dates(hdfs: InsecureClient, commit: Commit) -> list[str]:
    """The dates of which rows have landed since nothing was left to compact, newest first."""
    seen = read_seen(hdfs)
    dates = {date for stream in RAW for date in _children(hdfs, paths.stream_folder(stream), "date")}
    return sorted((date for date in dates if seen.get(date) != commit.days.get(date, 0)), reverse=True)


def read_seen(hdfs: InsecureClient) -> dict[str, int]:
    if not files.exists(hdfs, SEEN):
        return {}
    return msgspec.json.decode(files.read(hdfs, SEEN), type=dict[str, int])


def hours(hdfs: InsecureClient, date: str) -> Iterator[Hour]:
    """The hours of a date that streams have."""
    for stream in RAW:
        for hour in _children(hdfs, f"{paths.stream_folder(stream)}/date={date}", "hour"):
            yield Hour(stream, date, hour)


def due(hdfs: InsecureClient, commit: Commit, hour: Hour) -> Due | None:
    """What is to be compacted of an hour, as of a commit that is published; later files may yet be taken back."""
    sizes = {name: size for name, size in files.sizes(hdfs, hour.folder).items() if not files.hidden(name)}
    made_by = {name: commits.last for name in sizes if (commits := paths.commits_of(name))}
    settled = sorted(name for name, number in made_by.items() if number <= commit.sequence)
    whole = [name for name in settled if paths.compacted(name)]
    if len(settled) - len(whole) <= (LATE_FILES if whole else 0) or len(settled) < 2:
        return None
    groups: dict[int, dict[str, int]] = {}
    for name in sorted(settled, key=lambda name: made_by[name]):
        groups.setdefault(_beginnings(commit, hour, made_by[name]), {})[name] = sizes[name]
    return Due(hour, list(groups.values()))


def over(hour: Hour, older_than: timedelta) -> bool:
    return hour.end + older_than <= datetime.now(UTC)


def span(names: Iterable[str]) -> paths.Compacted:
    """The first and the last commit that landed rows of these files; 0 for version 0.1.0."""
    found = [commits for name in names if (commits := paths.commits_of(name))]
    return paths.Compacted(min(one.first for one in found), max(one.last for one in found))


def _beginnings(commit: Commit, hour: Hour, made_by: int) -> int:
    """How often offsets of the stream had begun again (``jobs.adopt``) when a commit was made."""
    topic = BY_NAME[hour.stream].topic
    return sum(one.sequence < made_by for one in commit.adoptions if one.partition.startswith(f"{topic}/"))


def _children(hdfs: InsecureClient, folder: str, key: str) -> list[str]:
    return [name.removeprefix(f"{key}=") for name in files.names(hdfs, folder) if name.startswith(f"{key}=")]

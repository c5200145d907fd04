"""Ingest's commit log as its readers see it: which files hold what is landed, up to which offsets, of which days.

``jobs.streaming.commits`` says how it is written.
"""

import re
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from hdfs import InsecureClient

from clients import claims
from clients import hdfs as files
from contracts import paths
from contracts.errors import BrokenPromise, NotFound

_EPOCH: Final = re.compile(r"(\d{8})(-closed-\w+)?")
COMMIT: Final = re.compile(r"(\d{12})\.json")
"""The name of a commit's file."""


class Gap(msgspec.Struct, frozen=True):
    """Records ``[start, end)`` of a partition (``topic/number``) that Kafka no longer had when they were to be read."""

    partition: str
    start: int
    end: int


class LandedFile(msgspec.Struct, frozen=True):
    """A Parquet file of a commit: where it was staged and where readers find it."""

    staged: str
    final: str
    rows: int


class PartitionState(msgspec.Struct):
    """What is landed of one Kafka partition.

    ``end``: the offset after the last one handled. ``newest_ms``: the running maximum of event times, in milliseconds
    since 1970 UTC. ``window``: the first offset whose event id may still be copied (see ``window.py``), and
    ``window_files`` the files that hold the ids from there on.
    """

    end: int = 0
    newest_ms: int | None = None
    window: int = 0
    window_files: list[str] = []


class Counts(msgspec.Struct):
    """Records handled since the log began.

    Landed rows (late ones among them, those with fields that the version which landed them did not know, and those of
    products that the shop's catalogue lacked), copies dropped, dead letters, and those that Kafka no longer had.
    """

    landed: int = 0
    late: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    missed: int = 0
    unknown_fields: int = 0
    unknown_products: int = 0

    def plus(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, name) + getattr(other, name) for name in self.__struct_fields__))


class Tally(msgspec.Struct, frozen=True):
    """Landed rows, and the sum of their amounts (EUR, or units of stock)."""

    rows: int = 0
    amount: Decimal = Decimal(0)

    def plus(self, other: "Tally") -> "Tally":
        return Tally(self.rows + other.rows, self.amount + other.amount)


class Adoption(msgspec.Struct, frozen=True):
    """Where the offsets of a partition (``topic/number``) began again (``jobs.adopt``), and as of which commit.

    ``end``: up to which offset those before it were landed. ``newest_ms``: the newest event time to go on from.
    """

    partition: str
    sequence: int
    end: int
    begin: int
    newest_ms: int | None


class Commit(msgspec.Struct):
    """The state after a batch. ``partitions`` are keyed ``topic/partition``, ``topic_ids`` and ``totals`` by topic.

    ``staging``: the folder of the files until they are where readers find them. ``gaps`` and ``adoptions``: all that
    there ever were. ``taken_back``: files of commits that could not be published whole, whose records were landed again
    under other names; they must not appear again. ``days``: of each day (YYYY-MM-DD, UTC), by event time, the sequence
    of the newest commit with rows of it; of days that had rows since version 0.1.0.
    ``tallies``: of the newest of these days, what is landed in all, by :func:`tally_key`; of days after
    ``untallied_until`` alone: others may have rows of before there were tallies.
    """

    sequence: int = 0
    topic_ids: dict[str, str] = {}
    files: list[LandedFile] = []
    partitions: dict[str, PartitionState] = {}
    totals: dict[str, Counts] = {}
    staging: str = ""
    gaps: list[Gap] = []
    taken_back: list[str] = []
    adoptions: list[Adoption] = []
    days: dict[str, int] = {}
    tallies: dict[str, dict[str, Tally]] = {}
    untallied_until: str = ""

    def next(self, **changes: Any) -> "Commit":
        """The commit that follows, with what is landed so far and no files of its own, but for ``changes``."""
        fresh = {"sequence": self.sequence + 1, "files": [], "staging": ""}
        return msgspec.structs.replace(self, **fresh | changes)


def tally_key(stream: str, kind: str | None) -> str:
    """``clicks/home``, or ``purchases`` where a stream's rows are of one kind."""
    return f"{stream}/{kind}" if kind else stream


def compacted_into(hdfs: InsecureClient, landed: str) -> list[str]:
    """The compacted files that may hold the rows of a landed file: those of its hour, of its commit among others."""
    folder = landed.rpartition("/")[0]
    made_by = paths.commits_of(landed)
    number = made_by.last if made_by else 0
    found = {name: paths.compacted(name) for name in files.names(hdfs, folder)}
    return [
        f"{folder}/{name}" for name, made_of in found.items() if made_of and made_of.first <= number <= made_of.last
    ]


class CommitLog:
    """The log ``<COMMITS>/<name>`` as its readers see it."""

    def __init__(self, hdfs: InsecureClient, name: str) -> None:
        self._hdfs = hdfs
        self._name = name
        self._folder = f"{paths.COMMITS}/{name}"

    def newest(self) -> Commit:
        """The newest commit, an empty one where there is none; :class:`BrokenPromise` where it is damaged."""
        return self._before(None)

    def published(self) -> Commit:
        """The newest commit whose files are all where readers find them; an empty one where there is none yet."""
        newest = self.newest()
        # The staging folder goes when the last file has left it.
        if newest.files and files.exists(self._hdfs, newest.staging):
            return self._before(newest.sequence)
        return newest

    def commits(self) -> dict[int, str]:
        """The path of each commit by its sequence number."""
        folders = [self._folder, *self._epochs()]
        return {number: path for folder in folders for number, path in self._commits_in(folder).items()}

    def read(self, path: str) -> Commit:
        """A commit. Raises :class:`BrokenPromise` where its file is damaged, :class:`NotFound` where it is gone."""
        try:
            commit = msgspec.json.decode(files.read(self._hdfs, path), type=Commit)
        except msgspec.MsgspecError as error:
            raise self._damaged(f"commit {path} cannot be read ({error})") from error
        if commit.files and not commit.staging:  # as version 0.1.0 wrote it
            commit.staging = commit.files[0].staged.rpartition("/")[0]
        return commit

    def head(self) -> int:
        """The sequence number that was noted beside the log when its newest commit was made; 0 before the first."""
        try:
            return int(files.read(self._hdfs, f"{self._folder}/HEAD"))
        except NotFound:
            return 0

    def landed_until(self) -> datetime | None:
        """The time of which the ingest that runs has told that all that Kafka had then is landed; None before."""
        try:
            told = files.read(self._hdfs, self._until(max(self._claims(), default=0)))
        except NotFound:
            return None
        return datetime.fromisoformat(told.decode())

    def _until(self, epoch: int) -> str:
        return f"{self._folder}/UNTIL-{epoch:08d}"

    def _claims(self) -> list[int]:
        return claims.taken(self._hdfs, self._claims_folder)

    @property
    def _claims_folder(self) -> str:
        return f"{self._folder}/claims"

    def _before(self, sequence: int | None) -> Commit:
        """The newest commit below a sequence number, or of all."""
        # Between listing and reading an epoch may be closed, which moves its commits, or a writer may go on.
        for _ in range(10):
            found = self.commits()
            if sequence is None and (head := self.head()) > max(found, default=0):
                if head > max(self.commits(), default=0):
                    raise self._damaged(f"commit {head} of {self._folder} is gone")
                continue
            wanted = [number for number in found if sequence is None or number < sequence]
            if not wanted:
                return Commit()
            try:
                return self.read(found[max(wanted)])
            except NotFound:
                continue
        raise self._damaged(f"the commits of {self._folder} are listed but not there")

    def _damaged(self, what: str) -> BrokenPromise:
        return BrokenPromise(f"{what}; `python -m jobs.repair --dry-run` shows what to do about it")

    def _commits_in(self, folder: str) -> dict[int, str]:
        found = map(COMMIT.fullmatch, files.names(self._hdfs, folder))
        return {int(match[1]): f"{folder}/{match[0]}" for match in found if match}

    def _epochs(self) -> list[str]:
        """The folders of all epochs, open or closed, oldest first."""
        names = [name for name in files.names(self._hdfs, self._folder) if _EPOCH.fullmatch(name)]
        return [f"{self._folder}/{name}" for name in sorted(names)]

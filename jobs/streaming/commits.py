"""The commit log that makes Parquet on HDFS exactly-once for readers that only list folders.

A batch becomes visible in three steps: its files are written to a staging folder, one commit file is created (by a
rename, which HDFS does atomically and refuses where the name is taken), the staged files are renamed into the folders
that readers list. A crash before the commit leaves nothing visible; after it, the next start finishes the renames. A
commit states up to which offset each Kafka partition is landed, and records below are skipped, so a replay (or a lost
checkpoint) lands nothing twice. Of two writers only one can create the next commit; the other fails.

The same protocol as a table format's log (Delta Lake: Armbrust et al., VLDB 2020), kept to what Hive and Impala can
read without it.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import msgspec
import structlog
from hdfs import InsecureClient

from clients import hdfs as files
from contracts import paths
from contracts.errors import BrokenPromise

log = structlog.get_logger()
KEPT = 100
"""Commits kept for reading back what happened; only the newest is needed."""


class ConcurrentWriter(BrokenPromise):
    """Another process committed to the same log."""


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
    """Records handled since the log began: landed rows (late ones among them), copies dropped, dead letters."""

    landed: int = 0
    late: int = 0
    duplicates: int = 0
    dead_letters: int = 0

    def plus(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, name) + getattr(other, name) for name in self.__struct_fields__))


class Commit(msgspec.Struct):
    """The state after a batch. ``partitions`` are keyed ``topic/partition``, ``topic_ids`` and ``totals`` by topic."""

    sequence: int = 0
    topic_ids: dict[str, str] = {}
    files: list[LandedFile] = []
    partitions: dict[str, PartitionState] = {}
    totals: dict[str, Counts] = {}


class CommitLog:
    """The log of one writer, ``<COMMITS>/<name>/<sequence>.json``, with the staging folder that goes with it."""

    def __init__(self, hdfs: InsecureClient, name: str) -> None:
        self._hdfs = hdfs
        self._folder = f"{paths.COMMITS}/{name}"
        self._staging = f"{paths.STAGING}/{name}"
        self._known_folders: set[str] = set()

    def recover(self) -> Commit:
        """The newest commit, its renames finished and what was staged but never committed removed."""
        newest = self.newest()
        if newest.sequence:
            self.publish(newest)
        files.remove(self._hdfs, self._staging)
        files.make_folder(self._hdfs, self._folder)
        return newest

    def newest(self) -> Commit:
        """The newest commit; an empty one where there is none yet."""
        return self._read(self._sequences())

    def published(self) -> Commit:
        """The newest commit whose files are all where readers find them; an empty one where there is none yet."""
        sequences = self._sequences()
        # The staging folder goes when the last file has left it.
        if sequences and files.exists(self._hdfs, self.staging_folder(sequences[-1])):
            sequences.pop()
        return self._read(sequences)

    def staging_folder(self, sequence: int) -> str:
        return f"{self._staging}/{sequence:012d}"

    def append(self, commit: Commit) -> None:
        """Creates the commit file. Raises :class:`ConcurrentWriter` when the sequence number is taken."""
        data = msgspec.json.encode(commit)
        path = self._path(commit.sequence)
        if not files.create_once(self._hdfs, path, data, f"{self._folder}/_{commit.sequence}-{uuid4().hex}"):
            raise ConcurrentWriter(
                f"commit {path} was made by another process: two jobs write the same streams, stop one of them"
            )

    def publish(self, commit: Commit) -> None:
        """Renames the commit's files to where readers find them, then forgets what is no longer needed."""
        self._make_folders({file.final.rpartition("/")[0] for file in commit.files})
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda file: files.move(self._hdfs, file.staged, file.final), commit.files))
        files.remove(self._hdfs, self.staging_folder(commit.sequence))
        if commit.sequence > KEPT:
            files.remove(self._hdfs, self._path(commit.sequence - KEPT))

    def _make_folders(self, folders: Iterable[str]) -> None:
        for folder in sorted(set(folders) - self._known_folders):
            files.make_folder(self._hdfs, folder)
            self._known_folders.add(folder)

    def _read(self, sequences: list[int]) -> Commit:
        if not sequences:
            return Commit()
        return msgspec.json.decode(files.read(self._hdfs, self._path(sequences[-1])), type=Commit)

    def _sequences(self) -> list[int]:
        found = [name.removesuffix(".json") for name in files.names(self._hdfs, self._folder)]
        return sorted(int(name) for name in found if name.isdigit())

    def _path(self, sequence: int) -> str:
        return f"{self._folder}/{sequence:012d}.json"

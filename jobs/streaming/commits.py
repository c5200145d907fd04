"""The commit log that makes Parquet on HDFS exactly-once for readers that only list folders, whoever else writes.

A batch becomes visible in three steps: its files are written to a staging folder, one commit file is created (by a
rename, which HDFS does atomically and refuses where the name is taken), the staged files are renamed into the folders
that readers list. A crash before the commit leaves nothing visible; after it, the next start finishes the renames. A
commit states up to which offset each Kafka partition is landed, and records below are skipped, so a replay lands
nothing twice.

One writer. A starting writer claims the next epoch, and keeps its commits in a folder of that epoch. It closes the
folders of all earlier epochs by renaming them: an earlier writer, however long it slept, then has no folder to commit
into, and ends as :class:`Fenced`. Only after that are its staged files touched. Of two that start at once, either the
later closes the folder of the earlier, or the earlier sees the later's claim.

The same protocol as a table format's log (Delta Lake: Armbrust et al., VLDB 2020), kept to what Hive and Impala can
read without it; fencing by epochs as in ZooKeeper's and HDFS's own journals.
"""

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from uuid import uuid4

import msgspec
import structlog
from hdfs import InsecureClient

from clients import hdfs as files
from contracts import paths
from contracts.errors import BrokenPromise, Fenced, NotFound, Refused
from jobs.streaming.offsets import Gap

log = structlog.get_logger()
KEPT: Final = 100
"""Commits kept for reading back what happened; only the newest two are needed."""
KEPT_EPOCHS: Final = 3
"""Closed epochs whose commits are kept."""
KEPT_CLAIMS: Final = 1000
_OPEN: Final = re.compile(r"\d{8}")
_EPOCH: Final = re.compile(r"(\d{8})(-closed-\w+)?")
_COMMIT: Final = re.compile(r"(\d{12})\.json")


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

    Landed rows (late ones among them), copies dropped, dead letters, and those that Kafka no longer had.
    """

    landed: int = 0
    late: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    missed: int = 0

    def plus(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, name) + getattr(other, name) for name in self.__struct_fields__))


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
    there ever were. ``taken_back``: files of an earlier commit that could not be published whole, whose records are
    landed again.
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
        found = map(_COMMIT.fullmatch, files.names(self._hdfs, folder))
        return {int(match[1]): f"{folder}/{match[0]}" for match in found if match}

    def _epochs(self) -> list[str]:
        """The folders of all epochs, open or closed, oldest first."""
        names = [name for name in files.names(self._hdfs, self._folder) if _EPOCH.fullmatch(name)]
        return [f"{self._folder}/{name}" for name in sorted(names)]


class Writer(CommitLog):
    """The log as its one writer, ``run``, sees it: :meth:`start` first, then :meth:`append` and :meth:`publish`."""

    def __init__(self, hdfs: InsecureClient, name: str, run: str = "") -> None:
        super().__init__(hdfs, name)
        self._run = run or uuid4().hex[:12]
        self._staging = f"{paths.STAGING}/{name}"
        self._epoch = 0
        self._known_folders: set[str] = set()

    def start(self) -> Commit:
        """Fences all earlier writers and returns the commit to go on from, its renames finished.

        Leftovers of fenced writers are removed. Raises :class:`Fenced` where a later writer has started meanwhile,
        :class:`BrokenPromise` where the newest commit is damaged.
        """
        self.fence()
        newest = self.newest()
        base = self._recovered(newest)
        base.sequence = newest.sequence + 1
        base.files, base.staging = [], ""
        self.append(base)
        self._take_back(base)
        self.clean()
        return base

    def fence(self) -> None:
        """Makes every earlier writer harmless: it can commit no more. Raises :class:`Fenced` for a later writer."""
        self._epoch = self._claim()
        files.make_folder(self._hdfs, self._own)
        if (newest := max(self._claims())) > self._epoch:
            files.remove(self._hdfs, self._own)
            raise Fenced(f"another {self._name} started after this one (epoch {newest} after {self._epoch})")
        for name in files.names(self._hdfs, self._folder):
            if _OPEN.fullmatch(name) and int(name) < self._epoch:
                self._close(name)
        self._close_first_version()

    def require_unfenced(self) -> None:
        """Raises :class:`Fenced` where a later writer has started."""
        if not files.exists(self._hdfs, self._own):
            raise self._fenced()

    def _fenced(self) -> Fenced:
        return Fenced(
            f"another {self._name} started after this one (epoch {self._epoch}) and goes on in its place; "
            "nothing of this one's last batch was landed, and nothing is lost"
        )

    def append(self, commit: Commit) -> None:
        """Creates the commit file. Raises :class:`Fenced` when another writer has started since."""
        data = msgspec.json.encode(commit)
        path = f"{self._own}/{commit.sequence:012d}.json"
        draft = f"{self._own_staging}/commit-{commit.sequence}-{uuid4().hex}"
        if not files.create_once(self._hdfs, path, data, draft):
            raise self._fenced()
        files.write_whole(self._hdfs, f"{self._folder}/HEAD", f"{commit.sequence}".encode())
        if commit.sequence > KEPT:
            files.remove(self._hdfs, f"{self._own}/{commit.sequence - KEPT:012d}.json")

    def publish(self, commit: Commit) -> list[LandedFile]:
        """Renames the commit's files to where readers find them; returns those that are in neither place."""
        self._make_folders({file.final.rpartition("/")[0] for file in commit.files})
        with ThreadPoolExecutor(4) as pool:
            moved = list(pool.map(self._move, commit.files))
        lost = [file for file, there in zip(commit.files, moved, strict=True) if not there]
        if commit.staging and not lost:
            files.remove(self._hdfs, commit.staging)
        return lost

    def missing(self, commit: Commit) -> list[LandedFile]:
        """The files of a commit that are neither staged nor where readers find them."""
        return [
            file
            for file in commit.files
            if not files.exists(self._hdfs, file.final) and not files.exists(self._hdfs, file.staged)
        ]

    def staging_folder(self, sequence: int) -> str:
        return f"{self._own_staging}/{sequence:012d}"

    def clean(self) -> None:
        """Removes what fenced writers left, and commits that nobody needs. A fenced writer removes no later one's."""
        for name in files.names(self._hdfs, self._staging):
            match = re.match(r"(\d{8})-", name)
            # Version 0.1.0 named its staging folders by the sequence number.
            if int(match[1]) < self._epoch if match else re.fullmatch(r"\d{12}|claim-\w+", name):
                log.info("removed leftovers", folder=f"{self._staging}/{name}")
                files.remove(self._hdfs, f"{self._staging}/{name}")
        for folder in self._epochs()[: -KEPT_EPOCHS - 1]:
            if int(folder.rpartition("/")[2][:8]) < self._epoch:
                files.remove(self._hdfs, folder)
        for name in self._first_version()[:-1]:
            files.remove(self._hdfs, f"{self._folder}/{name}")
        for epoch in self._claims():
            if epoch < self._epoch - KEPT_CLAIMS:
                files.remove(self._hdfs, f"{self._folder}/claims/{epoch:08d}")

    @property
    def _own(self) -> str:
        return f"{self._folder}/{self._epoch:08d}"

    @property
    def _own_staging(self) -> str:
        return f"{self._staging}/{self._epoch:08d}-{self._run}"

    def _claims(self) -> list[int]:
        return [int(name) for name in files.names(self._hdfs, f"{self._folder}/claims") if name.isdigit()]

    def _first_version(self) -> list[str]:
        """Names of the commits of version 0.1.0, oldest first."""
        return [name for name in files.names(self._hdfs, self._folder) if _COMMIT.fullmatch(name)]

    def _claim(self) -> int:
        """Takes the next epoch, which one writer alone can."""
        files.make_folder(self._hdfs, f"{self._folder}/claims")
        while True:
            epoch = max(self._claims(), default=0) + 1
            claim, draft = f"{self._folder}/claims/{epoch:08d}", f"{self._staging}/claim-{uuid4().hex}"
            if files.create_once(self._hdfs, claim, self._run.encode(), draft):
                return epoch

    def _close(self, name: str) -> None:
        """Takes an earlier writer's folder away from it; done by another starting writer is done."""
        try:
            files.move(self._hdfs, f"{self._folder}/{name}", f"{self._folder}/{name}-closed-{self._run}")
        except Refused:
            if files.exists(self._hdfs, f"{self._folder}/{name}"):
                raise

    def _close_first_version(self) -> None:
        """Fences a writer of version 0.1.0, which commits beside the epochs: it finds its next commit made."""
        while (made := self._first_version()) and not any(map(self._commits_in, self._epochs())):
            newest = self.read(f"{self._folder}/{made[-1]}")
            for file in self.publish(newest):
                log.warning("staged file gone", file=file.final)
            closing = Commit(newest.sequence + 1, newest.topic_ids, [], newest.partitions, newest.totals)
            draft = f"{self._own_staging}/close-{uuid4().hex}"
            path = f"{self._folder}/{closing.sequence:012d}.json"
            if files.create_once(self._hdfs, path, msgspec.json.encode(closing), draft):
                return

    def _recovered(self, newest: Commit) -> Commit:
        """The newest commit with all its files where readers find them, or the one before where some have vanished."""
        self._take_back(newest)
        newest.taken_back = []
        lost = self.publish(newest)
        if not lost:
            return newest
        if not files.exists(self._hdfs, newest.staging):
            raise self._damaged(f"{len(lost)} files of commit {newest.sequence} are gone, the first {lost[0].final}")
        # It was committed and never published whole: its records are landed again from Kafka.
        previous = self._before(newest.sequence)
        log.warning("taken back", sequence=newest.sequence, staged_files_gone=len(lost), now_as=previous.sequence)
        previous.taken_back = [file.final for file in newest.files]
        return previous

    def _take_back(self, commit: Commit) -> None:
        """Removes the files of a commit that was taken back. Their names are those of that commit alone."""
        for path in commit.taken_back:
            files.remove(self._hdfs, path)

    def _move(self, file: LandedFile) -> bool:
        """Whether a file is where readers find it, after a rename where it was still staged."""
        try:
            files.move(self._hdfs, file.staged, file.final)
        except Refused:
            if files.exists(self._hdfs, file.staged):
                raise
            return False
        return True

    def _make_folders(self, folders: Iterable[str]) -> None:
        for folder in sorted(set(folders) - self._known_folders):
            files.make_folder(self._hdfs, folder)
            self._known_folders.add(folder)

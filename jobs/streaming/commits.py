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
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final
from uuid import uuid4

import msgspec
import structlog
from hdfs import InsecureClient

from clients import claims
from clients import hdfs as files
from clients.commits import COMMIT, Commit, CommitLog, LandedFile, compacted_into
from contracts import paths
from contracts.errors import Fenced, Refused

log = structlog.get_logger()
KEPT: Final = 100
"""Commits kept for reading back what happened; only the newest two are needed."""
KEPT_EPOCHS: Final = 3
"""Closed epochs whose commits are kept."""
KEPT_CLAIMS: Final = 1000
EXCHANGE_SECONDS: Final = 1.0
"""After which files that a compaction exchanges are there again."""
KEPT_TAKEN_BACK: Final = 10_000
"""Commits after which it is forgotten which files were taken back."""
_OPEN: Final = re.compile(r"\d{8}")


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
        recovered = self._recovered(newest)
        kept = [path for path in recovered.taken_back if _number(path) > newest.sequence - KEPT_TAKEN_BACK]
        base = recovered.next(sequence=newest.sequence + 1, taken_back=kept)
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

    def tell_landed_until(self, time: datetime) -> None:
        """Notes beside the log that all that Kafka had at ``time`` is landed. A later writer's start makes it void."""
        files.write_whole(self._hdfs, self._until(self._epoch), time.isoformat().encode())

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
        """The files of a commit that are neither staged nor where readers find them, as they were or compacted."""
        return [
            file
            for file in commit.files
            if not files.exists(self._hdfs, file.final)
            and not files.exists(self._hdfs, file.staged)
            and not compacted_into(self._hdfs, file.final)
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
        claims.forget(self._hdfs, self._claims_folder, self._epoch - KEPT_CLAIMS)
        for name in files.names(self._hdfs, self._folder):
            if name.startswith("UNTIL-") and f"{self._folder}/{name}" < self._until(self._epoch):
                files.remove(self._hdfs, f"{self._folder}/{name}")

    @property
    def _own(self) -> str:
        return f"{self._folder}/{self._epoch:08d}"

    @property
    def _own_staging(self) -> str:
        return f"{self._staging}/{self._epoch:08d}-{self._run}"

    def _first_version(self) -> list[str]:
        """Names of the commits of version 0.1.0, oldest first."""
        return [name for name in files.names(self._hdfs, self._folder) if COMMIT.fullmatch(name)]

    def _claim(self) -> int:
        """Takes the next epoch, which one writer alone can."""
        draft = f"{self._staging}/claim-{uuid4().hex}"
        return claims.take(self._hdfs, self._claims_folder, self._run, draft)

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
            closing = newest.next()
            draft = f"{self._own_staging}/close-{uuid4().hex}"
            path = f"{self._folder}/{closing.sequence:012d}.json"
            if files.create_once(self._hdfs, path, msgspec.json.encode(closing), draft):
                return

    def _recovered(self, newest: Commit) -> Commit:
        """The newest commit with all its files where readers find them, or the one before where some have vanished."""
        self._take_back(newest)
        lost = self.publish(newest)
        if not lost:
            return newest
        if not files.exists(self._hdfs, newest.staging):
            time.sleep(EXCHANGE_SECONDS)
            if not (lost := self.publish(newest)):
                return newest
            raise self._damaged(f"{len(lost)} files of commit {newest.sequence} are gone, the first {lost[0].final}")
        # It was committed and never published whole: its records are landed again from Kafka.
        previous = self._before(newest.sequence)
        log.warning("taken back", sequence=newest.sequence, staged_files_gone=len(lost), now_as=previous.sequence)
        previous.taken_back = [*newest.taken_back, *(file.final for file in newest.files)]
        return previous

    def _take_back(self, commit: Commit) -> None:
        """Removes the files of a commit that was taken back. Their names are those of that commit alone."""
        for path in commit.taken_back:
            files.remove(self._hdfs, path)

    def _move(self, file: LandedFile) -> bool:
        """Whether a file is where readers find it, or its rows are, after a rename where it was still staged."""
        try:
            files.move(self._hdfs, file.staged, file.final)
        except Refused:
            if not files.exists(self._hdfs, file.staged):
                return bool(compacted_into(self._hdfs, file.final))
            # A compaction exchanges the folder at this moment.
            files.make_folder(self._hdfs, file.final.rpartition("/")[0])
            files.move(self._hdfs, file.staged, file.final)
        return True

    def _make_folders(self, folders: Iterable[str]) -> None:
        for folder in sorted(set(folders) - self._known_folders):
            files.make_folder(self._hdfs, folder)
            self._known_folders.add(folder)


def _number(path: str) -> int:
    """The sequence number of the commit that a landed file is of; 0 for version 0.1.0."""
    made_by = paths.commits_of(path)
    return made_by.last if made_by else 0

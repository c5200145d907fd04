"""A compaction with something in between any two of its steps: a crash, a late row, another compaction, readers.

The NameNode and the SQL endpoint are in memory; files are lists of rows.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

import jobs.compaction.__main__ as compaction
from clients.commits import Commit, LandedFile
from contracts import paths
from contracts.errors import BrokenPromise, Fenced, NotFound
from contracts.paths import INGEST
from jobs.compaction import exchange
from jobs.compaction.choice import Hour
from jobs.streaming import commits
from jobs.streaming.commits import Writer
from tests.support.fake_hdfs import FakeHdfs

NINE, TEN = Hour("clicks", "2026-11-23", "09"), Hour("clicks", "2026-11-23", "10")
GRACE = timedelta(hours=1)
Hook = Callable[[], None]


class Crash(BaseException):
    """The process is gone."""


class Hooked(FakeHdfs):
    """Calls ``before`` ahead of every change."""

    before: Hook = staticmethod(lambda: None)

    def _changing(name: str) -> Any:  # type: ignore[misc]
        def change(self: "Hooked", *arguments: Any, **keywords: Any) -> Any:
            self.before()
            return getattr(FakeHdfs, name)(self, *arguments, **keywords)

        return change

    write, delete, rename, _rename, makedirs = map(_changing, ["write", "delete", "rename", "_rename", "makedirs"])


class Lake:
    """What is landed, where SQL reads it, and how statements and readers of folders see it."""

    def __init__(self) -> None:
        self.hdfs = Hooked()
        self.where: dict[Hour, str] = {}
        self.rows: set[str] = set()
        self.first_rows: set[str] = set()
        self.statements: list[list[str]] = []
        self.gaps = 0
        self.returned = 0
        """How often a folder had a row again that ingest takes back."""
        self.writer = Writer(self.hdfs, INGEST)
        self.last = self.writer.start()
        for number in range(3):
            self.land(NINE, TEN, name=f"early-{number}")
        self.land(Hour("clicks", "2026-11-24", "00"), name="the newest")
        self.first_rows = set(self.rows)

    def put(self, hour: Hour, location: str) -> None:
        self.hdfs.before()
        self.where[hour] = location

    def stage(self, *hours: Hour, name: str) -> Commit:
        sequence = self.last.sequence + 1
        staging = self.writer.staging_folder(sequence)
        file = paths.landed_file(paths.LandedBatch(0, sequence, sequence, sequence))
        landed = [LandedFile(f"{staging}/{hour.date}-{hour.hour}", f"{hour.folder}/{file}", 1) for hour in hours]
        for hour, one in zip(hours, landed, strict=True):
            self.hdfs.write(one.staged, f"{name} of {hour}\n".encode())
        days = self.last.days | {hour.date: sequence for hour in hours}
        self.last = self.last.next(files=landed, staging=staging, days=days)
        self.writer.append(self.last)
        return self.last

    def land(self, *hours: Hour, name: str) -> None:
        assert self.writer.publish(self.stage(*hours, name=name)) == []
        self.rows |= {f"{name} of {hour}" for hour in hours}

    def lines(self, files: Iterable[str]) -> list[str]:
        return [line for path in files for line in self.hdfs.files[path].decode().splitlines()]

    def listed(self, folder: str) -> list[str]:
        return [
            path
            for path in self.hdfs.files
            if path.rpartition("/")[0] == folder and not path.rpartition("/")[2].startswith((".", "_"))
        ]

    def hours(self) -> set[Hour]:
        return {
            Hour("clicks", *paths.partition_of(path)[1:])
            for path in self.hdfs.files
            if path.startswith(f"{paths.stream_folder('clicks')}/")
        } | {NINE, TEN}

    def planned(self) -> list[str]:
        """The files that a statement is planned over."""
        return [path for hour in self.hours() for path in self.listed(self.where.get(hour, hour.folder))]

    def of_folders(self) -> list[str]:
        return self.lines(path for hour in self.hours() for path in self.listed(hour.folder))

    def look(self) -> None:
        """What must hold between any two steps."""
        found = self.lines(self.planned())
        assert not [row for row, times in Counter(found).items() if times > 1], "SQL sees a row twice"
        assert self.first_rows <= set(found), "SQL misses a row"
        in_folders = self.of_folders()
        twice = {row for row, times in Counter(in_folders).items() if times > 1}
        assert not {row for row in twice if not row.startswith("half")}, "a folder has a row twice"
        self.returned += bool(twice)
        self.gaps += not self.first_rows <= set(in_folders)
        for statement in self.statements:
            assert all(path in self.hdfs.files for path in statement), "a file was taken from under a statement"
        # What ingest takes back it takes from under statements, compaction or not.
        self.statements.append([path for path in self.planned() if b"half" not in self.hdfs.files[path]])

    def compact(self, grace: timedelta = GRACE) -> compaction.Report:
        return compaction.Compaction(self.hdfs, self, grace)(timedelta())  # type: ignore[arg-type]


@pytest.fixture
def lake(monkeypatch: pytest.MonkeyPatch) -> Lake:
    made = Lake()

    def concatenated(_: Any, __: Any, files: list[str]) -> bytes:
        return b"".join(made.hdfs.files[path] for path in files)

    def wait(_: float) -> Iterable[None]:
        yield
        made.statements.clear()  # they are over after the grace
        yield

    monkeypatch.setattr(compaction, "merged", concatenated)
    monkeypatch.setattr(compaction, "_until", wait)
    return made


def at_step(lake: Lake, number: int, act: Hook) -> None:
    """Looks before each of the next changes, and acts once before the one of this ``number``."""
    steps = iter(range(10_000))

    def before() -> None:
        lake.hdfs.before = staticmethod(lambda: None)  # type: ignore[assignment]
        try:
            lake.look()
            if next(steps) == number:
                act()
                lake.look()
        finally:
            lake.hdfs.before = before  # type: ignore[assignment]

    lake.hdfs.before = before  # type: ignore[assignment]


def settle(lake: Lake) -> None:
    """A further run, unharmed, and what must be true then."""
    lake.hdfs.before = staticmethod(lambda: None)  # type: ignore[assignment]
    lake.statements.clear()
    lake.land(Hour("clicks", "2026-11-24", "01"), name="one more")
    lake.compact(timedelta())
    lake.compact(timedelta())
    assert Counter(lake.of_folders()) == Counter(dict.fromkeys(lake.rows, 1))
    assert Counter(lake.lines(lake.planned())) == Counter(dict.fromkeys(lake.rows, 1))
    assert all(place == hour.folder for hour, place in lake.where.items())
    for hour in (NINE, TEN):
        names = [path.rpartition("/")[2] for path in lake.listed(hour.folder)]
        assert sum(name.startswith("compacted-") for name in names) == 1, names
        assert len(names) <= 1 + 3, names
    assert [path for path in lake.hdfs.files if path.startswith((exchange.READ, exchange.WORK))] == []
    assert lake.writer.missing(lake.last) == []


def test_readers_in_the_middle(lake: Lake) -> None:
    at_step(lake, -1, lambda: None)
    report = lake.compact()
    assert (report.hours, report.files_before, report.files_after) == (2, 6, 2)
    assert lake.gaps == 2, "rows are missed for one rename of each hour"
    settle(lake)


def test_an_hour_that_was_left_is_looked_at_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of its files was gone when it was read; nothing lands of the date since."""

    def gone(*_: Any) -> bytes:
        raise NotFound("gone")

    with monkeypatch.context() as patch:
        patch.setattr(compaction, "merged", gone)
        assert lake.compact().left == 2
    assert lake.compact().hours == 2


def test_an_hour_with_a_damaged_file_is_left_and_told_the_others_are_compacted(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(_: Any, __: Any, files: list[str]) -> bytes:
        if any(path.startswith(NINE.folder) for path in files):
            raise BrokenPromise("cannot be read as Parquet")
        return b"".join(lake.hdfs.files[path] for path in files)

    monkeypatch.setattr(compaction, "merged", damaged)
    for _ in range(2):
        with pytest.raises(BrokenPromise, match="cannot be read as Parquet"):
            lake.compact()
    assert len(lake.listed(NINE.folder)) == 3
    assert len(lake.listed(TEN.folder)) == 1
    assert paths.COMPACTION_RUN not in lake.hdfs.files, "the alert CompactionBehind goes by it"


def steps_of(lake: Lake) -> int:
    count = 0

    def one_more() -> None:
        nonlocal count
        count += 1

    lake.hdfs.before = staticmethod(one_more)  # type: ignore[assignment]
    lake.compact()
    return count


STEPS = 30
"""As many as a run has here or more: see ``test_no_step_is_left_out``."""


def test_no_step_is_left_out(lake: Lake) -> None:
    assert STEPS - 10 < steps_of(lake) <= STEPS


def after_compact(lake: Lake) -> None:
    """Runs to its end, or to where the test ends it."""
    with suppress(Crash, Fenced):
        lake.compact()


@pytest.mark.parametrize("step", range(STEPS))
def test_a_crash_at_any_step(lake: Lake, step: int) -> None:
    def die() -> None:
        raise Crash

    at_step(lake, step, die)
    after_compact(lake)
    lake.hdfs.before = staticmethod(lambda: None)  # type: ignore[assignment]
    lake.look()
    lake.land(NINE, TEN, name="after the crash")
    exchange.show_landed_of(lake.hdfs, NINE.date)  # type: ignore[arg-type]
    found = set(lake.lines(lake.planned()))
    assert lake.rows <= found, "what had landed before a day is computed is seen, whatever a crash left"
    at_step(lake, -1, lambda: None)
    lake.compact()
    settle(lake)


@pytest.mark.parametrize("step", range(STEPS))
def test_rows_that_land_at_any_step(lake: Lake, step: int) -> None:
    at_step(lake, step, lambda: lake.land(NINE, TEN, name="late"))
    lake.compact()
    settle(lake)


@pytest.mark.parametrize("step", range(STEPS))
def test_rows_that_are_taken_back_at_any_step(lake: Lake, step: int) -> None:
    """A commit published by half, whose other file vanished: the next start removes the one, and lands both again."""

    def land_half() -> None:
        commit = lake.stage(NINE, TEN, name="half")
        lake.writer.publish(commit.next(sequence=commit.sequence, files=commit.files[:1], staging=""))
        lake.hdfs.delete(commit.files[1].staged)

    def start_anew() -> None:
        lake.writer = Writer(lake.hdfs, INGEST)  # type: ignore[arg-type]
        lake.last = lake.writer.start()
        lake.land(NINE, TEN, name="half")

    land_half()
    lake.statements.clear()
    at_step(lake, step, start_anew)
    lake.compact()
    assert lake.returned <= 1, "for one step, where ingest starts between the question and the rename"
    lake.hdfs.before = staticmethod(lambda: None)  # type: ignore[assignment]
    if "half of" not in "".join(lake.rows):
        start_anew()
    settle(lake)


@pytest.mark.parametrize("step", range(STEPS))
def test_ingest_starts_at_any_step(lake: Lake, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Its newest commit's files are compacted; between two renames a start may find none, and the next one goes on."""
    monkeypatch.setattr(commits, "EXCHANGE_SECONDS", 0)
    lake.land(NINE, TEN, name="newest")

    def start() -> None:
        try:
            lake.last = Writer(lake.hdfs, INGEST).start()  # type: ignore[arg-type]
        except BrokenPromise:
            assert not all(lake.listed(hour.folder) for hour in (NINE, TEN))

    at_step(lake, step, start)
    lake.compact()
    lake.hdfs.before = staticmethod(lambda: None)  # type: ignore[assignment]
    lake.writer = Writer(lake.hdfs, INGEST)  # type: ignore[arg-type]
    lake.last = lake.writer.start()
    settle(lake)


@pytest.mark.parametrize("step", range(STEPS))
def test_another_compaction_at_any_step(lake: Lake, step: int) -> None:
    """The first goes on after the second has ended, and finds that it is fenced."""

    def second() -> None:
        lake.statements.clear()  # of which the grace of the first takes no account
        at_step(lake, -1, lambda: None)
        lake.compact()

    at_step(lake, step, second)
    after_compact(lake)
    settle(lake)

"""When a day is closed, which days a run takes; no order of runs and commits closes a day over missing rows."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from clients.commits import Commit, LandedFile
from contracts import paths
from contracts.errors import BrokenPromise, NotFound, NotReady
from contracts.paths import INGEST
from jobs.batch import days
from jobs.streaming.commits import Writer
from serving.days import closed
from tests.support.fake_hdfs import FakeHdfs

MONDAY, TUESDAY, WEDNESDAY = (date(2026, 11, number) for number in (23, 24, 25))
GRACE = timedelta(minutes=30)


class Lake:
    """An ingest that commits a row of a day at a time, and what lies where readers find it."""

    def __init__(self) -> None:
        self.hdfs = FakeHdfs()
        self.rows: dict[date, int] = {}
        self.restart()

    def restart(self) -> None:
        self.writer = Writer(self.hdfs, INGEST)
        self.last = self.writer.start()

    def land(self, *landed: date) -> None:
        for day in landed:
            sequence = self.last.sequence + 1
            staging = self.writer.staging_folder(sequence)
            name = paths.landed_file(paths.LandedBatch(0, sequence, sequence, sequence))
            final = f"{paths.stream_folder('clicks')}/date={day}/hour=09/{name}"
            file = LandedFile(f"{staging}/{day}", final, 1)
            self.hdfs.write(file.staged, b"row")
            self.last = self.last.next(files=[file], staging=staging, days=self.last.days | {str(day): sequence})
            self.writer.append(self.last)
            assert self.writer.publish(self.last) == []
            self.rows[day] = self.rows.get(day, 0) + 1


@pytest.fixture
def lake() -> Lake:
    return Lake()


def is_closed(lake: Lake, *asked: date) -> set[date]:
    return set(closed(lake.hdfs, asked))


def run_through(lake: Lake, day: date, run: str) -> list[date]:
    days.begin(lake.hdfs, day, True, run)
    taken = days.days_of(lake.hdfs, day, run)
    for found in taken:
        assert days.close(lake.hdfs, found, run)
    return taken


def test_a_day_is_closed_by_its_run_and_opened_by_a_late_row(lake: Lake) -> None:
    lake.land(MONDAY, MONDAY, TUESDAY)
    assert is_closed(lake, MONDAY, TUESDAY) == set()
    assert run_through(lake, MONDAY, "night one") == [MONDAY]
    assert is_closed(lake, MONDAY, TUESDAY) == {MONDAY}
    lake.land(MONDAY)
    assert is_closed(lake, MONDAY) == set()
    assert run_through(lake, TUESDAY, "night two") == [TUESDAY, MONDAY]
    assert is_closed(lake, MONDAY, TUESDAY) == {MONDAY, TUESDAY}
    lake.restart()
    assert is_closed(lake, MONDAY, TUESDAY) == {MONDAY, TUESDAY}, "a start of ingest lands nothing"
    assert run_through(lake, WEDNESDAY, "night three") == [WEDNESDAY], "what is closed is left alone"


def test_days_missed_while_no_run_began_are_taken_by_the_next(lake: Lake) -> None:
    lake.land(MONDAY, TUESDAY, WEDNESDAY)
    assert run_through(lake, WEDNESDAY, "back") == [WEDNESDAY, TUESDAY, MONDAY]


def test_a_run_takes_so_many_open_days_and_the_next_run_the_others(lake: Lake) -> None:
    first = date(2026, 1, 1)
    lake.land(*(first + timedelta(days=number) for number in range(days.REOPENED + 2)))
    newest = first + timedelta(days=days.REOPENED + 1)
    assert len(run_through(lake, newest, "one")) == 1 + days.REOPENED
    assert run_through(lake, newest + timedelta(days=1), "two") == [newest + timedelta(days=1), first]


def test_a_day_that_is_not_over_is_computed_alone_and_stays_open(lake: Lake) -> None:
    lake.land(MONDAY, TUESDAY)
    assert days.begin(lake.hdfs, TUESDAY, False, "by hand").days == {str(TUESDAY): None}
    assert days.landed_more(lake.hdfs, TUESDAY)
    assert not days.close(lake.hdfs, TUESDAY, "by hand")


def test_a_run_without_a_plan_is_one_sentence(lake: Lake) -> None:
    assert days.days_of(lake.hdfs, MONDAY, "") == [MONDAY]
    with pytest.raises(NotFound, match="run 'scheduled__2026' has planned no days"):
        days.days_of(lake.hdfs, MONDAY, "scheduled__2026")


def test_plans_do_not_pile_up(lake: Lake) -> None:
    for number in range(70):
        days.begin(lake.hdfs, MONDAY + timedelta(days=number), True, f"run {number}")
    assert len(lake.hdfs.list(paths.DAY_PLANS)) == days.KEPT.days + 1


def test_a_day_is_landed_whole_once_ingest_has_told_so(lake: Lake) -> None:
    with pytest.raises(NotReady, match=r"2026-11-23 to be landed whole.*2026-11-24T00:30:00Z.*ingest has not said yet"):
        days.wait_until_landed(lake.hdfs, MONDAY, GRACE, 0)
    due = datetime(2026, 11, 24, 0, 30, tzinfo=UTC)
    lake.writer.tell_landed_until(due - timedelta(seconds=1))
    with pytest.raises(NotReady, match="2026-11-24 00:29:59"):
        days.wait_until_landed(lake.hdfs, MONDAY, GRACE, 0)
    lake.writer.tell_landed_until(due)
    assert days.wait_until_landed(lake.hdfs, MONDAY, GRACE, 0)
    lake.restart()
    with pytest.raises(NotReady, match="ingest has not said yet"):
        days.wait_until_landed(lake.hdfs, MONDAY, GRACE, 0)


def test_what_a_fenced_ingest_tells_is_void(lake: Lake) -> None:
    fenced = lake.writer
    lake.restart()
    fenced.tell_landed_until(datetime.now(UTC))
    with pytest.raises(NotReady, match="ingest has not said yet"):
        days.wait_until_landed(lake.hdfs, MONDAY, GRACE, 0)
    lake.restart()
    assert not [name for name in lake.hdfs.list(f"{paths.COMMITS}/{INGEST}") if name.startswith("UNTIL")]


def test_a_day_to_come_is_not_waited_for(lake: Lake) -> None:
    assert not days.wait_until_landed(lake.hdfs, datetime.now(UTC).date(), timedelta(), 0)


class Runs(RuleBasedStateMachine):
    """Runs that begin, read, write and close in any order, over an ingest that lands, restarts, and dies half-way."""

    def __init__(self) -> None:
        super().__init__()
        self.lake = Lake()
        self.made = 0
        self.read: dict[str, dict[date, int]] = {}
        self.mart: dict[date, int] = {}

    @rule(day=st.sampled_from([MONDAY, TUESDAY]))
    def land(self, day: date) -> None:
        self.lake.land(day)

    @rule()
    def restart(self) -> None:
        self.lake.restart()

    @rule(day=st.sampled_from([MONDAY, TUESDAY]))
    def die_between_commit_and_publishing(self, day: date) -> None:
        lake = self.lake
        lake.writer.publish, publish = (lambda commit: []), lake.writer.publish  # type: ignore[method-assign]
        lake.land(day)
        lake.writer.publish = publish  # type: ignore[method-assign]
        lake.restart()

    @rule(day=st.sampled_from([MONDAY, TUESDAY]), lands=st.booleans())
    def begin_and_compute(self, day: date, lands: bool) -> None:
        self.made += 1
        run = f"run {self.made}"
        days.begin(self.lake.hdfs, day, True, run)
        if lands:
            self.lake.land(day)
        taken = days.days_of(self.lake.hdfs, day, run)
        self.read[f"{run}/{day}"] = {found: self._visible(found) for found in taken}

    @precondition(lambda self: self.read)
    @rule(data=st.data())
    def write(self, data: st.DataObject) -> None:
        run, read = self._one(data)
        for day, rows in read.items():
            try:
                days.require_newest(self.lake.hdfs, day, run[1])
            except BrokenPromise:
                continue
            self.mart[day] = rows

    @precondition(lambda self: self.read)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        run, read = self._one(data)
        if all(self.mart.get(day) == rows for day, rows in read.items()):  # reconciled
            for day in read:
                days.close(self.lake.hdfs, day, run[1])

    def _one(self, data: st.DataObject) -> tuple[tuple[date, str], dict[date, int]]:
        name = data.draw(st.sampled_from(sorted(self.read)))
        run, _, day = name.partition("/")
        return (date.fromisoformat(day), run), self.read[name]

    def _visible(self, day: date) -> int:
        folder = f"{paths.stream_folder('clicks')}/date={day}/"
        return sum(path.startswith(folder) for path in self.lake.hdfs.files)

    @invariant()
    def a_closed_day_has_all_its_rows(self) -> None:
        for day in is_closed(self.lake, MONDAY, TUESDAY):
            assert self.mart.get(day, 0) == self.lake.rows.get(day, 0)


TestRuns: Any = Runs.TestCase
TestRuns.settings = hypothesis_settings(max_examples=200, stateful_step_count=30)


def test_a_commit_of_the_first_version_has_no_days() -> None:
    assert Commit().days == {}

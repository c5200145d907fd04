"""One writer, whoever else starts: every order of two drivers' steps on an HDFS in memory, each with a crash anywhere.

Steps as operators see them (start, stage, append, publish) are enumerated in every order, with a crash before and after
each. Below them, each single call of HDFS may be the one between which the other driver runs: those orders are walked
by the number of switches (Musuvathi and Qadeer, Iterative context bounding, PLDI 2007), and at random with three.
"""

import itertools
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from greenlet import GreenletExit, getcurrent, greenlet

from clients import retry
from clients.commits import Commit, LandedFile, PartitionState
from contracts.errors import BrokenPromise, Fenced
from jobs.streaming import commits
from jobs.streaming.commits import Writer
from tests.support.fake_hdfs import FakeHdfs

RECORDS = 6
"""Of the topic's only partition, ``t/0``; a batch takes two of them."""
FOLDER = "/data/t/hour=00"


CALLS = ("status", "list", "makedirs", "write", "read", "delete", "rename", "_rename")


class Serial:
    """In the place of a thread pool: the order of calls is the test's."""

    def __init__(self, _: int) -> None:
        pass

    def __enter__(self) -> "Serial":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, work: Callable[[Any], Any], items: list[Any]) -> Iterator[Any]:
        return map(work, items)


def at_once(_: float = 0) -> Callable[..., Any]:
    """In the place of trying again: an HDFS in memory is always there, and there are many calls."""
    return lambda work, *arguments, **keywords: work(*arguments, **keywords)


@pytest.fixture(autouse=True)
def simple(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "ThreadPoolExecutor", Serial)
    monkeypatch.setattr(retry, "retrying", at_once)
    monkeypatch.setattr(commits.log, "info", lambda *_, **__: None, raising=False)
    monkeypatch.setattr(commits.log, "warning", lambda *_, **__: None, raising=False)


class Stepped:
    """Gives the word back to the scheduler before each call; a driver that has crashed calls no more."""

    def __init__(self) -> None:
        self._hdfs, self.over = FakeHdfs(), False

    def __getattr__(self, name: str) -> Any:
        if name in CALLS and (scheduler := getcurrent().parent):
            if self.over:
                raise GreenletExit
            scheduler.switch()
        return getattr(self._hdfs, name)


def visible(hdfs: FakeHdfs | Stepped) -> Counter[int]:
    """How often each record is in a file that readers find."""
    landed = [json.loads(data) for path, data in hdfs.files.items() if path.startswith(f"{FOLDER}/")]
    return Counter(offset for offsets in landed for offset in offsets)


class Driver:
    """An ingest of the topic: its steps, in order."""

    def __init__(self, hdfs: FakeHdfs | Stepped, name: str, batches: int = 1) -> None:
        self.hdfs, self.writer = hdfs, Writer(hdfs, "test", name)
        self.last, self.next = Commit(), Commit()
        self.steps: list[Callable[[], None]] = [self.start, *[self.stage, self.append, self.publish] * batches]

    def start(self) -> None:
        self.last = self.writer.start()

    def stage(self) -> None:
        """Two files of a record each, as of two hours."""
        begin = self.last.partitions.get("t/0", PartitionState()).end
        sequence = self.last.sequence + 1
        staging, files = self.writer.staging_folder(sequence), []
        for offset in range(begin, min(begin + 2, RECORDS)):
            staged = LandedFile(f"{staging}/{offset}", f"{FOLDER}/part-0-{offset}-{sequence}", 1)
            self.hdfs.write(staged.staged, json.dumps([offset]).encode())
            files.append(staged)
        state = {"t/0": PartitionState(begin + len(files))}
        self.next = Commit(sequence, files=files, partitions=state, staging=staging)

    def append(self) -> None:
        self.writer.append(self.next)

    def publish(self) -> None:
        assert self.writer.publish(self.next) == []
        self.last = self.next

    def run(self) -> None:
        for step in self.steps:
            step()


def settle(hdfs: FakeHdfs | Stepped) -> None:
    """The next start, alone: it goes on from whatever is there, and ends with every record once."""
    driver = Driver(hdfs, "last", RECORDS)
    driver.run()
    assert visible(hdfs) == Counter(range(RECORDS))
    leftovers = [path for path in hdfs.files if path.startswith("/data/ecommerce/_staging/")]
    assert leftovers == []


def before(kind: str) -> Stepped:
    """What an earlier driver left: nothing, a batch landed, staged files, a commit not published or by half."""
    hdfs = Stepped()
    driver = Driver(hdfs, "first", 2)
    done = {"nothing": 0, "landed": 4, "staged": 5, "committed": 6, "half published": 6}[kind]
    for step in driver.steps[:done]:
        step()
    if kind == "half published":
        hdfs.makedirs(FOLDER)
        hdfs.rename(driver.next.files[0].staged, driver.next.files[0].final)
    return hdfs


STATES = ("nothing", "landed", "staged", "committed", "half published")


@pytest.mark.parametrize("state", STATES)
def test_every_order_of_two_drivers_steps_with_a_crash_anywhere(state: str) -> None:
    length = len(Driver(FakeHdfs(), "x").steps)
    for order in itertools.combinations(range(2 * length), length):
        turns = [0 if number in order else 1 for number in range(2 * length)]
        for crashes in itertools.product(range(length + 1), repeat=2):
            hdfs = before(state)
            drivers = [Driver(hdfs, "one"), Driver(hdfs, "two")]
            steps = [iter(driver.steps[:crash]) for driver, crash in zip(drivers, crashes, strict=True)]
            for turn in turns:
                try:
                    next(steps[turn], lambda: None)()
                except Fenced:
                    steps[turn] = iter(())
                assert max(visible(hdfs).values(), default=0) <= 1
            settle(hdfs)


def play(hdfs: Stepped, drivers: list[Driver], turns: Iterator[int]) -> list[BaseException | None]:
    """Runs the drivers call by call in this order of turns; those that no turn is left for have crashed."""
    ended: list[BaseException | None] = [None] * len(drivers)

    def run(number: int) -> None:
        try:
            drivers[number].run()
        except (Fenced, BrokenPromise) as error:
            ended[number] = error

    running = {number: greenlet(partial(run, number)) for number in range(len(drivers))}
    for turn in turns:
        if turn in running:
            running[turn].switch()
            if running[turn].dead:
                del running[turn]
            assert max(visible(hdfs).values(), default=0) <= 1
    hdfs.over = True
    return ended


def calls(state: str) -> int:
    """How often a driver of one batch calls HDFS."""
    hdfs = before(state)
    count = 0
    driver = greenlet(Driver(hdfs, "alone").run)
    while not driver.dead:
        driver.switch()
        count += 1
    return count


@pytest.mark.parametrize("state", STATES)
def test_the_other_driver_may_run_between_any_two_calls(state: str) -> None:
    """One runs some calls, the other some, the first to its end or death, then the other to its end or death."""
    most = calls(state) + 3
    for first, second in itertools.product(range(most), range(0, most, 4)):
        for ends in ((999, 999), (0, 999), (999, 0)):
            turns = itertools.chain(*(itertools.repeat(n % 2, c) for n, c in enumerate((first, second, *ends))))
            hdfs = before(state)
            ended = play(hdfs, [Driver(hdfs, "one"), Driver(hdfs, "two")], turns)
            assert all(error is None or isinstance(error, Fenced) for error in ended)
            settle(hdfs)


@pytest.mark.parametrize("seed", range(400))
def test_three_drivers_in_any_order_with_deaths(seed: int) -> None:
    chance = random.Random(seed)
    hdfs = before(chance.choice(STATES))
    drivers = [Driver(hdfs, name, 2) for name in ("one", "two", "three")]
    lives = [chance.choice((999, 999, chance.randrange(120))) for _ in drivers]
    turns = [number for number, life in enumerate(lives) for _ in range(min(life, 150))]
    order: list[int] = []
    while turns:
        number = chance.choice(turns)
        run = min(chance.choice((1, 1, 3, 20)), turns.count(number))
        order += [number] * run
        for _ in range(run):
            turns.remove(number)
    ended = play(hdfs, drivers, iter(order))
    assert all(error is None or isinstance(error, Fenced) for error in ended)
    settle(hdfs)


def test_a_writer_that_slept_through_many_commits_still_cannot_commit() -> None:
    hdfs = FakeHdfs()
    sleeper = Driver(hdfs, "sleeper")
    sleeper.start()
    sleeper.stage()
    for number in range(commits.KEPT_EPOCHS + 2):
        Driver(hdfs, f"later{number}").start()
    writer = Driver(hdfs, "busy")
    writer.start()
    for number in range(commits.KEPT + 5):
        writer.writer.append(Commit(writer.last.sequence + 1 + number))
    with pytest.raises(Fenced, match="goes on in its place"):
        sleeper.append()
    assert visible(hdfs) == Counter()


def test_a_writer_of_version_0_1_0_is_fenced_and_its_commit_published() -> None:
    hdfs = FakeHdfs()
    old = {
        "sequence": 7,
        "files": [
            {"staged": "/data/ecommerce/_staging/test/000000000007/a", "final": f"{FOLDER}/part-0-0-1", "rows": 2}
        ],
        "partitions": {"t/0": {"end": 2}},
    }
    hdfs.write("/data/ecommerce/_staging/test/000000000007/a", b"[0, 1]")
    for sequence in (5, 6, 7):
        data = json.dumps({**old, "sequence": sequence} if sequence == 7 else {"sequence": sequence}).encode()
        hdfs.write(f"/data/ecommerce/_commits/test/{sequence:012d}.json", data)
    driver = Driver(hdfs, "new")
    driver.start()
    assert driver.last.partitions["t/0"].end == 2
    assert visible(hdfs) == Counter({0: 1, 1: 1})
    assert "/data/ecommerce/_commits/test/000000000008.json" in hdfs.files, "the old one's next commit"
    settle(hdfs)
    assert len([path for path in hdfs.files if path.startswith("/data/ecommerce/_commits/test/0000000000")]) == 1


def test_staged_files_that_vanished_are_landed_again() -> None:
    hdfs = FakeHdfs()
    driver = Driver(hdfs, "one")
    for step in driver.steps[:3]:
        step()
    hdfs.delete(driver.next.files[1].staged)
    settle(hdfs)


def damage_truncated(hdfs: FakeHdfs, path: str) -> None:
    hdfs.files[path] = hdfs.files[path][:20]


def damage_lost(hdfs: FakeHdfs, path: str) -> None:
    del hdfs.files[path]


@pytest.mark.parametrize("damage", [damage_truncated, damage_lost])
def test_a_damaged_newest_commit_is_one_sentence_with_the_command(damage: Callable[[FakeHdfs, str], None]) -> None:
    hdfs = FakeHdfs()
    driver = Driver(hdfs, "one", 2)
    driver.run()
    damage(hdfs, driver.writer.commits()[driver.last.sequence])
    for _ in range(2):
        with pytest.raises(BrokenPromise, match=r"python -m jobs\.repair --dry-run"):
            Driver(hdfs, "two").start()
    assert visible(hdfs) == Counter(range(4))

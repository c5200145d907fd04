"""When ingest tells that all is landed, without servers."""

import time
from datetime import UTC, datetime

import pytest

from clients import kafka
from contracts.errors import Unreachable
from contracts.settings import Settings
from jobs.streaming import evidence
from jobs.streaming.evidence import Evidence

CLICKS, STOCK = "clicks/0", "inventory/0"


class World:
    """Kafka, what is landed of it, a clock, and what was told."""

    def __init__(self) -> None:
        self.held: kafka.Ranges = {CLICKS: (0, 0), STOCK: (0, 0)}
        self.done: dict[str, int] = {}
        self.away = False
        self.clock = 0.0
        self.told: list[datetime] = []
        self.evidence = Evidence(Settings(), ["clicks", "inventory"], lambda: self.done, self.told.append)

    def ranges(self, settings: Settings, topics: list[str]) -> kafka.Ranges:
        if self.away:
            raise Unreachable("Kafka cannot be reached")
        return dict(self.held)

    def after(self, seconds: float) -> int:
        """How often it was told, some seconds later."""
        self.clock += seconds
        self.evidence.tell()
        return len(self.told)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    found = World()
    monkeypatch.setattr(kafka, "ranges", found.ranges)
    monkeypatch.setattr(time, "monotonic", lambda: found.clock)
    return found


def test_what_was_there_when_kafka_was_asked_must_be_landed(world: World) -> None:
    world.held = {CLICKS: (0, 10), STOCK: (0, 3)}
    before = datetime.now(UTC)
    assert world.after(0) == 0
    asked_by = datetime.now(UTC)
    world.done = {CLICKS: 10, STOCK: 2}
    assert world.after(1) == 0
    world.held = {CLICKS: (0, 99), STOCK: (0, 99)}
    world.done = {CLICKS: 10, STOCK: 3}
    assert world.after(100) == 1, "what came since is of the next question"
    assert before <= world.told[0] <= asked_by, "the time of the question, not of the answer"
    assert world.after(evidence.PAUSE_SECONDS) == 1
    world.done = {CLICKS: 99, STOCK: 99}
    assert world.after(0) == 2


def test_quiet_streams_hold_nothing_up(world: World) -> None:
    assert world.after(0) == 1
    assert world.after(1) == 1, "not each second"
    assert world.after(evidence.PAUSE_SECONDS) == 2


def test_records_that_retention_took_before_ingest_began_are_not_waited_for(world: World) -> None:
    world.held = {CLICKS: (70, 70), STOCK: (5, 8)}
    world.done = {STOCK: 8}
    assert world.after(0) == 1


def test_kafka_away_makes_it_later(world: World) -> None:
    world.away = True
    assert world.after(0) == 0
    world.away = False
    assert world.after(1) == 0
    assert world.after(evidence.PAUSE_SECONDS) == 1

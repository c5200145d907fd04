"""Speed drivers over each other: any batches, any order of their calls of HBase, any deaths; the cells of one alone.

The drivers read the same log with batches of their own. A switch may come between any two calls, which is where a
paused process, a lost node or a second terminal puts one. HBase in memory keeps three versions of a cell and no more.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any

import msgspec
import pytest
from greenlet import GreenletExit, getcurrent, greenlet

from clients import kafka
from contracts.events import INVENTORY, STREAMS, WATERMARK, Stream
from contracts.hbase import SPEED_PROGRESS, Progress
from generator import strange
from jobs.streaming.views import count, read_kafka
from tests.support import samples
from tests.support.fake_hbase import FakeHBase, FakeTable
from tests.support.judging import records
from tests.support.seen_clicks import without_batches

NOW = datetime(2026, 11, 25, 10, tzinfo=UTC)
LENGTH = 60


def log_of(stream: Stream, chance: Random) -> list[bytes | None]:
    """Events of few users and products within half an hour, so that late and doubled ones are among them."""
    make = samples.BY_STREAM[stream]
    values: list[bytes | None] = []
    while len(values) < LENGTH:
        changes: dict[str, Any] = {"event_time": NOW - timedelta(seconds=chance.randrange(1800))}
        if stream is INVENTORY:
            changes |= {"stock_level": chance.randrange(3, 8), "change": -1, "warehouse": chance.choice(("n", "s"))}
        else:
            changes["user_id"] = f"u{chance.randrange(4)}"
        values.append(samples.encode(make(**changes)))
        if chance.random() < 0.1:
            values.append(values[chance.randrange(len(values))])
        if chance.random() < 0.1:
            values.append(strange.record(chance, stream, NOW))
    return values[:LENGTH]


class Stepped(FakeHBase):
    """Gives the word back to the scheduler before each call; a driver that has died calls no more."""

    over = False

    def table(self, name: str) -> FakeTable:
        if scheduler := getcurrent().parent:
            if self.over:
                raise GreenletExit
            scheduler.switch()
        return super().table(name)


def drive(hbase: FakeHBase, stream: Stream, values: list[bytes | None], batches: Iterable[int]) -> None:
    """A driver: begins where progress stands, then takes its batches."""
    row = FakeTable(hbase, SPEED_PROGRESS.name).row(stream.topic.encode())
    at = max((msgspec.json.decode(cell, type=Progress).end for cell in row.values()), default=0)
    for size in batches:
        part = values[at : at + size]
        if not part:
            return
        source = partial(read_kafka, stream.topic, [records(part, NOW, at)], WATERMARK)
        count(f"{stream.topic}/0", "id", "", at, source, ignore, hbase)  # type: ignore[arg-type]
        at += len(part)


def ignore(alerts: Iterable[kafka.Record]) -> None:
    """Alerts go nowhere."""


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
@pytest.mark.parametrize("seed", range(60))
def test_the_cells_are_those_of_a_driver_that_ran_alone(stream: Stream, seed: int) -> None:
    chance = Random(seed)
    values = log_of(stream, chance)
    alone = FakeHBase()
    drive(alone, stream, values, [LENGTH])
    shared = Stepped()
    drivers = []
    for _ in range(3):
        sizes = [chance.choice((1, 2, 5, 9, 30)) for _ in range(LENGTH)]
        drivers.append(greenlet(partial(drive, shared, stream, values, sizes)))
    lives = [chance.choice((10_000, chance.randrange(200))) for _ in drivers]
    while running := [number for number, driver in enumerate(drivers) if not driver.dead and lives[number] > 0]:
        number = chance.choice(running)
        for _ in range(chance.choice((1, 1, 2, 15))):
            lives[number] -= 1
            drivers[number].switch()
            if drivers[number].dead:
                break
    shared.over = True
    drive(shared, stream, values, [7] * LENGTH)
    assert seen(shared) == seen(alone)


def seen(hbase: FakeHBase) -> dict[str, Any]:
    """All that readers see, and up to where it is counted."""
    return without_batches({table: rows for table, rows in hbase.newest().items() if rows})

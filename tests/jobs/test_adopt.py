"""A topic created anew or cut: both layers go on with it, keep what they have, and double nothing."""

from contextlib import nullcontext
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

import msgspec
import pytest

from clients import hbase
from clients.commits import Commit, PartitionState
from contracts import hbase as tables
from contracts.errors import BrokenPromise
from contracts.events import PURCHASES, Purchase
from contracts.hbase import Progress, Revenue
from contracts.settings import Settings
from jobs.adopt import Topic, adopt_counted, counted, landed
from jobs.streaming.views import Read, Records, count
from tests.support import samples
from tests.support.fake_hbase import FakeHBase
from tests.support.judging import judge

MINUTE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PLACE = f"{PURCHASES.topic}/0"
COLUMN = tables.partition_column(tables.VALUE_FAMILY, 0)


def test_a_topic_created_anew_is_landed_from_its_beginning() -> None:
    known = {PLACE: PartitionState(50, 7, 40, ["/x"]), "other/0": PartitionState(3)}
    commit = Commit(4, {PURCHASES.topic: "old", "other": "other"}, partitions=known)
    assert landed(commit, Topic(PURCHASES.topic, "new", {PLACE: 70})) == {PLACE: PartitionState()}
    assert landed(commit, Topic(PURCHASES.topic, "old", {PLACE: 70})) == {}


def test_a_topic_that_was_cut_goes_on_at_its_end() -> None:
    commit = Commit(4, {PURCHASES.topic: "same"}, partitions={PLACE: PartitionState(50, 7, 40, ["/x"])})
    topic = Topic(PURCHASES.topic, "same", {PLACE: 20})
    assert landed(commit, topic) == {PLACE: PartitionState(20, 7, 40, ["/x"])}
    assert counted({PLACE: Progress(50, 7, "same", "", 5)}, topic) == {PLACE: Progress(20, 7, "same", "", 35)}


def buy(number: int, first: int) -> Read:
    """So many purchases of a minute from an offset on."""
    values = [samples.encode(samples.purchase(event_time=MINUTE, user_id="adopted")) for _ in range(number)]
    events = judge(PURCHASES, list(values), MINUTE)
    found: Records = [(first + at, event, False) for at, event in enumerate(events) if isinstance(event, Purchase)]
    assert len(found) == number
    return Read(found, first + number, round(MINUTE.timestamp() * 1000))


def rest(read: Read, start: int, newest_ms: int | None) -> Read:
    """What is left of it from an offset on."""
    return read._replace(records=[record for record in read.records if record[0] >= start], end=max(read.end, start))


def test_speed_goes_on_above_the_cells_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    store = FakeHBase()
    monkeypatch.setattr(hbase, "connection", lambda _: nullcontext(store))

    def play(topic_id: str, *purchases: int) -> None:
        at = 0
        for number in purchases:
            read = buy(number, at)
            count(PLACE, topic_id, "", at, partial(rest, read), lambda _: None, store)  # type: ignore[arg-type]
            at = read.end

    def progress() -> Progress:
        cell = store.table(tables.SPEED_PROGRESS.name).row(PURCHASES.topic.encode())[COLUMN]
        return msgspec.json.decode(cell, type=Progress)

    play("old", 3, 4)
    assert progress().end == 7
    with pytest.raises(BrokenPromise, match=r"created anew.*jobs\.adopt"):
        play("new", 2)
    topic = Topic(PURCHASES.topic, "new", {PLACE: 2})
    changed = counted({PLACE: progress()}, topic)
    adopt_counted(Settings(), changed)
    assert counted({PLACE: progress()}, topic) == {}, "again changes nothing"
    play("new", 2)
    play("new", 2)  # a replay
    assert (progress().end, progress().topic_id, progress().version) == (2, "new", 9)
    revenue = store.table(tables.REVENUE_BY_MINUTE.name).row(tables.minute_key(MINUTE))[COLUMN]
    assert msgspec.json.decode(revenue, type=Revenue) == Revenue(9 * Decimal("19.90"), 9)

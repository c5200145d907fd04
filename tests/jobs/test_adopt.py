"""A topic created anew or cut: both layers go on with it, keep what they have, and double nothing."""

from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

import msgspec
import pytest

from clients import hbase
from contracts import hbase as tables
from contracts.events import PURCHASES, Purchase
from contracts.hbase import Progress, Revenue
from contracts.settings import Settings
from jobs.adopt import Topic, adopt_counted, counted, landed
from jobs.streaming.commits import Commit, PartitionState
from jobs.streaming.views import Read, Records, count
from tests.support import samples
from tests.support.judging import judge

MINUTE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
"""A minute of its own, far from what other tests count."""
PARTITION = 91
PLACE = f"{PURCHASES.topic}/{PARTITION}"


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


@pytest.fixture
def progress_before(stack: Settings) -> None:
    with hbase.connection(stack) as connection:
        connection.table(tables.SPEED_PROGRESS.name).delete(
            PURCHASES.topic.encode(), columns=[tables.partition_column(tables.VALUE_FAMILY, PARTITION)]
        )


def test_speed_goes_on_above_the_cells_that_it_has(stack: Settings, progress_before: None) -> None:
    def play(topic_id: str, *purchases: int) -> None:
        with hbase.connection(stack) as connection:
            at = 0
            for number in purchases:
                read = buy(number, at)
                count(PLACE, topic_id, "", at, partial(rest, read), lambda _: None, connection)
                at = read.end

    def cell(table: tables.HBaseTable, row: bytes, family: str) -> bytes:
        column = tables.partition_column(family, PARTITION)
        found: bytes = hbase.attempt(stack, lambda c: c.table(table.name).row(row, columns=[column]))[column]
        return found

    play("old", 3, 4)
    topic = Topic(PURCHASES.topic, "new", {PLACE: 2})
    before = {PLACE: msgspec.json.decode(cell(tables.SPEED_PROGRESS, PURCHASES.topic.encode(), "v"), type=Progress)}
    assert before[PLACE].end == 7
    changed = counted(before, topic)
    adopt_counted(stack, changed)
    assert counted(changed, topic) == {}, "again changes nothing"
    play("new", 2)
    play("new", 2)  # a replay
    revenue = msgspec.json.decode(cell(tables.REVENUE_BY_MINUTE, tables.minute_key(MINUTE), "v"), type=Revenue)
    assert revenue == Revenue(9 * Decimal("19.90"), 9)
    now = msgspec.json.decode(cell(tables.SPEED_PROGRESS, PURCHASES.topic.encode(), "v"), type=Progress)
    assert (now.end, now.topic_id, now.version) == (2, "new", 9)
    with hbase.connection(stack) as connection:
        column = tables.partition_column(tables.VALUE_FAMILY, PARTITION)
        connection.table(tables.SPEED_PROGRESS.name).delete(PURCHASES.topic.encode(), columns=[column])
        connection.table(tables.REVENUE_BY_MINUTE.name).delete(tables.minute_key(MINUTE))
        connection.table(tables.USER_PROFILES.name).delete(b"adopted")

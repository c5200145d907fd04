"""HBase made anew from a topic whose offsets began again: the cells are those that the speed job had, one by one."""

import random
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import pytest

from clients import hbase
from clients import hdfs as files
from clients.commits import Commit, PartitionState
from contracts import hbase as tables
from contracts import paths
from contracts.errors import BrokenPromise
from contracts.events import BY_TOPIC, CLICKS, INVENTORY, PURCHASES, WATERMARK, Stream
from contracts.hbase import REBUILDING, Progress
from contracts.paths import LandedBatch
from contracts.settings import Settings
from jobs import rebuild
from jobs.adopt import Topic, adopt_counted, adopted, counted
from jobs.streaming.landing import parquet
from jobs.streaming.views import count, read_kafka
from tests.jobs.test_landed_records import rows
from tests.support import judging, samples
from tests.support.fake_hbase import FakeHBase
from tests.support.seen_clicks import without_batches

NOW = datetime.now(UTC)
SAMPLES: dict[Stream, Callable[..., dict[str, Any]]] = {
    CLICKS: samples.click,
    PURCHASES: samples.purchase,
    INVENTORY: samples.stock_change,
}
FEW: dict[Stream, str] = {CLICKS: "user_id", PURCHASES: "user_id", INVENTORY: "warehouse"}
"""What few are of, so that most values are made of many records."""


class Platform:
    """One partition of a stream: ingest's log and files, and HBase as the speed job keeps it."""

    def __init__(self, stream: Stream, drawn: random.Random) -> None:
        self.topic, self.place, self.drawn = stream.topic, f"{stream.topic}/0", drawn
        self.values = [self._value(stream) for _ in range(400)]
        self.log = Commit(1, {self.topic: "first"})
        self.files: dict[str, bytes] = {}
        self.speed = FakeHBase()
        self.kafka: list[bytes | None] = []

    def _value(self, stream: Stream) -> bytes:
        event = SAMPLES[stream](event_time=NOW - timedelta(minutes=self.drawn.uniform(0, 25)))
        return samples.encode(event | {FEW[stream]: f"{FEW[stream]}-{self.drawn.randrange(3)}"})

    def play(self, records: int) -> None:
        """Batches of both jobs, of records some of which were sent before, and some are no events."""
        self.kafka += [self.drawn.choice([*self.values, b"{"]) for _ in range(records)]
        while (begin := self.log.partitions.get(self.place, PartitionState()).end) < len(self.kafka):
            end = min(len(self.kafka), begin + self.drawn.randrange(1, 60))
            batch = judging.records(self.kafka[begin:end], NOW, first=begin)
            key = self.speed.table(tables.SPEED_PROGRESS.name).row(self.topic.encode())
            source = partial(read_kafka, self.topic, [batch], WATERMARK)
            topic_id = self.log.topic_ids[self.topic]
            count(self.place, topic_id, "", begin, source, lambda _: None, self.speed)  # type: ignore[arg-type]
            assert self.progress(self.speed).end == end, key
            newest = self.progress(self.speed).newest_ms
            landed = read_kafka(self.topic, [batch], WATERMARK, begin, None).records
            sequence = self.log.sequence + 1
            folder = paths.hour_folder(BY_TOPIC[self.topic].name, NOW)
            name = paths.landed_file(LandedBatch(0, begin, end - 1, sequence))
            if landed:
                self.files[f"{folder}/{name}"] = parquet(rows(BY_TOPIC[self.topic], landed))
            state = {self.place: PartitionState(end, newest)}
            self.log = msgspec.structs.replace(self.log, sequence=sequence, partitions=state)

    def begin_again(self, topic_id: str, kept: int) -> None:
        """The topic ends at ``kept`` now, in another topic where the id is another; both layers adopt it."""
        self.kafka = self.kafka[:kept]
        topic = Topic(self.topic, topic_id, {self.place: kept})
        adopt_counted(Settings(), counted({self.place: self.progress(self.speed)}, topic))
        self.log = adopted(self.log, topic)

    def progress(self, store: FakeHBase) -> Progress:
        cell = store.table(tables.SPEED_PROGRESS.name).row(self.topic.encode())
        column = tables.partition_column(tables.VALUE_FAMILY, 0)
        return msgspec.json.decode(cell[column], type=Progress) if cell else Progress()


@pytest.fixture(params=SAMPLES, ids=[stream.name for stream in SAMPLES])
def platform(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """What landed and was counted of a topic that was created anew, cut, and created anew once more."""
    found = Platform(request.param, random.Random(11))
    monkeypatch.setattr(hbase, "connection", lambda _: nullcontext(found.speed))
    monkeypatch.setattr(files, "client", lambda _: None)
    monkeypatch.setattr(files, "walk", lambda _, folder: [path for path in found.files if path.startswith(folder)])
    monkeypatch.setattr(files, "read", lambda _, path: found.files[path])
    monkeypatch.setattr(rebuild, "CHUNK_ROWS", 40)
    found.play(250)
    found.begin_again("second", 0)
    found.play(180)
    found.begin_again("second", 70)
    found.play(120)
    found.begin_again("third", 0)
    found.play(90)
    return found


def made_anew(platform: Platform, monkeypatch: pytest.MonkeyPatch, stops: int | None = None) -> FakeHBase:
    """HBase after a rebuild that was broken off after each so many chunks."""
    store = FakeHBase()
    monkeypatch.setattr(hbase, "attempt", lambda _, work, *__: work(store))
    rebuild.write_progress(Settings(), {platform.place: (Progress(topic_id=REBUILDING, whole=True), 0)})
    [found] = rebuild.landed_files(None, platform.log).values()  # type: ignore[arg-type]
    broken_off = True
    while broken_off:
        stands, chunks, broken_off = platform.progress(store), 0, False
        left = sum(one.end - rebuild.first_left(one, stands) for one in found)
        for events, offsets in rebuild.rebuild_partition(Settings(), platform.place, found, stands, WATERMARK):
            left -= offsets
            chunks += bool(events)
            if broken_off := chunks == stops:
                break
        assert broken_off or left == 0
    monkeypatch.setattr(rebuild, "speed_progress", lambda _: {platform.place: platform.progress(store)})
    rebuild.hand_over(Settings(), platform.log)
    return store


def without_generation(platform: Platform, store: FakeHBase) -> dict[str, Any]:
    progress = msgspec.structs.replace(platform.progress(store), generation="")
    return {**without_batches(store.newest()), tables.SPEED_PROGRESS.name: progress}


@pytest.mark.parametrize("stops", [None, 1, 2, 5])
def test_hbase_is_the_same(platform: Platform, monkeypatch: pytest.MonkeyPatch, stops: int | None) -> None:
    made = made_anew(platform, monkeypatch, stops)
    assert without_generation(platform, made) == without_generation(platform, platform.speed)
    assert platform.progress(made).base == 250 + 110 + 190


def test_the_speed_job_goes_on_from_it(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    made, before = made_anew(platform, monkeypatch), platform.speed
    generation = platform.progress(made).generation
    batch = judging.records(platform.values[:50], NOW, first=90)
    for store, known in ((made, generation), (before, "")):
        source = partial(read_kafka, platform.topic, [batch], WATERMARK)
        count(platform.place, "third", known, 90, source, lambda _: None, store)  # type: ignore[arg-type]
    assert without_generation(platform, made) == without_generation(platform, before)


def test_offsets_that_began_again_without_a_word_in_the_log_are_refused(platform: Platform) -> None:
    platform.log.adoptions = platform.log.adoptions[:1]
    with pytest.raises(BrokenPromise, match="began again, and ingest's log does not say where"):
        rebuild.landed_files(None, platform.log)  # type: ignore[arg-type]

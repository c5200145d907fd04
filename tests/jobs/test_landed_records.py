"""What ``jobs.rebuild`` makes of landed files, without a server: the records that the speed job makes of Kafka's."""

import random
from datetime import UTC, datetime, timedelta

import msgspec
import pyarrow as pa
import pytest

from clients import hdfs as files
from clients.commits import Commit, PartitionState
from contracts import paths
from contracts.errors import BrokenPromise
from contracts.events import CLICKS, PURCHASES, STREAMS, WATERMARK, Purchase, Stream
from contracts.hive import RAW, arrow_schema
from jobs import rebuild
from jobs.rebuild import Landed
from jobs.streaming.landing import parquet
from jobs.streaming.views import Records, read_kafka
from tests.support import judging, samples

NOW = datetime.now(UTC)


def rows(stream: Stream, records: Records) -> pa.Table:
    """Records as ingest lands them, in the order given."""
    found = [
        msgspec.structs.asdict(event) | {"kafka_partition": 0, "kafka_offset": offset} for offset, event, _ in records
    ]
    return pa.Table.from_pylist(found, arrow_schema(RAW[stream.name].columns))


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_records_are_those_that_the_speed_job_reads(monkeypatch: pytest.MonkeyPatch, stream: Stream) -> None:
    drawn = random.Random(5)
    now = datetime.now(UTC)
    values: list[bytes | None] = [
        samples.encode(samples.BY_STREAM[stream](event_time=now - timedelta(minutes=drawn.uniform(0, 25))))
        for _ in range(300)
    ]
    values[::7] = [b"{"] * len(values[::7])
    kafka = judging.records(values, now, first=100)
    read = read_kafka(stream.topic, [kafka], WATERMARK, 100, None)
    assert len({late for *_, late in read.records}) == 2

    shuffled = drawn.sample(read.records, len(read.records))
    halves = {"/a": shuffled[:150], "/b": shuffled[150:]}
    stored = {path: parquet(rows(stream, half)) for path, half in halves.items()}
    monkeypatch.setattr(files, "read", lambda _, path: stored[path])
    monkeypatch.setattr(rebuild, "CHUNK_ROWS", 64)
    landed = [Landed(100, 399, path) for path in stored]
    found: Records = []
    newest_ms = None
    for chunk in rebuild.chunks(None, 0, landed, 100):  # type: ignore[arg-type]
        assert chunk.num_rows <= 64
        records, end, newest_ms = rebuild.read_landed(stream.topic, chunk, WATERMARK, 100, newest_ms)
        assert end == records[-1][0] + 1
        found += records
    assert found == read.records
    assert newest_ms == read.newest_ms
    late = [offset for offset, _, late in read.records if late]
    rest = rebuild.read_landed(stream.topic, rows(stream, []), WATERMARK, late[0], newest_ms)
    assert rest == ([], late[0], newest_ms)


def test_files_of_before_a_field_was_added_are_read_beside_later_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of version 0.1.0 lack what its rows could not name either."""
    values: list[bytes | None] = [samples.encode(samples.purchase(event_time=NOW)) for _ in range(4)]
    now = read_kafka(PURCHASES.topic, [judging.records(values, NOW)], WATERMARK, 0, None).records
    without = {0: "/old", 1: "/new", 2: "/older", 3: "/new"}
    later = {"/old": ["country"], "/older": ["country", "unknown_fields"], "/new": []}
    stored = {
        path: parquet(rows(PURCHASES, [one for one in now if without[one[0]] == path]).drop_columns(lacks))
        for path, lacks in later.items()
    }
    monkeypatch.setattr(files, "read", lambda _, path: stored[path])

    def read(*paths: str) -> list[str | None]:
        found = rebuild.chunks(None, 0, [Landed(0, 3, path) for path in paths], 0)  # type: ignore[arg-type]
        events = [
            one for chunk in found for one in rebuild.read_landed(PURCHASES.topic, chunk, WATERMARK, 0, None).records
        ]
        return [event.country for _, event, _ in events if isinstance(event, Purchase)]

    assert read("/old", "/new", "/older") == [None, "FR", None, "FR"]
    assert read("/old", "/older") == [None, None]


def test_files_are_read_when_their_first_offset_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that overlap, as hours do once they are compacted, and rows of other partitions are left out."""
    monkeypatch.setattr(rebuild, "CHUNK_ROWS", 10)
    spans = {"/a": [*range(0, 25), 58], "/b": [*range(26, 40), 25], "/c": [41, 59], "/d": []}
    read_paths: list[str] = []

    def read(_: None, path: str) -> bytes:
        read_paths.append(path)
        values = samples.encode(samples.click(event_time=NOW))
        records = [read_kafka(CLICKS.topic, [judging.records([values], NOW)], WATERMARK, 0, None).records[0]]
        landed = rows(CLICKS, [(offset, records[0][1], False) for offset in spans[path]])
        others = landed.set_column(
            landed.column_names.index("kafka_partition"), "kafka_partition", pa.array([1] * landed.num_rows, pa.int64())
        )
        return parquet(pa.concat_tables([landed, others]))

    monkeypatch.setattr(files, "read", read)
    landed = [Landed(min(offsets), max(offsets), path) for path, offsets in spans.items() if offsets]
    found = []
    for chunk in rebuild.chunks(None, 0, landed, 3):  # type: ignore[arg-type]
        found.append((chunk["kafka_offset"].to_pylist(), "".join(read_paths)))
    assert [offset for offsets, _ in found for offset in offsets] == [*range(3, 40), 41, 58, 59]
    assert found[0][1] == "/a"
    assert [read for _, read in found][-1] == "/a/b/c", "each is read once"


def test_an_offset_landed_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = judging.records([samples.encode(samples.click())], datetime.now(UTC))
    read = read_kafka(CLICKS.topic, [batch], WATERMARK, 0, None)
    monkeypatch.setattr(files, "read", lambda *_: parquet(rows(CLICKS, read.records)))
    with pytest.raises(BrokenPromise, match="an offset of partition 0 from 0 on is landed twice"):
        list(rebuild.chunks(None, 0, [Landed(0, 5, "/a"), Landed(0, 9, "/b")], 0))  # type: ignore[arg-type]


FOLDER = paths.stream_folder(CLICKS.name)


@pytest.mark.parametrize(
    ("names", "end", "fine"),
    [
        (["part-00000-0-9-2", "part-00000-0-9-2", "part-00000-10-19-3"], 20, True),
        (["part-00000-0-9", "part-00000-10-19", "part-00000-20-29-3"], 30, True),
        (["part-00000-0-9-2", "part-00000-10-19-9"], 10, True),
        (["part-00000-0-9-2", "part-00000-0-4-3"], 5, False),
        (["part-00000-0-9-2", "part-00000-0-9-3"], 10, False),
        (["part-00000-0-9-2"], 0, False),
    ],
    ids=[
        "in order",
        "of version 0.1.0",
        "of a commit to come",
        "created anew",
        "anew with as many",
        "nothing landed anew",
    ],
)
def test_files_of_two_topics_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, names: list[str], end: int, fine: bool
) -> None:
    listed = [f"{FOLDER}/date=2026-11-24/hour={hour:02d}/{name}.parquet" for hour, name in enumerate(names)]
    monkeypatch.setattr(files, "walk", lambda _, folder: listed if folder == FOLDER else [])
    commit = Commit(5, partitions={f"{CLICKS.topic}/0": PartitionState(end)})
    if fine:
        landed = rebuild.landed_files(None, commit)  # type: ignore[arg-type]
        [stretch] = landed[f"{CLICKS.topic}/0"]
        assert [file.path for file in stretch.files] == listed[: 1 if end == 10 else 3]
    else:
        with pytest.raises(BrokenPromise, match="the offsets of ecommerce-clicks/0 began again"):
            rebuild.landed_files(None, commit)  # type: ignore[arg-type]

"""What an ingest task does with the records of its Kafka partition: Parquet staged by hour, dead letters sent."""

import io
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from operator import attrgetter
from typing import Any
from uuid import uuid4

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clients import hdfs as files
from clients import kafka
from clients.commits import Counts, LandedFile, PartitionState, Tally, tally_key
from contracts import paths
from contracts.events import BY_TOPIC, Stream, epoch_ms, from_epoch_ms
from contracts.hive import RAW, TALLY_AMOUNT, arrow_schema
from contracts.paths import LandedBatch
from contracts.settings import Settings
from contracts.topics import DEAD_LETTERS, MAX_DEAD_LETTER_BYTES, MAX_MESSAGE_BYTES
from jobs.streaming import window as windows
from jobs.streaming.partitions import by_partition
from jobs.streaming.records import Event, Reader, Rejected

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MAX_KEY_BYTES = 4096
"""Of a record's key kept with its dead letter."""
SUMMARY = pa.schema([("summary", pa.binary())])


class Summary(msgspec.Struct):
    """What a task did with its partition: the state after it, the files it staged, its counts, tallies of each day.

    ``products``: its rows of products that :class:`Landing` does not know, by their ids.
    """

    partition: str
    state: PartitionState
    files: list[LandedFile]
    counts: Counts
    tallies: dict[str, dict[str, Tally]] = {}
    products: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class Landing:
    """All that a task needs to know, the catalogue's products among it; sent to the executors with the task."""

    settings: Settings
    delay: timedelta
    run: str
    sequence: int
    staging: str
    states: dict[str, PartitionState]
    products: frozenset[str] = frozenset()

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """For ``DataFrame.mapInArrow``: records in, one :class:`Summary` (JSON) a Kafka partition out."""
        partitions: dict[str, _Partition] = {}
        for batch in batches:
            for key, records in by_partition(batch):
                if key not in partitions:
                    state = self.states.get(key, PartitionState())
                    partitions[key] = _Partition(self, key, state)
                partitions[key].add(records)
        for partition in partitions.values():
            yield pa.record_batch([[msgspec.json.encode(partition.finish())]], schema=SUMMARY)


class _Partition:
    """One Kafka partition's records of a batch."""

    def __init__(self, landing: Landing, partition: str, state: PartitionState) -> None:
        topic, _, number = partition.rpartition("/")
        self._landing, self._name, self._state = landing, partition, state
        self._topic, self._number = topic, int(number)
        self._stream = BY_TOPIC[topic].name
        self._columns = RAW[self._stream].columns
        newest = None if state.newest_ms is None else from_epoch_ms(state.newest_ms)
        self._reader = Reader(topic, newest, landing.delay)
        self._hdfs = files.client(landing.settings)
        self._window = windows.load(self._hdfs, landing.run, partition, state)
        self._counts = Counts()
        self._dead = DeadLetters(landing.settings, topic, self._number)
        self._tables: list[pa.Table] = []
        self._seen: set[str] = set()
        self._start: int | None = None
        self._end = state.end

    def add(self, batch: pa.RecordBatch) -> None:
        if self._end:
            batch = batch.filter(pc.greater_equal(batch["offset"], self._state.end))
        if batch.num_rows == 0:
            return
        if self._start is None:
            self._start = batch["offset"][0].as_py()
        self._end = batch["offset"][-1].as_py() + 1
        events: list[Event] = []
        kept: list[int] = []
        late: list[bool] = []
        for read in self._reader.read(batch):
            if isinstance(read, Rejected):
                self._dead.send(read)
                continue
            offset, event, is_late = read
            if event.event_id in self._seen:
                self._counts.duplicates += 1
                continue
            self._seen.add(event.event_id)
            events.append(event)
            kept.append(offset)
            late.append(is_late)
        if events:
            self._keep(events, kept, late)

    def _keep(self, events: list[Event], offsets: list[int], late: list[bool]) -> None:
        """Turns events to columns, less the copies of those that earlier batches landed."""
        table = self._table(events, offsets)
        if self._window.num_rows:
            new = pc.invert(pc.is_in(table["event_id"], value_set=self._window["event_id"]))
            if not pc.all(new).as_py():
                self._counts.duplicates += table.num_rows - pc.sum(new).as_py()
                table = table.filter(new)
                late = pc.filter(pa.array(late), new.combine_chunks()).to_pylist()
        self._counts.late += sum(late)
        self._tables.append(table)

    def _table(self, events: list[Event], offsets: list[int]) -> pa.Table:
        schema = arrow_schema(self._columns)
        lineage: dict[str, Any] = {
            "kafka_partition": pa.array(np.full(len(offsets), self._number)),
            "kafka_offset": pa.array(offsets, pa.int64()),
            "unknown_fields": pa.array([self._reader.unknown.pop(one, None) for one in offsets], pa.string()),
        }
        arrays = []
        for field in schema:
            if field.name in lineage:
                arrays.append(lineage[field.name])
            else:
                arrays.append(pa.array(list(map(attrgetter(field.name), events)), field.type))
        return pa.Table.from_arrays(arrays, schema=schema)

    def finish(self) -> Summary:
        self._counts.dead_letters = self._dead.close()
        newest_ms = None if self._reader.newest is None else epoch_ms(self._reader.newest)
        if self._start is None:
            return Summary(self._name, self._state, [], self._counts)
        written, window, tallies, products = [], self._window, {}, {}
        if self._tables:
            table = pa.concat_tables(self._tables)
            self._counts.landed = table.num_rows
            self._counts.unknown_fields = table.num_rows - table["unknown_fields"].null_count
            written = self._write(table)
            tallies = tallied(BY_TOPIC[self._topic], table)
            of_products = table["product_id"].drop_null().value_counts().to_pylist()
            products = {
                one["values"]: one["counts"] for one in of_products if one["values"] not in self._landing.products
            }
            new = pa.table([table["event_id"], table["kafka_offset"], event_ms(table)], schema=windows.SCHEMA)
            window = windows.prune(pa.concat_tables([window, new]), newest_ms, self._landing.delay)
        windows.store(self._landing.run, self._name, self._end, window)
        state = PartitionState(self._end, newest_ms, *self._window_start(window, written))
        return Summary(self._name, state, written, self._counts, tallies, products)

    def _window_start(self, window: pa.Table, written: list[LandedFile]) -> tuple[int, list[str]]:
        """The window's first offset and the files from there on, by the offsets that the file names tell."""
        start = pc.min(window["offset"]).as_py() if window.num_rows else self._end
        candidates = [*self._state.window_files, *(file.final for file in written)]
        return start, [name for name in candidates if _last_offset(name) >= start]

    def _write(self, table: pa.Table) -> list[LandedFile]:
        """Stages a Parquet file for each hour of event time."""
        hours = event_ms(table).to_numpy() // HOUR_MS
        unique = np.unique(hours).tolist()
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda hour: self._write_hour(table.filter(pa.array(hours == hour)), hour), unique))

    def _write_hour(self, rows: pa.Table, hour: int) -> LandedFile:
        """Stages the rows of an hour (counted since 1970)."""
        folder = paths.hour_folder(self._stream, from_epoch_ms(hour * HOUR_MS))
        name = paths.landed_file(LandedBatch(self._number, self._start or 0, self._end - 1, self._landing.sequence))
        staged = f"{self._landing.staging}/{self._name.replace('/', '-')}-{hour}-{uuid4().hex}.parquet"
        files.write(self._hdfs, staged, parquet(rows))
        return LandedFile(staged, f"{folder}/{name}", rows.num_rows)


def event_ms(table: pa.Table) -> pa.ChunkedArray:
    """The event times of a table, in milliseconds since 1970 UTC."""
    return table["event_time"].cast(pa.timestamp("ms")).cast(pa.int64())


def tallied(stream: Stream, table: pa.Table) -> dict[str, dict[str, Tally]]:
    """Rows and amounts of a stream's table by day (YYYY-MM-DD) and :func:`clients.commits.tally_key`."""
    nothing = pa.nulls(table.num_rows, pa.string())
    columns = {
        "day": pc.divide(event_ms(table), DAY_MS),
        "kind": table[stream.kind] if stream.kind else nothing,
        # As decimals: a sum of the largest changes of stock is beyond 64 bits.
        "amount": (table[stream.amount] if stream.amount else nothing).cast(pa.decimal128(*TALLY_AMOUNT)),
    }
    grouped = pa.table(columns).group_by(["day", "kind"]).aggregate([("day", "count"), ("amount", "sum")])
    found: dict[str, dict[str, Tally]] = {}
    for row in grouped.to_pylist():
        day = f"{from_epoch_ms(row['day'] * DAY_MS):%Y-%m-%d}"
        part = Tally(row["day_count"], row["amount_sum"] or Decimal(0))
        found.setdefault(day, {})[tally_key(stream.name, row["kind"])] = part
    return found


def parquet(table: pa.Table, metadata: dict[str, str] | None = None) -> bytes:
    """Parquet that Spark, Hive 4 and Impala 4 read alike, sorted by event time, compressed with zstd.

    Timestamps are INT64 microseconds, which have statistics: what asks for a range of times skips the rest. Version
    0.1.0 wrote INT96, which has none. ``metadata``: what the footer tells beside.
    """
    sink = io.BytesIO()
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression="zstd",
        coerce_timestamps="us",
        use_dictionary=[name for name in table.column_names if name not in ("event_id", "kafka_offset")],
        store_schema=False,
    ) as writer:
        writer.write_table(table.sort_by("event_time"))
        writer.add_key_value_metadata(metadata or {})
    return sink.getvalue()


def _last_offset(path: str) -> int:
    landed = paths.landed_batch(path)
    assert landed, f"{path} is not named as a landed file"
    return landed.last


class DeadLetters:
    """The rejected records of a Kafka partition, sent as they come: raw bytes as value, reason and origin as headers.

    The key ``topic/partition/offset`` is the same on a replay: readers that count take one record a key. A value that
    no topic would take (a compressed batch may hold a longer one) is cut, its size in the header ``truncated``.
    """

    def __init__(self, settings: Settings, topic: str, partition: int) -> None:
        self._settings, self._topic, self._partition = settings, topic, partition
        self._sender: kafka.Sender | None = None
        self._sent = 0

    def send(self, record: Rejected) -> None:
        """Raises as ``clients.kafka.Sender``."""
        if self._sender is None:
            self._sender = kafka.Sender(
                self._settings, DEAD_LETTERS, **{"message.max.bytes": MAX_DEAD_LETTER_BYTES, "compression.type": "lz4"}
            )
        headers: dict[str, str | bytes | None] = {
            "reason": record.reason.encode(errors="replace"),
            "topic": self._topic,
            "partition": str(self._partition),
            "offset": str(record.offset),
        }
        if record.key is not None:
            headers["key"] = record.key[:MAX_KEY_BYTES]
        value = record.value
        if value is not None and len(value) > MAX_MESSAGE_BYTES:
            headers["truncated"] = str(len(value))
            value = value[:MAX_MESSAGE_BYTES]
        self._sender.send(f"{self._topic}/{self._partition}/{record.offset}", value, headers)
        self._sent += 1

    def close(self) -> int:
        """Waits until Kafka has all of them and returns how many they were; raises as ``clients.kafka.Sender``."""
        if self._sender is not None:
            self._sender.close()
        return self._sent

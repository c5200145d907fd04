"""What the streaming jobs make of records: their own ``Reader``, fed with plain values."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa

from contracts.events import WATERMARK, Stream
from jobs.streaming.records import Event, Reader, Rejected


def records(values: Sequence[bytes | None], appended: datetime | Sequence[datetime], first: int = 0) -> pa.RecordBatch:
    """The values as Spark's Kafka source gives them, offsets from ``first`` on."""
    times = [appended] * len(values) if isinstance(appended, datetime) else list(appended)
    columns = {
        "offset": pa.array(range(first, first + len(values)), pa.int64()),
        "timestamp": pa.array(times, pa.timestamp("us", tz="UTC")),
        "key": pa.nulls(len(values), pa.binary()),
        "value": pa.array(list(values), pa.binary()),
    }
    return pa.record_batch(list(columns.values()), names=list(columns))


def judge(stream: Stream, values: Sequence[bytes | None], appended: datetime | None = None) -> list[Event | str]:
    """Each value as an event, or the reason why it is none; appended to Kafka at one time (default: now)."""
    batch = records(values, appended or datetime.now(UTC))
    read = Reader(stream.topic, None, WATERMARK).read(batch)
    return [found.reason if isinstance(found, Rejected) else found[1] for found in read]

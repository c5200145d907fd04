"""The first batch of a job whose last starts all ended in it: read by the driver in bounded memory, then as ever.

What ends a job for good is a record that no memory holds: a compressed one of a megabyte may unpack to gigabytes
(``clients.batches``). Kafka has no setting against it, and Spark's source has none to leave it out.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pyarrow as pa
from hdfs import InsecureClient

from clients import hdfs, kafka
from clients.batches import bounded
from contracts.settings import Settings

FRUITLESS_STARTS: Final = 2
"""At the same offset, before the records there are read with care: a killed job is none that cannot go on."""
CHUNK_BYTES: Final = 16 * 1024 * 1024
CHUNK_RECORDS: Final = 10_000
POLL_RECORDS: Final = 4
"""Held by the consumer at once, each with up to ``clients.batches.KEPT_BYTES`` of its value."""
STARTS: Final = "starts-"
"""Begins the names of folders among the checkpoints: where each partition with records waiting began at the last start,
and at how many in a row. Folders, since the speed job's pods reach no DataNode over WebHDFS."""
SCHEMA: Final = pa.schema(
    [
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("timestamp", pa.timestamp("us", tz="UTC")),
        ("key", pa.binary()),
        ("value", pa.binary()),
    ]
)
"""Of Spark's Kafka source."""


def is_needed(client: InsecureClient, folder: str, offsets: Mapping[str, int], ranges: kafka.Ranges) -> bool:
    """Notes a start in the checkpoints' folder; whether in a partition earlier ones began at its offset, got nowhere.

    Each partition is counted by itself: the speed job goes on in the others before one ends it.
    """
    known = [name for name in hdfs.names(client, folder) if name.startswith(STARTS)]
    notes: dict[str, int] = {}
    for place, offset in offsets.items():
        if ranges[place][1] > offset:
            begin = f"{STARTS}{place.replace('/', '-')}-{offset}-"
            counts = [int(name.removeprefix(begin)) for name in known if name.startswith(begin)]
            count = max(counts, default=0) + 1
            notes[f"{begin}{count}"] = count
    for name in notes:
        hdfs.make_folder(client, f"{folder}/{name}")
    for name in known:
        hdfs.remove(client, f"{folder}/{name}")
    return any(count > FRUITLESS_STARTS for count in notes.values())


def chunks(settings: Settings, offsets: Mapping[str, int], ranges: kafka.Ranges, most: int) -> Iterator[pa.Table]:
    """About the ``most`` records that Spark would take next, of :data:`SCHEMA`; a chunk is of one partition.

    Each partition has its share of what is there, as with ``maxOffsetsPerTrigger``. Keys and values are cut
    (``clients.batches``). Raises as ``clients.kafka.typed``.
    """
    waiting = {place: ranges[place][1] - start for place, start in offsets.items()}
    share = min(1.0, most / max(sum(waiting.values()), 1))
    for place in filter(waiting.__getitem__, waiting):
        start = offsets[place]
        end = start + math.ceil(share * waiting[place])
        rows: list[Any] = []
        size = 0
        # The broker has checked the records; kafka-python would, in Python, for a second a megabyte.
        records = kafka.read(settings, {place: start}, check_crcs=False, max_poll_records=POLL_RECORDS)
        with bounded():
            for record in records:
                if record.offset >= end:
                    break
                rows.append(record)
                size += len(record.key or b"") + len(record.value or b"")
                if size >= CHUNK_BYTES or len(rows) >= CHUNK_RECORDS:
                    yield table(rows)
                    rows, size = [], 0
        if rows:
            yield table(rows)


def table(records: list[Any]) -> pa.Table:
    """kafka-python's records as rows of :data:`SCHEMA`."""
    columns = {name: [getattr(record, name) for record in records] for name in SCHEMA.names}
    columns["timestamp"] = [ms * 1000 for ms in columns["timestamp"]]
    return pa.table(columns, schema=SCHEMA)

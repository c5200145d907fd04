"""The event ids of a Kafka partition that a copy may still repeat.

A copy is dropped when it follows within the watermark delay of the first: the window begins at the first offset whose
event time is not older than the newest event time less the delay. Copies have the key of their original and so its
partition, which is why the windows of the partitions are independent.

The landed files are the state: a window is read back from them after a restart. While a job runs, each executor keeps
the windows it made on its local disk.
"""

import io
import os
import tempfile
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as feather
import pyarrow.parquet as pq
from hdfs import InsecureClient

from clients import hdfs as files
from clients.commits import PartitionState, compacted_into
from contracts.errors import NotFound

SCHEMA = pa.schema([("event_id", pa.string()), ("offset", pa.int64()), ("time_ms", pa.int64())])


def local_folder(run: str) -> Path:
    """Where an executor keeps the windows of a run (``run``: a name made anew at each start of the job)."""
    folder = Path(tempfile.gettempdir()) / f"ecommerce-ingest-{os.getuid()}-{run}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def load(hdfs: InsecureClient, run: str, partition: str, state: PartitionState) -> pa.Table:
    """The window of a partition (``topic/number``) as ``state`` has it: from local disk, else from the landed files."""
    cached = _path(run, partition, state.end)
    if cached.exists():
        return feather.read_table(cached)
    return rebuild(hdfs, partition, state)


def rebuild(hdfs: InsecureClient, partition: str, state: PartitionState) -> pa.Table:
    """The window read back from ``state.window_files``, or from what they were compacted into."""
    number = int(partition.rpartition("/")[2])
    tables = [SCHEMA.empty_table()]
    compacted: set[str] = set()
    for name in state.window_files:
        try:
            tables.append(_window_of(hdfs, name, number, state))
        except NotFound:
            if not (found := compacted_into(hdfs, name)):
                raise
            compacted.update(found)
    tables += [_window_of(hdfs, name, number, state) for name in sorted(compacted)]
    return pa.concat_tables(tables)


def _window_of(hdfs: InsecureClient, name: str, number: int, state: PartitionState) -> pa.Table:
    """The part of a window that a file holds."""
    landed = pq.read_table(
        io.BytesIO(files.read(hdfs, name)),
        columns=["event_id", "event_time", "kafka_partition", "kafka_offset"],
        coerce_int96_timestamp_unit="ms",
        partitioning=None,
    )
    landed = landed.filter(
        pc.and_(
            pc.equal(landed["kafka_partition"], number),
            pc.and_(pc.greater_equal(landed["kafka_offset"], state.window), pc.less(landed["kafka_offset"], state.end)),
        )
    )
    return pa.table([landed["event_id"], landed["kafka_offset"], epoch_ms(landed["event_time"])], schema=SCHEMA)


def epoch_ms(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Timestamps of a landed file, with a time zone (UTC) or none, as milliseconds since 1970 UTC."""
    return times.cast(pa.timestamp("ms", times.type.tz)).cast(pa.int64())


def store(run: str, partition: str, end: int, window: pa.Table) -> None:
    """Keeps a window on local disk for the next batch, and drops the one before the last."""
    path = _path(run, partition, end)
    old = sorted(path.parent.glob(_stem(partition) + "@*"), key=lambda file: file.stat().st_mtime)
    temporary = path.with_suffix(f".{os.getpid()}")
    feather.write_feather(window, str(temporary), compression="uncompressed")
    temporary.replace(path)
    for stale in old[:-1]:
        stale.unlink(missing_ok=True)


def prune(window: pa.Table, newest_ms: int | None, delay: timedelta) -> pa.Table:
    """The window without what lies before its first event that is still on time."""
    if newest_ms is None or window.num_rows == 0:
        return window
    on_time = pc.greater_equal(window["time_ms"], newest_ms - int(delay.total_seconds() * 1000))
    first = pc.min(window["offset"].filter(on_time)).as_py()
    if first is None:
        return window.slice(0, 0)
    return window.filter(pc.greater_equal(window["offset"], first))


def _stem(partition: str) -> str:
    return partition.replace("/", "-")


def _path(run: str, partition: str, end: int) -> Path:
    return local_folder(run) / f"{_stem(partition)}@{end}.arrow"

"""The event ids that a copy may still repeat: what is forgotten, what is kept, and how it is read back."""

import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from clients.commits import PartitionState
from contracts.hive import RAW, arrow_schema
from jobs.streaming import window as windows
from jobs.streaming.landing import parquet
from tests.support.batch_data import as_version_0_1_0
from tests.support.fake_hdfs import FakeHdfs

DELAY = timedelta(seconds=10)
PARTITION = "ecommerce-clicks/3"


@pytest.fixture(autouse=True)
def local_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An executor's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def window(*rows: tuple[str, int, int]) -> pa.Table:
    """A window of (event id, offset, milliseconds)."""
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    return pa.table(
        [pa.array(column, kind) for column, kind in zip(columns, windows.SCHEMA.types, strict=True)],
        schema=windows.SCHEMA,
    )


def rows(table: pa.Table) -> list[tuple[str, int, int]]:
    return [tuple(row.values()) for row in table.to_pylist()]


def test_the_window_begins_with_its_first_event_on_time() -> None:
    kept = window(("a", 1, 9_999), ("b", 2, 10_000), ("c", 3, 500), ("d", 4, 20_000))
    assert rows(windows.prune(kept, 20_000, DELAY)) == rows(kept.slice(1)), "what follows stays, late as it may be"


@pytest.mark.parametrize("newest_ms", [None, 10_000])
def test_nothing_is_forgotten_while_all_is_on_time(newest_ms: int | None) -> None:
    kept = window(("a", 1, 0), ("b", 2, 10_000))
    assert rows(windows.prune(kept, newest_ms, DELAY)) == rows(kept)


def test_a_window_of_late_events_alone_is_empty() -> None:
    assert rows(windows.prune(window(("a", 1, 0), ("b", 2, 1)), 10_002, DELAY)) == []
    assert rows(windows.prune(window(), 10_002, DELAY)) == []


Write = Callable[[pa.Table], bytes]


def landed(write: Write, *events: tuple[str, int, int, int]) -> bytes:
    """A landed file of clicks: (event id, partition, offset, milliseconds)."""
    schema = arrow_schema(RAW["clicks"].columns)
    given = {"event_id": 0, "kafka_partition": 1, "kafka_offset": 2, "event_time": 3}
    arrays = [
        pa.array([event[given[field.name]] for event in events]).cast(pa.timestamp("ms")).cast(field.type)
        if field.name == "event_time"
        else pa.array([event[given[field.name]] if field.name in given else None for event in events], field.type)
        for field in schema
    ]
    return write(pa.Table.from_arrays(arrays, schema=schema))


@pytest.mark.parametrize("before", [parquet, as_version_0_1_0])
def test_a_window_is_read_back_from_the_landed_files(before: Write) -> None:
    hdfs = FakeHdfs()
    hdfs.write("/hour=09/one", landed(before, ("before", 3, 4, 1), ("a", 3, 5, 1_001), ("another's", 2, 6, 1)))
    hdfs.write("/hour=10/two", landed(parquet, ("b", 3, 6, 2_002)))
    hdfs.write("/hour=10/three", landed(parquet, ("not of the window", 3, 7, 3)))
    state = PartitionState(end=8, newest_ms=2_002, window=5, window_files=["/hour=09/one", "/hour=10/two"])
    assert rows(windows.rebuild(hdfs, PARTITION, state)) == [("a", 5, 1_001), ("b", 6, 2_002)]


def test_a_window_is_taken_from_local_disk_where_it_is_that_of_the_state() -> None:
    hdfs, state = FakeHdfs(), PartitionState(end=8)
    kept = window(("a", 5, 1_001))
    windows.store("run", PARTITION, 8, kept)
    assert rows(windows.load(hdfs, "run", PARTITION, state)) == rows(kept)
    assert rows(windows.load(hdfs, "run", PARTITION, PartitionState(end=9))) == [], "of another batch"
    assert rows(windows.load(hdfs, "another run", PARTITION, state)) == []
    assert rows(windows.load(hdfs, "run", "ecommerce-clicks/4", state)) == []


def test_local_disk_keeps_the_last_two_windows_of_each_partition(local_disk: Path) -> None:
    for end in range(1, 6):
        for partition in (PARTITION, "ecommerce-clicks/33"):
            windows.store("run", partition, end, window((str(end), end, end)))
    hdfs = FakeHdfs()
    found = {end: rows(windows.load(hdfs, "run", PARTITION, PartitionState(end=end))) for end in range(1, 6)}
    assert found == {1: [], 2: [], 3: [], 4: [("4", 4, 4)], 5: [("5", 5, 5)]}
    assert len([path for path in local_disk.rglob("*") if path.is_file()]) == 4

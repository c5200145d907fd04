"""What a compacted file holds: the rows of many, whichever version landed them, and nothing else."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.errors import BrokenPromise
from contracts.events import CLICKS
from contracts.hive import RAW, Column, arrow_schema
from jobs.compaction import merging
from jobs.streaming.landing import parquet
from tests.support.batch_data import as_version_0_1_0
from tests.support.fake_hdfs import FakeHdfs

COLUMNS = RAW[CLICKS.name].columns
NINE = datetime(2026, 11, 23, 9, tzinfo=UTC)


def clicks(partition: int, offsets: list[int]) -> pa.Table:
    rows: list[dict[str, Any]] = [
        {
            "event_id": f"{partition}-{offset}",
            "event_time": NINE + timedelta(milliseconds=7_919 * offset % 3_600_000),
            "page": "home",
            "user_id": f"ü-{offset}",
            "kafka_partition": partition,
            "kafka_offset": offset,
        }
        for offset in offsets
    ]
    return pa.Table.from_pylist(rows, arrow_schema(COLUMNS))


def read(data: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(data))


def test_rows_of_all_versions_are_the_same_after(monkeypatch: pytest.MonkeyPatch) -> None:
    hdfs: Any = FakeHdfs()
    parts = [clicks(0, [*range(5, 400)]), clicks(3, [7, 2]), clicks(0, [1])]
    for number, (write, part) in enumerate(zip([as_version_0_1_0, parquet, parquet], parts, strict=True)):
        hdfs.write(f"/{number}", write(part))
    data = merging.merged(hdfs, COLUMNS, ["/0", "/1", "/2"])
    found = read(data)
    times = found["event_time"].to_pylist()
    assert times == sorted(times)
    assert found.schema.field("event_time").type == pa.timestamp("us", "UTC")

    def keyed(table: pa.Table) -> list[Any]:
        rows = table.to_pylist()
        return sorted(
            ({**row, "event_time": row["event_time"].timestamp()} for row in rows), key=lambda row: row["event_id"]
        )

    assert keyed(found) == keyed(pa.concat_tables(parts))
    group = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0)
    column = group.column(found.schema.get_field_index("event_time"))
    assert column.statistics.has_min_max
    assert column.compression == "ZSTD"
    hdfs.write("/compacted", data)
    assert merging.offsets(hdfs, "/compacted") == {0: (1, 399), 3: (2, 7)}
    monkeypatch.setattr(merging, "FOOTER_BYTES", 64)
    assert merging.offsets(hdfs, "/compacted") == {0: (1, 399), 3: (2, 7)}, "a footer longer than was guessed"


def test_columns_that_a_version_lacks_or_has_more() -> None:
    hdfs: Any = FakeHdfs()
    hdfs.write("/old", parquet(clicks(0, [1]).drop_columns(["country"])))
    hdfs.write("/ahead", parquet(clicks(0, [2]).append_column("campaign", pa.array(["autumn"]))))
    columns = (*COLUMNS, Column("channel", "STRING"))
    [old, ahead] = sorted(
        read(merging.merged(hdfs, columns, ["/old", "/ahead"])).to_pylist(), key=lambda row: row["kafka_offset"]
    )
    assert (old["country"], old["channel"], old["campaign"]) == (None, None, None)
    assert (ahead["channel"], ahead["campaign"]) == (None, "autumn")


def test_portions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "LARGEST", 100)
    sizes = {"a": 60, "b": 40, "c": 1, "d": 250, "e": 99, "f": 1}
    assert merging.portions(sizes.items()) == [["a", "b"], ["c"], ["d"], ["e", "f"]]


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-9], lambda data: b"PAR1" + data[40:]])
def test_a_damaged_file_is_named(damage: Any) -> None:
    hdfs = FakeHdfs()
    hdfs.write("/good", good := parquet(clicks(0, [1, 2])))
    hdfs.write("/bad", damage(good))
    with pytest.raises(BrokenPromise, match=r"/bad \(\d+ bytes\) cannot be read as Parquet: "):
        merging.merged(hdfs, COLUMNS, ["/good", "/bad"])  # type: ignore[arg-type]

"""Starts that get nowhere are counted by where they begin."""

import pytest

from clients import hdfs as files
from jobs.streaming import careful
from tests.support.fake_hdfs import FakeHdfs

FOLDER = "/checkpoints/ingest"


@pytest.fixture
def hdfs() -> FakeHdfs:
    return FakeHdfs()


def needed(hdfs: FakeHdfs, **offsets: int) -> bool:
    starts = {f"clicks/{name[1:]}": offset for name, offset in offsets.items()}
    return careful.is_needed(hdfs, FOLDER, starts, {place: (0, 10) for place in starts})


def test_the_third_start_at_the_same_offset_reads_with_care(hdfs: FakeHdfs) -> None:
    assert [needed(hdfs, p0=5, p1=7) for _ in range(4)] == [False, False, True, True]
    assert len(files.names(hdfs, FOLDER)) == 2


def test_a_partition_that_stands_still_is_enough(hdfs: FakeHdfs) -> None:
    """The speed job's other partitions go on before the one that ends it."""
    assert [needed(hdfs, p0=5, p1=other) for other in range(4)] == [False, False, True, True]


def test_progress_begins_the_count_anew(hdfs: FakeHdfs) -> None:
    assert not any(needed(hdfs, p0=offset) for offset in (1, 1, 2, 2, 3, 3, 13))
    assert needed(hdfs, p0=1) is needed(hdfs, p0=1) is False


def test_where_nothing_waits_nothing_is_counted(hdfs: FakeHdfs) -> None:
    assert not any(needed(hdfs, p0=10) for _ in range(5))
    assert files.names(hdfs, FOLDER) == []

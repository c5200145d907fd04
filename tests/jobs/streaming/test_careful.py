"""Starts that get nowhere are counted by where they begin."""

import pytest

from clients import hdfs as files
from jobs.streaming import careful
from tests.support.fake_hdfs import FakeHdfs

FOLDER = "/checkpoints/ingest"


@pytest.fixture
def hdfs() -> FakeHdfs:
    return FakeHdfs()


def test_the_third_start_at_the_same_offsets_reads_with_care(hdfs: FakeHdfs) -> None:
    there = {"clicks/0": 5, "clicks/1": 7}
    assert [careful.is_needed(hdfs, FOLDER, there) for _ in range(4)] == [False, False, True, True]
    assert len(files.names(hdfs, FOLDER)) == 1


def test_progress_begins_the_count_anew(hdfs: FakeHdfs) -> None:
    for offset in range(5):
        assert not careful.is_needed(hdfs, FOLDER, {"clicks/0": offset})
        assert not careful.is_needed(hdfs, FOLDER, {"clicks/0": offset})
    assert careful.is_needed(hdfs, FOLDER, {"clicks/0": 4})

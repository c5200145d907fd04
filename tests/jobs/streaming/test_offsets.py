"""Where a job begins to read: at its own log's offsets, behind what retention took, and never below what it did."""

import json

import pytest

from clients import kafka
from clients.commits import Gap
from contracts.errors import BrokenPromise
from contracts.settings import Settings
from jobs.streaming import offsets
from jobs.streaming.offsets import gaps, held, spark_option, starting

RANGES = {"clicks/0": (0, 50), "clicks/1": (30, 60), "purchases/0": (7, 7)}


def test_each_partition_begins_where_its_log_ended() -> None:
    done = {"clicks/0": 12, "clicks/1": 45}
    assert json.loads(spark_option(starting(RANGES, done))) == {"clicks": {"0": 12, "1": 45}, "purchases": {"0": 7}}
    assert gaps(RANGES, done) == []


def test_what_retention_took_is_a_gap_and_is_passed_over() -> None:
    done = {"clicks/0": 50, "clicks/1": 10}
    assert gaps(RANGES, done) == [Gap("clicks/1", 10, 30)]
    assert json.loads(spark_option(starting(RANGES, done)))["clicks"] == {"0": 50, "1": 30}


def test_a_new_partition_begins_where_kafka_begins_and_is_no_gap() -> None:
    assert gaps(RANGES, {}) == []
    assert json.loads(spark_option(starting(RANGES, {})))["clicks"]["1"] == 30


def test_a_topic_that_ends_before_what_was_done_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offsets, "CATCH_UP_SECONDS", 0.0)
    monkeypatch.setattr(kafka, "ranges", lambda *_: RANGES)
    assert held(Settings(), ["clicks", "purchases"], {"clicks/0": 50}) == RANGES
    for place in ("clicks/0", "clicks/9"):
        with pytest.raises(BrokenPromise, match=rf"{place} ends at offset .*jobs\.adopt"):
            held(Settings(), ["clicks", "purchases"], {place: 51})

"""What ingest tells Prometheus of days and runs, as Prometheus reads it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from clients.commits import Commit
from contracts import paths
from contracts.paths import INGEST
from jobs.batch import days
from jobs.streaming.commits import Writer
from jobs.streaming.lake import Lake
from serving.days import end_of, note_end
from tests.support.fake_hdfs import FakeHdfs

TODAY = datetime.now(UTC).date()
YESTERDAY, BEFORE, LONG_AGO = (TODAY - timedelta(days=number) for number in (1, 2, 40))


@pytest.fixture
def hdfs() -> Any:
    made = FakeHdfs()
    writer = Writer(made, INGEST)  # type: ignore[arg-type]
    base = writer.start()
    landed = {str(day): base.sequence + 1 for day in (TODAY, YESTERDAY, BEFORE, LONG_AGO)}
    writer.append(base.next(days=landed))
    return made


def told(hdfs: Any, until: datetime | None = None, waiting: datetime | None = None) -> dict[str, float]:
    lake = Lake(hdfs, lambda: until, lambda: waiting)
    registry = CollectorRegistry()
    registry.register(lake)
    lake.look()
    text = generate_latest(registry).decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {
        " ".join([sample.name.removeprefix("ecommerce_"), *sample.labels.values()]): sample.value for sample in samples
    }


def close(hdfs: Any, day: Any) -> None:
    days.begin(hdfs, day, True, "night")
    assert days.close(hdfs, day, "night")


def test_days_that_are_over_are_open_until_they_are_closed(hdfs: Any) -> None:
    opened = "day_open_timestamp_seconds"
    found = told(hdfs)
    assert {name.split()[-1] for name in found if name.startswith(opened)} == {
        str(day) for day in (YESTERDAY, BEFORE, LONG_AGO)
    }
    assert found[f"{opened} {YESTERDAY}"] == end_of(YESTERDAY).timestamp()
    close(hdfs, BEFORE)
    assert f"{opened} {BEFORE}" not in told(hdfs)
    writer = Writer(hdfs, INGEST)
    base: Commit = writer.start()
    writer.append(base.next(days=base.days | {str(BEFORE): base.sequence + 1}))
    again = told(hdfs)[f"{opened} {BEFORE}"]
    assert again == pytest.approx(datetime.now(UTC).timestamp(), abs=60), "since it was last closed, not since it ended"
    days.begin(hdfs, BEFORE, True, "next night")
    assert told(hdfs)[f"{opened} {BEFORE}"] == again, "a run that has only begun closes nothing"


def test_a_reconciliation_that_failed_is_told_until_a_run_agrees(hdfs: Any) -> None:
    differs = f"day_differs {YESTERDAY}"
    assert told(hdfs)[differs] == 0
    days.begin(hdfs, YESTERDAY, True, "night")
    days.differ(hdfs, YESTERDAY, "an older run")
    assert told(hdfs)[differs] == 0
    days.differ(hdfs, YESTERDAY, "night")
    assert told(hdfs)[differs] == 1
    close(hdfs, YESTERDAY)
    assert differs not in told(hdfs)


def test_runs_and_freshness(hdfs: Any) -> None:
    now = datetime.now(UTC)
    at_start = told(hdfs)
    for name in ("daily_run", "compaction", "sql_fresh_until"):
        assert at_start[f"{name}_timestamp_seconds"] == pytest.approx(now.timestamp(), abs=60), (
            "known from the start on"
        )
    until, waiting = now - timedelta(minutes=3), now - timedelta(minutes=9)
    assert told(hdfs, until)["sql_fresh_until_timestamp_seconds"] == until.timestamp()
    assert told(hdfs, until, waiting)["sql_fresh_until_timestamp_seconds"] == waiting.timestamp()
    note_end(hdfs, paths.DAILY_RUN)
    hdfs.files[paths.DAILY_RUN] = (now - timedelta(hours=30)).isoformat().encode()
    assert told(hdfs)["daily_run_timestamp_seconds"] == pytest.approx(now.timestamp() - 30 * 3600, abs=1)


def test_what_cannot_be_read_stays_as_it_was(hdfs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    del hdfs.files[next(path for path in hdfs.files if path.endswith("/HEAD"))]
    for path in [path for path in hdfs.files if path.endswith(".json")]:
        hdfs.files[path] = b"damaged"
    assert "daily_run_timestamp_seconds" in told(hdfs)

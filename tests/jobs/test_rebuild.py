"""HBase made anew from the landed Parquet on real servers: the same cells as the speed job's, which then goes on."""

import json
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clients import hbase
from clients import hdfs as files
from clients import kafka as kafka_client
from clients.commits import Commit
from clients.retry import until
from contracts import hbase as tables
from contracts import paths, topics
from contracts.errors import BrokenPromise
from contracts.events import CLICKS, INVENTORY, PURCHASES, STREAMS
from contracts.hbase import SPEED_PROGRESS
from contracts.settings import Settings
from jobs import audit, prepare, rebuild
from local.stack import Stack
from tests.support import kafka, samples
from tests.support.running import CRASHING, INGEST, SPEED, Job, ok, start
from tests.support.seen_clicks import without_batches

pytestmark = pytest.mark.timeout(1200)
GENERATOR = ("generator", "--rhythm", "flat", "--late-share", "0.02", "--duplicate-share", "0.02")


def cells(stack: Settings) -> dict[str, Any]:
    """Every cell of every table that the speed layer writes; of the progress, all but which rebuild it is after."""
    found = without_batches({table.name: dict(hbase.scan(stack, table)) for table in tables.HBASE_TABLES})
    stands = rebuild.speed_progress(stack)
    return found | {SPEED_PROGRESS.name: [(key, one.end, one.newest_ms, one.topic_id) for key, one in stands.items()]}


def rows(snapshot: dict[str, Any]) -> dict[str, int]:
    return {name: len(found) for name, found in snapshot.items()}


def both(job: Job) -> None:
    """Ingest and speed handle all that is in Kafka."""
    ok(job(*INGEST))
    ok(job(*SPEED))


@pytest.fixture(scope="module")
def counted(stack: Settings, job: Job) -> dict[str, Any]:
    """A day of the shop landed and counted, from nothing; HBase's cells after it."""
    hdfs = files.client(stack)
    for folder in (paths.STAGING, paths.COMMITS, *(paths.stream_folder(s.name) for s in STREAMS)):
        files.remove(hdfs, folder)
    for table in tables.HBASE_TABLES:
        rebuild.make_anew(stack, table)
    ok(job(*GENERATOR, "--events", "30000", "--malformed-share", "0.01"))
    now = datetime.now(UTC)
    late = samples.purchase(user_id="late", event_time=now - timedelta(hours=3))
    records = [("late", samples.encode(event)) for event in (samples.purchase(user_id="late", event_time=now), late)]
    kafka.produce(stack, PURCHASES.topic, records * 2)
    both(job)
    found = cells(stack)
    assert all(found.values()), rows(found)
    return found


def test_a_dry_run_changes_nothing(stack: Settings, job: Job, counted: dict[str, Any]) -> None:
    result = job("jobs.rebuild", "--dry-run")
    ok(result)
    plan = json.loads(result.stdout)
    assert plan["would_stand_at"] == plan["speed_stands_at"]
    assert len(plan["empties"]) == len(tables.HBASE_TABLES)
    assert cells(stack) == counted


def test_hbase_is_the_same(stack: Settings, job: Job, counted: dict[str, Any]) -> None:
    alerts = len(kafka.consume(stack, topics.ALERTS))
    result = job("jobs.rebuild")
    ok(result)
    rebuilt = cells(stack)
    assert rows(rebuilt) == rows(counted)
    assert rebuilt == counted
    assert len(kafka.consume(stack, topics.ALERTS)) == alerts, "alerts were sent again"
    assert json.loads(result.stdout)["events"] > 20_000


@pytest.mark.long
def test_the_speed_job_goes_on_and_compacted_files_give_the_same(
    stack: Settings, job: Job, counted: dict[str, Any]
) -> None:
    ok(job("jobs.rebuild"))
    ok(job(*GENERATOR, "--events", "5000", "--seed", "2"))
    both(job)
    gone_on = cells(stack)
    assert gone_on != counted
    ok(job("jobs.compaction", "--older-than", "0", "--grace", "0"))
    assert any(paths.compacted(path) for path in audit.parquet_files(stack, paths.DATA))
    ok(job("jobs.rebuild"))
    assert cells(stack) == gone_on


@pytest.mark.long
def test_a_run_that_was_killed_is_gone_on_with_and_shuts_the_speed_job_out(
    stack: Settings, job: Job, counted: object
) -> None:
    before = cells(stack)
    killed = ("tests.support.in_own_group", "jobs.rebuild")
    assert job(*killed, CRASH_AT="rebuild-emptied", **CRASHING).returncode == -signal.SIGKILL
    key = f"{CLICKS.topic}/0"
    rebuild.write_progress(stack, {key: (tables.Progress(7, None, "a topic"), 7)})
    with pytest.raises(BrokenPromise, match=f"the speed job counted {key} while HBase was made anew"):
        rebuild.hand_over(stack, Commit())
    assert job(*killed, CRASH_AT="rebuild-half", **CRASHING).returncode == -signal.SIGKILL

    kafka.produce(stack, CLICKS.topic, [("more", samples.encode(samples.click(user_id="more")))])
    refused = job(*SPEED)
    assert refused.returncode == 1
    assert "HBase is being made anew from the landed files" in refused.stderr
    result = job("jobs.rebuild")
    ok(result)
    assert "goes on from a run that broke off" in result.stderr
    assert cells(stack) == before


@pytest.mark.long
def test_records_not_landed_yet_are_left_to_the_speed_job(stack: Settings, job: Job, counted: object) -> None:
    kafka.produce(stack, INVENTORY.topic, [("P00018", samples.encode(samples.stock_change(product_id="P00018")))])
    kafka.produce(stack, CLICKS.topic, [("ahead", samples.encode(samples.click(user_id="ahead")))])
    ok(job(*SPEED))
    ahead = cells(stack)
    assert hbase.scan(stack, tables.USER_PROFILES, row_prefix=b"ahead")
    ok(job("jobs.rebuild"))
    assert not hbase.scan(stack, tables.USER_PROFILES, row_prefix=b"ahead"), "it has not landed"
    ok(job(*SPEED))
    assert cells(stack) == ahead


@pytest.mark.long
def test_a_topic_that_was_created_anew_is_counted_after_the_old_one(
    stack: Settings, job: Job, counted: dict[str, Any]
) -> None:
    kafka.produce(stack, PURCHASES.topic, [("old", samples.encode(samples.purchase(user_id="old")))])
    both(job)
    with kafka_client.admin(stack) as admin:
        admin.delete_topics([PURCHASES.topic])
    until(lambda: prepare.missing_topics(stack) == [PURCHASES.topic], seconds=60)
    prepare.create_topics(stack, [PURCHASES.topic])
    again = [("new", samples.encode(samples.purchase(user_id=user))) for user in ("old", "new") * 3]
    kafka.produce(stack, PURCHASES.topic, again)
    assert job(*INGEST).returncode == job(*SPEED).returncode == 1
    ok(job("jobs.adopt", "--topic", PURCHASES.topic))
    both(job)
    adopted = cells(stack)
    assert adopted != counted
    ok(job("jobs.rebuild"))
    assert cells(stack) == adopted
    kafka.produce(stack, PURCHASES.topic, again[:1])
    both(job)
    gone_on = cells(stack)
    ok(job("jobs.rebuild"))
    assert cells(stack) == gone_on


def test_it_refuses_while_the_speed_job_counts(stack: Settings, local_stack: Stack, job: Job, counted: object) -> None:
    started = [start(local_stack, "jobs.streaming.speed"), start(local_stack, "generator", "--rate", "200")]
    try:
        before = rebuild.speed_progress(stack)
        until(lambda: rebuild.speed_progress(stack) != before, seconds=90)
        refused = job("jobs.rebuild")
    finally:
        for process in started:
            process.terminate()
            process.wait(60)
    assert refused.returncode == 2
    assert "error: the speed job is counting; stop it first, nothing was changed" in refused.stderr
    assert rebuild.speed_progress(stack).keys() == before.keys()

"""Ingest on real servers: what lands, lands once, whatever dies; what is refused is kept."""

import io
import json
import random
import signal
import subprocess
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from kafka import TopicPartition

from clients import hdfs as files
from clients import kafka as kafka_client
from clients import sql
from clients.commits import Commit, CommitLog, Counts, Gap, LandedFile
from clients.retry import until
from contracts import hive, paths, topics
from contracts.catalog import category_of
from contracts.errors import BrokenPromise, Fenced
from contracts.events import CLICKS, MAX_EVENT_BYTES, PURCHASES, STREAMS
from contracts.products import CATALOG
from contracts.settings import Settings
from jobs import audit
from jobs.batch.marts import Batch
from jobs.batch.tasks.reconcile import unlike_landed
from jobs.streaming.commits import Writer
from jobs.streaming.ingest import require_same_topics
from local.stack import Stack
from tests.support import kafka, samples
from tests.support.running import CRASHING, INGEST, SPEED, Job, kill_group, ok, start

SMALL_BATCHES = ("jobs.streaming.ingest", "--trigger", "0", "--max-offsets", "300")
"""An ingest that goes on until it is killed, batch after batch."""


def send_clicks(stack: Settings, count: int, **changes: Any) -> list[str]:
    """Sends clicks of several users over the last two hours, some of them twice; returns the distinct ids."""
    start = datetime.now(UTC) - timedelta(hours=2)
    events = [
        samples.click(user_id=f"u{number % 50}", event_time=start + timedelta(seconds=7200 * number / count), **changes)
        for number in range(count)
    ]
    records = [(event["user_id"], samples.encode(event)) for event in events]
    for number in range(0, count, 20):
        records.insert(min(number + 7, len(records)), records[number])
    kafka.produce(stack, CLICKS.topic, records)
    return [event["event_id"] for event in events]


def landed_once(stack: Settings, ids: list[str]) -> None:
    """Each of the ids is in the Parquet files exactly once, and nothing there is twice."""
    _, table = audit.read_stream(stack, "clicks", ["event_id"])
    counts = Counter(table["event_id"].to_pylist())
    assert [event_id for event_id in ids if counts[event_id] == 0] == [], "lost"
    assert [event_id for event_id in ids if counts[event_id] > 1] == [], "landed twice"


def test_typed_rows_land_by_event_time_with_their_origin(stack: Settings, job: Job) -> None:
    moment = datetime.now(UTC).replace(minute=59, second=59, microsecond=999000) - timedelta(hours=3)
    event = samples.purchase(event_time=moment, user_id="typed")
    [(partition, offset)] = kafka.produce(stack, PURCHASES.topic, [("typed", samples.encode(event))])
    ok(job(*INGEST))
    folder = paths.hour_folder("purchases", moment)
    rows = []
    for path in audit.parquet_files(stack, folder):
        data = files.read(files.client(stack), path)
        assert pq.read_schema(io.BytesIO(data)).names == [column.name for column in hive.RAW["purchases"].columns]
        rows += pq.read_table(io.BytesIO(data), partitioning=None).to_pylist()
    [row] = [row for row in rows if row["event_id"] == event["event_id"]]
    assert row["total"] == Decimal("19.90")
    assert row["quantity"] == 2
    assert row["event_time"].replace(tzinfo=UTC) == moment
    assert (row["kafka_partition"], row["kafka_offset"]) == (partition, offset)


def test_what_is_landed_is_in_the_next_sql_answer(stack: Settings, job: Job) -> None:
    """In an hour that SQL has seen before, and in one that is new; nobody repairs or refreshes."""
    now = datetime.now(UTC)
    with sql.connect(stack) as session:
        for hours in (4, 4, 5):
            event = samples.purchase(event_time=now - timedelta(hours=hours), user_id="asked")
            kafka.produce(stack, PURCHASES.topic, [("asked", samples.encode(event))])
            ok(job(*INGEST))
            found = f"FROM {hive.RAW['purchases'].qualified} WHERE event_id = '{event['event_id']}'"
            assert session.rows(f"SELECT COUNT(*) {found}") == [(1,)]


def bad_records() -> list[tuple[str, bytes | None, str]]:
    """(key, value, reason) of records that are no clicks."""
    click = samples.click
    return [
        ("bad", b"not json", "JSON is malformed"),
        ("bad", samples.encode(click())[:-5], "Input data was truncated"),
        ("bad", b"\xff\xfe\x00", "JSON is malformed"),
        ("bad", b"", "Input data was truncated"),
        ("bad", None, "the record has no value"),
        ("bad", b"[]", "Expected `object`"),
        ("bad", samples.encode(click(user_id=7)), "Expected `str`, got `int`"),
        ("bad", json.dumps({"event_id": click()["event_id"]}).encode(), "missing required field"),
        ("bad", samples.encode(click(product_id="P00000")), "unknown product"),
        ("bad", samples.encode(click(event_time=datetime(1970, 1, 1, tzinfo=UTC))), "days old"),
        ("bad", samples.encode(click(event_time=datetime.now(UTC) + timedelta(days=365))), "after its append"),
        ("bad", samples.encode(click(referrer="x" * 5 * 1024 * 1024)), f"over the limit of {MAX_EVENT_BYTES}"),
    ]


def test_bad_records_go_to_the_dead_letters_and_spoil_nothing_else(stack: Settings, job: Job) -> None:
    bad = bad_records()
    good = [samples.click(user_id="bad") for _ in range(len(bad) + 1)]
    mixed: list[tuple[str, bytes | None]] = []
    for event, (key, value, _) in zip(good, bad, strict=False):
        mixed += [("bad", samples.encode(event)), (key, value)]
    mixed.append(("bad", samples.encode(good[-1])))
    places = kafka.produce(stack, CLICKS.topic, mixed)
    negative = samples.purchase(unit_price="-1.00", total="-2.00")
    [negative_place] = kafka.produce(stack, PURCHASES.topic, [("bad", samples.encode(negative))])
    before = audit.committed(stack).totals.get(CLICKS.topic)
    ok(job(*INGEST))

    landed_once(stack, [event["event_id"] for event in good])
    letters = {record.key.decode(): record for record in kafka.consume(stack, topics.DEAD_LETTERS)}
    for (partition, offset), (_, value, reason) in zip(places[1::2], bad, strict=True):
        letter = letters[f"{CLICKS.topic}/{partition}/{offset}"]
        headers = {name: text.decode() for name, text in letter.headers}
        assert letter.value == value, "the raw bytes"
        assert reason in headers["reason"]
        assert (headers["topic"], headers["partition"], headers["offset"]) == (
            CLICKS.topic,
            str(partition),
            str(offset),
        )
    letter = letters[f"{PURCHASES.topic}/{negative_place[0]}/{negative_place[1]}"]
    assert "unit_price -1.00 is negative" in dict(letter.headers)["reason"].decode()
    counted = audit.committed(stack).totals[CLICKS.topic].dead_letters - (before.dead_letters if before else 0)
    assert counted == len(bad)
    late_since_future = audit.committed(stack).totals[CLICKS.topic].late - (before.late if before else 0)
    assert late_since_future == 0, "the event of next year moved the watermark"


STEPS = ("staged-not-committed", "committed-not-published", "half-published", "published-not-checkpointed")


def test_a_kill_at_any_step_of_the_commit_loses_and_doubles_nothing(stack: Settings, job: Job) -> None:
    ids: list[str] = []
    for point in STEPS:
        ids += send_clicks(stack, 400)
        crashed = job("tests.support.in_own_group", *INGEST, CRASH_AT=point, **CRASHING)
        assert crashed.returncode == -signal.SIGKILL, f"it was to die at {point}: {crashed.stderr[-2000:]}"
        _, table = audit.read_stream(stack, "clicks", ["event_id"])
        counts = Counter(table["event_id"].to_pylist())
        assert max((counts[event_id] for event_id in ids), default=0) <= 1, f"landed twice after a kill at {point}"
    ok(job(*INGEST))
    landed_once(stack, ids)


@pytest.mark.long
def test_random_kills_lose_and_double_nothing(stack: Settings, local_stack: Stack, job: Job) -> None:
    generator = random.Random(7)
    ids: list[str] = []
    for _ in range(3):
        process = start(local_stack, *SMALL_BATCHES)
        ids += send_clicks(stack, 3000)
        until(lambda: audit.behind(audit.end_offsets(stack), audit.ingest_offsets(stack)) < 3000, seconds=90, pause=0.5)
        time.sleep(generator.uniform(0, 3))
        kill_group(process)
    ok(job(*INGEST))
    landed_once(stack, ids)


def test_drivers_that_start_over_each_other_lose_and_double_nothing(
    stack: Settings, local_stack: Stack, job: Job, tmp_path: Path
) -> None:
    chance, ids, codes = random.Random(11), [], []
    running: list[subprocess.Popen[bytes]] = []
    try:
        for number in range(4):
            if len(running) > 1:
                kill_group(running.pop(chance.randrange(len(running))))
            with (tmp_path / f"{number}.log").open("wb") as log:
                running.append(start(local_stack, *SMALL_BATCHES, log=log))
            ids += send_clicks(stack, 1500)
            time.sleep(chance.uniform(5, 12))
        until(
            lambda: audit.behind(audit.end_offsets(stack), audit.ingest_offsets(stack)),
            lambda left: not left,
            seconds=180,
        )
        codes = [driver.poll() for driver in running[:-1]]
        assert running[-1].poll() is None, "the last one goes on"
    finally:
        for driver in running:
            kill_group(driver)
    logs = [(tmp_path / f"{number}.log").read_text() for number in range(4)]
    assert {code for code in codes if code is not None} <= {Fenced.exit_code}, logs
    assert any("started after this one" in log for log in logs)
    ok(job(*INGEST))
    landed_once(stack, ids)


def test_a_lost_checkpoint_lands_nothing_twice(stack: Settings, job: Job) -> None:
    ids = send_clicks(stack, 200)
    ok(job(*INGEST))
    files.remove(files.client(stack), f"{paths.CHECKPOINTS}/{paths.INGEST}")
    rows = audit.landed(stack, "clicks").rows
    more = send_clicks(stack, 20)
    ok(job(*INGEST))
    assert audit.landed(stack, "clicks").rows == rows + len(more)
    landed_once(stack, ids + more)


@pytest.mark.long
def test_records_that_retention_took_are_a_gap_and_ingest_goes_on(stack: Settings, job: Job) -> None:
    ok(job(*INGEST))
    before = audit.committed(stack)
    places = kafka.produce(stack, CLICKS.topic, [("gone", samples.encode(samples.click())) for _ in range(5)])
    partition, last = places[-1]
    with kafka_client.admin(stack) as admin:
        admin.delete_records({TopicPartition(CLICKS.topic, partition): last})
    ids = send_clicks(stack, 20)
    ok(job(*INGEST))
    landed_once(stack, ids)
    after = audit.committed(stack)
    place = f"{CLICKS.topic}/{partition}"
    assert [gap for gap in after.gaps if gap not in before.gaps] == [Gap(place, places[0][1], last)]
    assert after.totals[CLICKS.topic].missed - before.totals[CLICKS.topic].missed == 4
    ok(job(*INGEST))
    assert audit.committed(stack).gaps == after.gaps, "a gap is told once"


@pytest.mark.long
def test_a_topic_gets_more_partitions_under_load(stack: Settings, local_stack: Stack, job: Job) -> None:
    def count() -> int:
        return len([place for place in audit.end_offsets(stack) if place.startswith(f"{CLICKS.topic}/")])

    def left() -> int:
        return audit.behind(audit.end_offsets(stack), audit.ingest_offsets(stack))

    before = count()
    driver = start(local_stack, *SMALL_BATCHES)
    try:
        ids = send_clicks(stack, 1500)
        until(left, lambda records: records < 1500, seconds=90)
        with kafka_client.admin(stack) as admin:
            admin.create_partitions({CLICKS.topic: 2 * before})
        ids += send_clicks(stack, 1500)
        until(left, lambda records: not records, seconds=180)
        assert driver.poll() is None
    finally:
        kill_group(driver)
    assert count() == 2 * before
    assert len([place for place in audit.ingest_offsets(stack) if place.startswith(f"{CLICKS.topic}/")]) == 2 * before
    ids += send_clicks(stack, 200)
    ok(job(*INGEST))
    ok(job(*SPEED))
    assert audit.behind(audit.end_offsets(stack), audit.speed_offsets(stack)) == 0
    landed_once(stack, ids)


def test_copies_are_dropped_across_a_restart_and_late_events_land(stack: Settings, job: Job) -> None:
    now = datetime.now(UTC)
    first = samples.click(user_id="again", event_time=now)
    late = samples.click(user_id="again", event_time=now - timedelta(hours=5))
    kafka.produce(stack, CLICKS.topic, [("again", samples.encode(first)), ("again", samples.encode(late))])
    before = audit.committed(stack).totals.get(CLICKS.topic)
    ok(job(*INGEST))
    kafka.produce(stack, CLICKS.topic, [("again", samples.encode(event)) for event in (first, late, late)])
    ok(job(*INGEST))
    landed_once(stack, [first["event_id"], late["event_id"]])
    after = audit.committed(stack).totals[CLICKS.topic]
    assert before is not None
    assert after.late - before.late == 1
    assert after.duplicates - before.duplicates == 3


def test_a_later_writer_fences_the_earlier_one(stack: Settings) -> None:
    hdfs = files.client(stack)
    one, other = Writer(hdfs, "test-writers"), Writer(hdfs, "test-writers")
    sequence = one.start().sequence + 1
    one.append(Commit(sequence))
    assert other.start().sequence == sequence + 1
    with pytest.raises(Fenced, match="started after this one"):
        one.append(Commit(sequence + 1))
    other.append(Commit(sequence + 2))
    assert CommitLog(hdfs, "test-writers").newest().sequence == sequence + 2


def test_a_commit_is_published_once_readers_find_its_files(stack: Settings) -> None:
    hdfs = files.client(stack)
    commits = Writer(hdfs, "test-published")
    sequence = commits.start().sequence + 1
    staging = commits.staging_folder(sequence)
    files.write(hdfs, f"{staging}/rows.parquet", b"rows")
    landed = LandedFile(f"{staging}/rows.parquet", "/test-published/date=2026-01-01/rows.parquet", 1)
    commit = Commit(sequence, files=[landed], staging=staging)
    commits.append(commit)
    assert (commits.newest().sequence, commits.published().sequence) == (sequence, sequence - 1)
    commits.publish(commit)
    assert commits.published().sequence == sequence
    assert files.read(hdfs, commit.files[0].final) == b"rows"


def test_products_that_the_catalogue_lacks_land_and_are_counted(stack: Settings, job: Job) -> None:
    kafka.produce(stack, CATALOG, [(samples.PRODUCT, b"{}")])
    ok(job(*INGEST))
    before = audit.committed(stack).totals.get(PURCHASES.topic, Counts())
    new = {"product_id": "P98767", "category": category_of("P98767")}
    events = [samples.purchase(), samples.purchase(**new), samples.purchase(**new)]
    kafka.produce(stack, PURCHASES.topic, [("u1", samples.encode(event)) for event in events])
    ok(job(*INGEST))
    after = audit.committed(stack).totals[PURCHASES.topic]
    assert (after.landed - before.landed, after.unknown_products - before.unknown_products) == (3, 2)


def test_sql_has_what_was_landed_and_a_file_that_is_gone_or_there_twice_is_told(stack: Settings, job: Job) -> None:
    """Of every day that the tests before have landed, whatever they killed."""
    moment = datetime.now(UTC) - timedelta(hours=50)
    for stream, make in samples.BY_STREAM.items():
        kafka.produce(stack, stream.topic, [("tallied", samples.encode(make(event_time=moment))) for _ in range(3)])
    ok(job(*INGEST))
    hdfs = files.client(stack)
    days = list(map(date.fromisoformat, CommitLog(hdfs, paths.INGEST).newest().tallies))
    assert moment.date() in days
    with sql.connect(stack) as session:
        unlike = partial(unlike_landed, Batch(session, hdfs, stack.hdfs_uri, ""))
        assert [sentence for day in days if (sentence := unlike(day))] == []
        landed = audit.parquet_files(stack, paths.hour_folder("inventory", moment))[-1]
        files.move(hdfs, landed, "/gone.parquet")
        gone = unlike(moment.date())
        files.move(hdfs, "/gone.parquet", landed)
        files.write(hdfs, copy := landed.replace("part-", "part-1"), files.read(hdfs, landed))
        twice = unlike(moment.date())
        files.remove(hdfs, copy)
        assert unlike(moment.date()) is None
    assert gone and "inventory/sale" in gone  # noqa: PT018
    assert twice and "inventory/sale" in twice  # noqa: PT018


def test_a_topic_created_anew_is_told_from_the_one_that_was_landed(stack: Settings) -> None:
    ids = kafka_client.topic_ids(stack, [stream.topic for stream in STREAMS])
    assert len(set(ids.values())) == len(STREAMS)
    require_same_topics(Commit(1, ids), ids)
    with pytest.raises(BrokenPromise, match="ecommerce-clicks is not the one that was landed so far"):
        require_same_topics(Commit(1, {**ids, CLICKS.topic: "another"}), ids)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"ECOMMERCE_KAFKA_BOOTSTRAP": "127.0.0.1:1"}, "Kafka at 127.0.0.1:1 cannot be reached"),
        ({"ECOMMERCE_HDFS_URI": "hdfs://127.0.0.1:1"}, "HDFS at hdfs://127.0.0.1:1 cannot be reached"),
        ({"ECOMMERCE_WEBHDFS_URL": "http://127.0.0.1:1"}, "HDFS at http://127.0.0.1:1 cannot be reached"),
    ],
)
def test_a_server_out_of_reach_is_one_sentence(job: Job, variables: dict[str, str], sentence: str) -> None:
    result = job(*INGEST, timeout=200, **variables)
    assert result.returncode == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert sentence in errors[0]
    assert "Traceback" not in result.stderr

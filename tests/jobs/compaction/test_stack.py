"""Hours are compacted on the real servers while SQL, readers of folders and ingest go on, and a run is killed."""

import io
import json
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pyarrow.parquet as pq
import pytest

from clients import hdfs as files
from clients import sql
from contracts import hive, paths
from contracts.errors import NotFound
from contracts.events import CLICKS, PURCHASES
from contracts.settings import Settings
from jobs import audit
from jobs.compaction import exchange
from jobs.compaction.choice import Hour
from local.stack import Stack
from tests.support import kafka, samples
from tests.support.lake import leave_to_themselves
from tests.support.running import INGEST, Job, ok, start

pytestmark = pytest.mark.timeout(900)
COMPACT = ("jobs.compaction", "--older-than", "0", "--grace")
AGO = 30
"""Hours since the rows of these tests."""
OURS = "compacted-"
"""How their users' names begin: the shop's tests land a month, this hour among it."""


@cache
def moment() -> datetime:
    """The same in all of these tests, whichever hour they end in."""
    return datetime.now(UTC).replace(minute=10, second=0, microsecond=0) - timedelta(hours=AGO)


def send(stack: Settings, count: int, name: str) -> None:
    """Clicks and purchases of an hour."""
    at = moment()
    for topic, make in ((CLICKS.topic, samples.click), (PURCHASES.topic, samples.purchase)):
        events = [
            make(user_id=f"{OURS}{name}-{number % 9}", event_time=at + timedelta(seconds=number % 3000))
            for number in range(count)
        ]
        kafka.produce(stack, topic, [(event["user_id"], samples.encode(event)) for event in events])


def hour_of(stream: str) -> Hour:
    return Hour(stream, f"{moment():%Y-%m-%d}", f"{moment():%H}")


def listed(stack: Settings, stream: str) -> list[str]:
    return sorted(exchange.visible(files.client(stack), hour_of(stream).folder))


def in_folder(stack: Settings, stream: str) -> Counter[str]:
    """The ids of the hour as a reader of folders finds them; none where a file is gone since it was listed."""
    found: Counter[str] = Counter()
    for name in listed(stack, stream):
        try:
            data = files.read(files.client(stack), f"{hour_of(stream).folder}/{name}")
        except NotFound:
            return Counter()
        rows = pq.read_table(io.BytesIO(data), columns=["event_id", "user_id"], partitioning=None).to_pylist()
        found.update(row["event_id"] for row in rows if row["user_id"].startswith(OURS))
    return found


def question(stream: str) -> str:
    hour = hour_of(stream)
    return (
        f"SELECT COUNT(*), COUNT(DISTINCT event_id), SUM(kafka_offset), MIN(event_time), MAX(event_time) "  # noqa: S608
        f"FROM {hive.RAW[stream].qualified} WHERE `date` = '{hour.date}' AND `hour` = '{hour.hour}' "
        f"AND user_id LIKE '{OURS}%'"
    )


@contextmanager
def asking(ask: Callable[[], Any]) -> Iterator[list[Any]]:
    """Asks again and again on a thread of its own; gives the answers, of which an exception is one."""
    answers: list[Any] = []
    over = threading.Event()

    def go_on() -> None:
        while not over.is_set():
            try:
                answers.append(ask())
            except Exception as error:
                answers.append(error)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join()


@pytest.fixture(scope="module")
def landed(stack: Settings, job: Job) -> None:
    """An hour of several commits."""
    ok(job(*INGEST))
    leave_to_themselves(stack)
    for number in range(3):
        send(stack, 200, f"batch-{number}")
        ok(job(*INGEST))
    ok(job(*INGEST))  # its start is a commit, after which no file is of the newest
    assert all(len(listed(stack, stream)) >= 6 for stream in ("clicks", "purchases"))


def test_readers_find_the_same_rows_before_during_and_after(stack: Settings, job: Job, landed: None) -> None:
    ids = {stream: in_folder(stack, stream) for stream in ("clicks", "purchases")}
    before = sum(len(listed(stack, stream)) for stream in ids)
    with sql.connect(stack) as one, sql.connect(stack) as other:
        truth = one.rows(question("clicks")), other.rows(question("purchases"))
        assert truth[0][0][:2] == (600, 600)
        with (
            asking(lambda: one.rows(question("clicks"))) as clicks,
            asking(lambda: other.rows(question("purchases"))) as purchases,
            asking(lambda: in_folder(stack, "clicks")) as folder,
        ):
            result = job(*COMPACT, "5")
            ok(result)
        after = one.rows(question("clicks")), other.rows(question("purchases"))
    assert after == truth
    assert len(clicks) > 5, "SQL was asked all the time"
    assert all(answer == truth[0] for answer in clicks), Counter(map(str, clicks))
    assert all(answer == truth[1] for answer in purchases), Counter(map(str, purchases))
    seen = Counter(len(found) for found in folder)
    assert all(set(found) <= set(ids["clicks"]) and set(found.values()) <= {1} for found in folder), seen
    assert {stream: in_folder(stack, stream) for stream in ids} == ids
    report = json.loads(result.stdout)
    assert report["files_before"] >= before
    for stream in ids:
        [name] = listed(stack, stream)
        assert paths.compacted(name)
    assert json.loads(job(*COMPACT, "0").stdout)["hours"] == 0, "nothing is left to do"
    assert files.names(files.client(stack), exchange.WORK) == []
    assert files.names(files.client(stack), exchange.READ) == []


def test_ingest_goes_on_from_compacted_files(stack: Settings, job: Job, landed: None) -> None:
    """The window of ids, which a start reads back from files that are compacted by then, still knows the copies."""
    now = datetime.now(UTC) - timedelta(hours=2)
    records = [(f"u{n % 9}", samples.encode(samples.click(user_id=f"u{n % 9}", event_time=now))) for n in range(100)]
    for part in (records[:50], records[50:]):
        kafka.produce(stack, CLICKS.topic, part)
        ok(job(*INGEST))
    ok(job(*INGEST))
    ok(job(*COMPACT, "0"))
    before = audit.committed(stack)
    compacted = {path for state in before.partitions.values() for path in state.window_files}
    assert not all(files.exists(files.client(stack), path) for path in compacted)
    kafka.produce(stack, CLICKS.topic, records)
    ok(job(*INGEST))
    after = audit.committed(stack).totals[CLICKS.topic]
    assert after.duplicates - before.totals[CLICKS.topic].duplicates == len(records)
    assert after.landed == before.totals[CLICKS.topic].landed
    ok(job("jobs.repair", "--dry-run"))


@pytest.mark.long
def test_a_run_killed_at_any_moment_while_rows_land(
    stack: Settings, local_stack: Stack, job: Job, landed: None
) -> None:
    drawn = random.Random(16)
    sent = in_folder(stack, "clicks").total()
    for number in range(2):
        send(stack, 100, f"late-{number}")
        ok(job(*INGEST))
        sent += 100
        process = start(local_stack, *COMPACT, "3")
        time.sleep(drawn.uniform(2.0, 7.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
        exchange.show_landed_of(files.client(stack), hour_of("clicks").date)
        with sql.connect(stack) as session:
            assert session.rows(question("clicks"))[0][:2] == (sent, sent)
    ok(job(*INGEST))
    ok(job(*COMPACT, "0"))
    ok(job(*COMPACT, "0"))
    with sql.connect(stack) as session:
        assert session.rows(question("clicks"))[0][:2] == (sent, sent)
    found = in_folder(stack, "clicks")
    assert (found.total(), len(found)) == (sent, sent)
    assert exchange.kept(files.client(stack)) == []

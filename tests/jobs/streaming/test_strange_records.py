"""Strange records through both jobs on real servers: each is a row, a copy or a dead letter; nothing stops a job."""

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random

import pytest
from hdfs import InsecureClient
from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from clients import hdfs as files
from clients import kafka as kafka_client
from clients.commits import Counts
from contracts import paths
from contracts.events import CLICKS, STREAMS
from contracts.settings import Settings
from contracts.topics import DEAD_LETTERS, MAX_DEAD_LETTER_BYTES
from generator import strange
from jobs import audit
from jobs.streaming import careful
from tests.support import kafka, samples
from tests.support.running import INGEST, SPEED, Job, ok

COUNT = 400
FLOOD = 100_000
BOMB_BYTES = 900_000_000


def outcomes(stack: Settings) -> dict[str, Counts]:
    """What ingest has made of each topic's records."""
    totals = audit.committed(stack).totals
    return {stream.topic: totals.get(stream.topic, Counts()) for stream in STREAMS}


@pytest.fixture(scope="module")
def caught_up(stack: Settings, job: Job) -> None:
    """Nothing of other tests is waiting."""
    ok(job(*INGEST))
    ok(job(*SPEED))


def test_every_strange_record_has_one_outcome(stack: Settings, job: Job, caught_up: None) -> None:
    before, letters = outcomes(stack), audit.dead_letters(stack)
    now = datetime.now(UTC)
    for seed, stream in enumerate(STREAMS):
        values = strange.records(seed, stream, COUNT, now)
        kafka.produce(stack, stream.topic, [(f"k{number % 9}", value) for number, value in enumerate(values)])
    year_one = samples.click(event_time="0001-01-01T00:00:00+01:00")
    kafka.produce(stack, CLICKS.topic, [("year one", samples.encode(year_one)), ("none", None)])
    ok(job(*INGEST))
    ok(job(*SPEED))
    after = outcomes(stack)
    for stream in STREAMS:
        was, now_is = before[stream.topic], after[stream.topic]
        landed, copies = now_is.landed - was.landed, now_is.duplicates - was.duplicates
        dead = now_is.dead_letters - was.dead_letters
        assert landed + copies + dead == COUNT + (2 if stream is CLICKS else 0)
        assert landed > COUNT / 10
        assert audit.dead_letters(stack).get(stream.topic, 0) - letters.get(stream.topic, 0) == dead
    assert audit.behind(audit.end_offsets(stack), audit.speed_offsets(stack)) == 0


def limit_dead_letters(stack: Settings, size: int) -> None:
    with kafka_client.admin(stack) as admin:
        resource = ConfigResource(ConfigResourceType.TOPIC, DEAD_LETTERS, {"max.message.bytes": str(size)})
        admin.alter_configs([resource])


def test_a_dead_letter_topic_that_refuses_loses_nothing(stack: Settings, job: Job, caught_up: None) -> None:
    before = outcomes(stack)[CLICKS.topic]
    records = [("refused", samples.encode(samples.click())), ("refused", Random(1).randbytes(5000)), ("refused", b"y")]
    limit_dead_letters(stack, 1000)
    try:
        kafka.produce(stack, CLICKS.topic, records)
        failed = job(*INGEST)
        assert failed.returncode == 1
        assert f"{DEAD_LETTERS} did not take" in failed.stderr.splitlines()[-1]
        assert outcomes(stack)[CLICKS.topic] == before
    finally:
        limit_dead_letters(stack, MAX_DEAD_LETTER_BYTES)
    ok(job(*INGEST))
    after = outcomes(stack)[CLICKS.topic]
    assert (after.landed - before.landed, after.dead_letters - before.dead_letters) == (1, 2)


@pytest.fixture
def forgotten(stack: Settings) -> Iterator[None]:
    """Kafka holds nothing of this test for those that read its topics from their beginning, as after its retention."""
    yield
    with kafka_client.admin(stack) as admin:
        for topic in (CLICKS.topic, DEAD_LETTERS):
            ends = {place: end for place, (_, end) in kafka_client.ranges(stack, [topic]).items()}
            admin.delete_records(
                {TopicPartition(topic, int(place[len(topic) + 1 :])): end for place, end in ends.items()}
            )


def test_a_flood_of_dead_letters_in_one_batch_goes_out(
    stack: Settings, job: Job, caught_up: None, forgotten: None
) -> None:
    before, letters = outcomes(stack)[CLICKS.topic], audit.dead_letters(stack).get(CLICKS.topic, 0)
    kafka.produce(stack, CLICKS.topic, [("flood", b"flood %d" % number) for number in range(FLOOD)])
    ok(job(*INGEST))
    assert outcomes(stack)[CLICKS.topic].dead_letters - before.dead_letters == FLOOD
    assert audit.dead_letters(stack)[CLICKS.topic] - letters == FLOOD
    ok(job(*SPEED))


def test_a_record_larger_than_memory_ends_no_job_for_good(
    stack: Settings, job: Job, caught_up: None, forgotten: None
) -> None:
    """Some megabytes compressed, it is refused by no broker, and held by no task of Spark's."""
    before, letters = outcomes(stack)[CLICKS.topic], audit.dead_letters(stack)
    size = {"message.max.bytes": BOMB_BYTES + 10_000, "queue.buffering.max.kbytes": 2_000_000}
    kafka_client.send_all(stack, CLICKS.topic, [("bomb", b" " * BOMB_BYTES, {})], **size, **{"compression.type": "lz4"})
    kafka.produce(stack, CLICKS.topic, [("bomb", samples.encode(samples.click())) for _ in range(20)])
    hdfs = files.client(stack)
    for module in (INGEST, SPEED):
        folder = f"{paths.CHECKPOINTS}/{module[0].rpartition('.')[2]}"
        for name in starts(hdfs, folder):  # of jobs that had nothing to do
            files.remove(hdfs, f"{folder}/{name}")
        assert job(*module).returncode, "a task holds it: make it larger"
        for name in starts(hdfs, folder):
            files.move(hdfs, f"{folder}/{name}", f"{folder}/{name[:-1]}{careful.FRUITLESS_STARTS}")
        ok(job(*module))
    after = outcomes(stack)[CLICKS.topic]
    assert (after.landed - before.landed, after.dead_letters - before.dead_letters) == (20, 1)
    assert audit.dead_letters(stack).get(CLICKS.topic, 0) - letters.get(CLICKS.topic, 0) == 1
    assert audit.behind(audit.end_offsets(stack), audit.speed_offsets(stack)) == 0


def starts(hdfs: InsecureClient, folder: str) -> list[str]:
    return [name for name in files.names(hdfs, folder) if name.startswith(careful.STARTS)]

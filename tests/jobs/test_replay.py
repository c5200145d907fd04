"""Dead letters sent back into their topic on real servers: each at most once, whatever dies when."""

import json
import signal
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from kafka import KafkaProducer

from clients import hdfs as files
from contracts import paths, topics
from contracts.events import CLICKS, INVENTORY, MAX_CLOCK_SKEW
from contracts.settings import Settings
from jobs import audit
from jobs.replay import Batch, Memory
from tests.support import kafka, samples
from tests.support.running import CRASHING, INGEST, Job, ok


def letters(
    stack: Settings, values: list[bytes | None], first: int, reason: str, topic: str = CLICKS.topic, **more: bytes
) -> list[str]:
    """Sends dead letters as ingest does, of records that stood in partition 1 from offset ``first`` on; their keys."""
    producer = KafkaProducer(bootstrap_servers=stack.kafka_bootstrap, acks="all")
    names = [f"{topic}/1/{first + number}" for number in range(len(values))]
    for name, value in zip(names, values, strict=True):
        place = {"topic": topic, "partition": "1", "offset": name.rpartition("/")[2]}
        headers = {"reason": reason.encode(), **{key: text.encode() for key, text in place.items()}, **more}
        producer.send(topics.DEAD_LETTERS, key=name.encode(), value=value, headers=list(headers.items()))
    producer.flush()
    producer.close()
    return names


def clicks(count: int) -> list[bytes | None]:
    return [samples.encode(samples.click(user_id="again")) for _ in range(count)]


def replays(stack: Settings, topic: str = CLICKS.topic) -> dict[str, list[Any]]:
    """The records of a topic that say which letter they are, by letter."""
    found: dict[str, list[Any]] = {}
    for record in kafka.consume(stack, topic):
        if name := dict(record.headers).get(topics.REPLAY_OF):
            found.setdefault(name.decode(), []).append(record)
    return found


def outcomes(result: Any) -> Counter[str]:
    """What became of letters, whatever their stream and reason."""
    ok(result)
    counts: Counter[str] = Counter()
    for reasons in json.loads(result.stdout).values():
        for counted in reasons.values():
            counts.update(counted)
    return counts


def test_an_event_that_was_too_early_lands_once(stack: Settings, job: Job) -> None:
    early = datetime.now(UTC) + MAX_CLOCK_SKEW + timedelta(seconds=25)
    events = [samples.click(user_id="early", event_time=early) for _ in range(3)]
    sent = kafka.produce(stack, CLICKS.topic, [("early", samples.encode(event)) for event in events])
    ok(job(*INGEST))
    replay = ("jobs.replay", "--reason", f"{early:%H:%M:%S}.*after its append", "--stream", "clicks")
    assert outcomes(job(*replay, "--dry-run")).total() == 3
    time.sleep(max(0.0, (early - MAX_CLOCK_SKEW - datetime.now(UTC)).total_seconds() + 1))

    assert outcomes(job(*replay, "--dry-run")) == {"to send": 3}
    assert not replays(stack).keys() & {f"{CLICKS.topic}/{place}/{offset}" for place, offset in sent}
    assert outcomes(job(*replay)) == {"sent": 3}
    assert outcomes(job(*replay)) == {"sent before": 3}

    ok(job(*INGEST))
    _, landed = audit.read_stream(stack, "clicks", ["event_id"])
    counts = Counter(landed["event_id"].to_pylist())
    assert [counts[event["event_id"]] for event in events] == [1, 1, 1]
    found = replays(stack)
    for place, offset in sent:
        [record] = found[f"{CLICKS.topic}/{place}/{offset}"]
        assert (record.key, record.partition) == (b"early", place), "a copy is told by its partition"


def test_what_would_be_rejected_again_is_not_sent_unless_forced(stack: Settings, job: Job) -> None:
    bad = letters(stack, [b"not json", None], 1000, "hopeless")
    cut = letters(stack, [b"{"], 1002, "hopeless", truncated=b"9000000")
    report = outcomes(job("jobs.replay", "--reason", "hopeless"))
    assert sum(number for outcome, number in report.items() if "would be rejected again" in outcome) == 2
    assert report["cannot be sent: the letter holds only the beginning of the record"] == 1
    assert not replays(stack).keys() & {*bad, *cut}
    assert outcomes(job("jobs.replay", "--reason", "hopeless", "--force"))["sent"] == 2
    assert set(replays(stack)) & {*bad, *cut} == set(bad)


def test_letters_are_chosen_by_reason_stream_and_time(stack: Settings, job: Job) -> None:
    before = letters(stack, clicks(2), 2000, "choice one")
    time.sleep(1.1)
    middle = datetime.now(UTC)
    time.sleep(1.1)
    after = letters(stack, clicks(2), 2010, "choice two", key=b"its own")
    change = samples.encode(samples.stock_change())
    other = letters(stack, [change], 2000, "choice one", INVENTORY.topic)
    at = f"{middle:%Y-%m-%dT%H:%M:%SZ}"

    assert outcomes(job("jobs.replay", "--reason", "choice (one|two)", "--stream", "inventory")) == {"sent": 1}
    [record] = replays(stack, INVENTORY.topic)[other[0]]
    assert (record.key, record.value) == (samples.PRODUCT.encode(), change)
    assert outcomes(job("jobs.replay", "--reason", "choice", "--since", at)) == {"sent": 2, "sent before": 1}
    assert [record.key for name in after for record in replays(stack)[name]] == [b"its own"] * 2
    assert not replays(stack).keys() & set(before)
    assert outcomes(job("jobs.replay", "--reason", "choice", "--until", at)) == {"sent": 2}
    assert [record.key for name in before for record in replays(stack)[name]] == [b"again"] * 2


@pytest.mark.long
@pytest.mark.parametrize(("point", "first"), [("replay-written-not-sent", 3000), ("replay-sent-not-settled", 4000)])
def test_a_kill_around_the_sending_sends_nothing_twice(stack: Settings, job: Job, point: str, first: int) -> None:
    names = letters(stack, clicks(20), first, f"killed {point}")
    command = ("jobs.replay", "--reason", f"killed {point}")
    killed = job("tests.support.in_own_group", *command, CRASH_AT=point, **CRASHING)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    sent = set(replays(stack)) & set(names)
    assert len(sent) == (20 if point == "replay-sent-not-settled" else 0)
    assert outcomes(job(*command)) == ({"sent before": 20} if sent else {"sent": 20})
    assert outcomes(job(*command)) == {"sent before": 20}
    assert [len(replays(stack)[name]) for name in names] == [1] * 20


def test_of_two_runs_one_sends(stack: Settings, job: Job) -> None:
    [name] = letters(stack, clicks(1), 5000, "contended")
    ours = Memory(stack)
    ok(job("jobs.replay", "--reason", "contended"))
    with pytest.raises(Exception, match="another replay is running"):
        ours.send([])
    assert len(replays(stack)[name]) == 1


def test_what_kafka_no_longer_tells_counts_as_sent(stack: Settings, job: Job) -> None:
    [name] = letters(stack, clicks(1), 6000, "forgotten")
    hdfs = files.client(stack)
    number = 1 + max(int(found.removesuffix(".json")) for found in files.names(hdfs, paths.REPLAYED))
    beyond = Batch([name], {f"{CLICKS.topic}/1": 10**12}, time.time())
    files.write(hdfs, f"{paths.REPLAYED}/{number:012d}.json", msgspec.json.encode(beyond))
    assert outcomes(job("jobs.replay", "--reason", "forgotten")) == {"sent before": 1}
    assert name not in replays(stack)

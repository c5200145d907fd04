"""The simulated shop into a real Kafka, counted again by another client than its own."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition

from clients.retry import until
from contracts.events import BY_TOPIC, STREAMS, Stream
from contracts.settings import Settings
from tests.support.account import Account, recount

Records = list[tuple[Stream, str, bytes]]


@contextmanager
def records_of(settings: Settings) -> Iterator[Records]:
    """Afterwards holds what came into the topics meanwhile."""
    consumer = KafkaConsumer(bootstrap_servers=settings.kafka_bootstrap, enable_auto_commit=False)
    places = [
        TopicPartition(stream.topic, number)
        for stream in STREAMS
        for number in consumer.partitions_for_topic(stream.topic)
    ]
    begins = consumer.end_offsets(places)
    found: Records = []
    yield found
    ends = consumer.end_offsets(places)
    consumer.assign(places)
    for place in places:
        consumer.seek(place, begins[place])
    while any(consumer.position(place) < ends[place] for place in places):
        for place, records in consumer.poll(timeout_ms=500).items():
            found += [(BY_TOPIC[place.topic], record.key.decode(), record.value) for record in records]
    consumer.close()


def shop(settings: Settings, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "generator", "--kafka-bootstrap", settings.kafka_bootstrap, *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def differences(account: Account, ledger: Path) -> list[str]:
    return account.differences(json.loads(ledger.read_text()))


@pytest.mark.parametrize("client", ["confluent", "kafka-python"])
def test_a_day_arrives_as_the_ledger_says(stack: Settings, tmp_path: Path, client: str) -> None:
    ledger = tmp_path / "ledger.json"
    with records_of(stack) as records:
        process = shop(stack, "--events=20000", f"--client={client}", "--ledger", str(ledger))
        assert process.wait(120) == 0
    assert differences(recount(records), ledger) == []


def test_days_arrive_as_the_ledger_says(stack: Settings, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.json"
    last = datetime.now(UTC).date() - timedelta(days=1)
    with records_of(stack) as records:
        process = shop(stack, f"--days={last - timedelta(days=28)}..{last}", "--events=1000", "--ledger", str(ledger))
        assert process.wait(120) == 0
    assert differences(recount(records), ledger) == []
    assert len(json.loads(ledger.read_text())["days"]) == 29


def test_a_killed_shop_s_ledger_holds_only_what_kafka_has(stack: Settings, tmp_path: Path) -> None:
    ledger, ids = tmp_path / "ledger.json", tmp_path / "ids.tsv"
    with records_of(stack) as records:
        process = shop(stack, "--rate=3000", "--ledger", str(ledger), "--ledger-ids", str(ids))
        until(lambda: ids.exists() and ids.stat().st_size, seconds=60, pause=0.1, what="acknowledged events")
        time.sleep(1)
        process.kill()
        process.wait()
    account = recount(records)
    listed = {tuple(line.split("\t")) for line in ids.read_text().splitlines()}
    assert len(listed) == sum(count["produced"] for count in json.loads(ledger.read_text())["streams"].values()) > 0
    assert listed <= {(stream.name, event_id) for stream in STREAMS for event_id in account.ids[stream]}


def test_sigterm_loses_nothing(stack: Settings, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.json"
    with records_of(stack) as records:
        process = shop(stack, "--rate=3000", "--delayed-share=0.05", "--ledger", str(ledger))
        assert process.stderr is not None
        while '"progress"' not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    account = recount(records)
    assert differences(account, ledger) == []
    assert sum(len(ids) for ids in account.ids.values()) > 9_000


def test_sigterm_in_the_middle_of_a_day_loses_nothing(stack: Settings, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.json"
    with records_of(stack) as records:
        process = shop(stack, "--events=100000000", "--ledger", str(ledger))
        assert process.stderr is not None
        while '"opened"' not in process.stderr.readline():
            assert process.poll() is None
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert differences(recount(records), ledger) == []


def test_three_replicas_at_once(stack: Settings, tmp_path: Path) -> None:
    ledgers = [tmp_path / f"{replica}.json" for replica in range(3)]
    with records_of(stack) as records:
        processes = [
            shop(stack, "--events=60000", "--replicas=3", f"--replica={replica}", "--ledger", str(ledger))
            for replica, ledger in enumerate(ledgers)
        ]
        assert [process.wait(120) for process in processes] == [0, 0, 0]
    account = recount(records)
    said: list[dict[str, Any]] = [json.loads(ledger.read_text()) for ledger in ledgers]
    for stream in STREAMS:
        assert len(account.ids[stream]) == sum(ledger["streams"][stream.name]["produced"] for ledger in said)
        assert account.duplicates[stream.name] == sum(ledger["streams"][stream.name]["duplicates"] for ledger in said)
    assert account.alerts == sum(ledger["alerts_expected"] for ledger in said)
    assert sum(len(ids) for ids in account.ids.values()) == pytest.approx(60_000, rel=0.05)

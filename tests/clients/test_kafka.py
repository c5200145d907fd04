"""How the settings of Kafka are said to each library, what a broker's refusal becomes, what each client may do."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient
from kafka.admin import UserScramCredentialUpsertion
from kafka.protocol.admin import DescribeClientQuotasRequest

from clients import kafka, retry
from contracts.acls import CLIENTS
from contracts.errors import Mistake, NotFound, Refused, Unreachable
from contracts.events import CLICKS, STREAMS
from contracts.products import CATALOG
from contracts.settings import Settings
from contracts.topics import ALERTS, DEAD_LETTERS, TOPICS
from jobs import acls, prepare
from tests.support.running import run
from tests.support.secured_kafka import PASSWORD, credentials, secured_kafka

BROKERS = "one:9092,two:9092"


@pytest.fixture
def by_password(tmp_path: Path) -> Settings:
    (tmp_path / "password").write_text(PASSWORD)
    return Settings(kafka_bootstrap=BROKERS, kafka_user="shop", kafka_credentials=str(tmp_path))


def test_without_credentials_clients_speak_plaintext() -> None:
    settings = Settings(kafka_bootstrap=BROKERS, kafka_user="ignored")
    assert kafka.confluent(settings) == {"bootstrap.servers": BROKERS}
    assert kafka.kafka_python(settings) == {"bootstrap_servers": ["one:9092", "two:9092"]}
    assert kafka.spark(settings) == {"kafka.bootstrap.servers": BROKERS}


def test_with_a_user_clients_log_in_by_password_over_tls(by_password: Settings) -> None:
    folder = by_password.kafka_credentials
    assert kafka.confluent(by_password) == {
        "bootstrap.servers": BROKERS,
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": f"{folder}/ca.crt",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "shop",
        "sasl.password": PASSWORD,
    }
    assert kafka.kafka_python(by_password) == {
        "bootstrap_servers": ["one:9092", "two:9092"],
        "security_protocol": "SASL_SSL",
        "ssl_cafile": f"{folder}/ca.crt",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "shop",
        "sasl_plain_password": PASSWORD,
    }


def test_without_a_user_clients_log_in_by_certificate(tmp_path: Path) -> None:
    settings = Settings(kafka_credentials=str(tmp_path))
    assert kafka.confluent(settings)["security.protocol"] == "SSL"
    assert kafka.confluent(settings)["ssl.key.location"] == f"{tmp_path}/tls.key"
    assert kafka.kafka_python(settings)["ssl_certfile"] == f"{tmp_path}/tls.crt"


def test_neither_settings_nor_spark_are_told_the_password(by_password: Settings) -> None:
    options = kafka.spark(by_password)
    assert PASSWORD not in json.dumps(options) + json.dumps(asdict(by_password)) + str(by_password.as_environment())
    assert f"${{directory:{by_password.kafka_credentials}:password}}" in options["kafka.sasl.jaas.config"]
    assert options["kafka.config.providers"] == "directory"


def test_librdkafka_knows_every_option(by_password: Settings, tmp_path: Path) -> None:
    with pytest.raises(KafkaException, match=r"ssl\.ca.location failed"):
        AdminClient(kafka.confluent(by_password))


def test_a_password_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    settings = Settings(kafka_user="shop", kafka_credentials=str(tmp_path))
    with pytest.raises(Mistake, match=r"password of shop cannot be read: .*/password: No such file"):
        kafka.kafka_python(settings)


def test_a_client_may_do_its_part_of_the_pipeline_alone() -> None:
    may = {client.name: (set(client.reads), set(client.writes)) for client in CLIENTS}
    streams, everything = {stream.topic for stream in STREAMS}, {topic.name for topic in TOPICS}
    assert may == {
        "generator": (set(), streams | {CATALOG}),
        "ingest": (streams | {CATALOG}, {DEAD_LETTERS}),
        "speed": (streams, {ALERTS}),
        "audit": (everything, set()),
        "replay": (streams | {DEAD_LETTERS}, streams),
    }


def test_rights_are_those_of_the_user_and_of_named_topics() -> None:
    for client in CLIENTS:
        found = acls.rights(client, "lambda-kafka-")
        assert {acl.principal for acl in found} == {f"User:lambda-kafka-{client.name}"}
        assert len(found) == len(TOPICS) + len(client.reads) + len(client.writes)
        assert {acl.resource_pattern.resource_name for acl in found} == {topic.name for topic in TOPICS}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> Iterator[Settings]:
    """The settings that log in at a broker which asks for a password, with a topic on it."""
    with secured_kafka(tmp_path_factory.mktemp("kafka"), authority) as settings:
        prepare.create_topics(settings, [CLICKS.topic])
        yield settings


def list_topics(settings: Settings) -> set[str]:
    with kafka.consumer(settings) as consumer:
        return set(consumer.topics())


def send(settings: Settings) -> None:
    kafka.send_all(settings, CLICKS.topic, [("key", b"value", {})])


CALLS: dict[str, Callable[[Settings], object]] = {
    "answers": kafka.answers,
    "topic_ids": lambda settings: kafka.topic_ids(settings, [CLICKS.topic]),
    "ranges": lambda settings: kafka.ranges(settings, [CLICKS.topic]),
    "send_all": send,
    "admin": prepare.missing_topics,
    "consumer": list_topics,
}


def quotas(settings: Settings) -> dict[str, float]:
    """The user's, as the broker says them."""
    request = DescribeClientQuotasRequest(components=[("user", 0, settings.kafka_user)], strict=False)
    with kafka.admin(settings) as admin:
        response = admin._manager.run(admin._manager.send, request)
    return {value.key: value.value for entry in response.entries for value in entry.values}


def test_quotas_are_set_changed_and_removed(known: Settings) -> None:
    def alter(**wanted: float | None) -> list[Exception]:
        with kafka.admin(known) as admin:
            return kafka.alter_quotas(admin, {known.kafka_user: wanted})

    rate = "producer_byte_rate"
    for value in (1000.0, 2000.0):
        assert alter(**{rate: value}) == []
        retry.until(lambda: quotas(known), {rate: value}.__eq__, seconds=10)
    for _ in range(2):  # what is not there is removed as well
        assert alter(**{rate: None}) == []
        retry.until(lambda: quotas(known), {}.__eq__, seconds=10)
    (error,) = alter(no_such_quota=1.0)
    assert "no_such_quota" in str(error)


def test_a_client_that_writes_more_than_its_quota_is_made_to_wait(known: Settings) -> None:
    waits: list[Any] = []
    producer = Producer({**kafka.confluent(known), "throttle_cb": waits.append, "linger.ms": 0})
    with kafka.admin(known) as admin:
        assert kafka.alter_quotas(admin, {known.kafka_user: {"producer_byte_rate": 1000.0}}) == []
    for _ in range(20):
        producer.produce(CLICKS.topic, b" " * 2000)
        producer.flush(30)
        if waits:
            break
    with kafka.admin(known) as admin:
        kafka.alter_quotas(admin, {known.kafka_user: {"producer_byte_rate": None}})
    assert waits[0].throttle_time > 0


def test_a_right_password_is_let_in(known: Settings) -> None:
    send(known)
    assert set(kafka.topic_ids(known, [CLICKS.topic])) == list_topics(known) == {CLICKS.topic}
    assert CLICKS.topic not in prepare.missing_topics(known)


@pytest.mark.timeout(30)  # retried, it would take a minute at least
@pytest.mark.parametrize("call", CALLS)
def test_a_wrong_password_is_refused_and_not_retried(
    known: Settings, authority: trustme.CA, tmp_path: Path, call: str
) -> None:
    wrong = replace(known, kafka_credentials=credentials(tmp_path / "wrong", authority, "a guess"))
    with pytest.raises(Refused, match=r"refused the user shop: .*invalid credentials"):
        CALLS[call](wrong)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("call", CALLS)
def test_a_broker_with_another_certificate_is_refused(known: Settings, tmp_path: Path, call: str) -> None:
    deceived = replace(known, kafka_credentials=credentials(tmp_path / "other", trustme.CA(), PASSWORD))
    with pytest.raises(Refused, match="certificate verify failed"):
        CALLS[call](deceived)


def test_a_job_with_a_wrong_password_ends_at_once(known: Settings, authority: trustme.CA, tmp_path: Path) -> None:
    wrong = replace(known, kafka_credentials=credentials(tmp_path / "wrong", authority, "a guess"))
    done = run("jobs.prepare", "topics", "--timeout=600", variables=wrong.as_environment(), timeout=60)
    assert done.returncode == 1
    assert "error: Kafka at 127.0.0.1" in done.stderr
    assert "refused the user shop" in done.stderr


def test_a_missing_topic_is_named(known: Settings) -> None:
    with pytest.raises(NotFound, match="has no topic nowhere"):
        kafka.topic_ids(known, [CLICKS.topic, "nowhere"])


def test_a_record_too_large_for_the_topic_is_refused(known: Settings) -> None:
    large: list[kafka.Record] = [("key", bytes(20_000_000), {})]
    with pytest.raises(Refused, match="Message size too large"):
        kafka.send_all(known, CLICKS.topic, large, **{"message.max.bytes": 30_000_000})


def test_a_broker_that_is_not_there_is_unreachable(known: Settings) -> None:
    with pytest.raises(Unreachable, match=r"Kafka at 127\.0\.0\.1:1 cannot be reached"):
        kafka.answers(replace(known, kafka_bootstrap="127.0.0.1:1"))


def test_who_waits_waits_for_its_login_as_well(known: Settings, authority: trustme.CA, tmp_path: Path) -> None:
    """The last with this broker, since it makes the other topics."""
    prepare.prepare(known, "topics")
    folder = credentials(tmp_path / "later", authority, PASSWORD)
    later = replace(known, kafka_user="later", kafka_credentials=folder)
    command = [sys.executable, "-m", "jobs.prepare", "wait", "--for", "topics", "--timeout", "60"]
    environment = {**os.environ, **later.as_environment()}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as waiting:
        assert waiting.stderr
        assert "refused the user later" in waiting.stderr.readline()
        with kafka.admin(known) as admin:
            admin.alter_user_scram_credentials([UserScramCredentialUpsertion("later", kafka.MECHANISM, PASSWORD)])
        printed = waiting.stderr.read()
    assert waiting.returncode == 0, printed

"""How the settings of Kafka are said to each library, and what each client may do."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from clients import kafka
from contracts.acls import CLIENTS
from contracts.errors import Mistake
from contracts.events import STREAMS
from contracts.settings import Settings
from contracts.topics import ALERTS, DEAD_LETTERS, TOPICS
from jobs import acls

PASSWORD = "no-one-guesses-this"  # noqa: S105
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
    with pytest.raises(Exception, match=r"ssl\.ca.location failed"):
        AdminClient(kafka.confluent(by_password))


def test_a_password_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    settings = Settings(kafka_user="shop", kafka_credentials=str(tmp_path))
    with pytest.raises(Mistake, match=r"password of shop cannot be read: .*/password: No such file"):
        kafka.kafka_python(settings)


def test_a_client_may_do_its_part_of_the_pipeline_alone() -> None:
    may = {client.name: (set(client.reads), set(client.writes)) for client in CLIENTS}
    streams, everything = {stream.topic for stream in STREAMS}, {topic.name for topic in TOPICS}
    assert may == {
        "generator": (set(), streams),
        "ingest": (streams, {DEAD_LETTERS}),
        "speed": (streams, {ALERTS}),
        "audit": (everything, set()),
    }


def test_rights_are_those_of_the_user_and_of_named_topics() -> None:
    for client in CLIENTS:
        found = acls.rights(client, "lambda-kafka-")
        assert {acl.principal for acl in found} == {f"User:lambda-kafka-{client.name}"}
        assert len(found) == len(TOPICS) + len(client.reads) + len(client.writes)
        assert {acl.resource_pattern.resource_name for acl in found} == {topic.name for topic in TOPICS}

"""Kafka secured on the platform that runs: nothing is lost over the change, and each client may do its own alone."""

import base64
import dataclasses
import json
from typing import Any

import pytest
from conftest import NAME, RATE, REGISTRY, Platform, exact
from release import pods
from release.__main__ import VALUES, install
from shop import Shop
from test_airflow import DAG_ID, Airflow

from contracts.events import CLICKS
from contracts.topics import DEAD_LETTERS
from images.builder import image_name

SECURED = {"global.kafka.security.enabled": True, "airflow.users": {"reader": "viewer"}}
READY_SECONDS = 600
NO_RIGHT = "TopicAuthorizationFailedError"
# Prints the name of the error with which Kafka refuses to log in, to read or to write, or "done".
ATTEMPT = """
import json, logging, sys
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError
from contracts import kafka
from contracts.settings import Settings
logging.disable()
action, topic, changes = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
settings, reasons = Settings.from_environment(), []
try:
    if action == "login":
        config = {**kafka.confluent(settings), **changes, "error_cb": lambda error: reasons.append(error.name())}
        admin = AdminClient(config, logger=logging.getLogger())
        assert topic in admin.list_topics(timeout=10).topics
    elif action == "read":
        consumer = KafkaConsumer(**kafka.kafka_python(settings), auto_offset_reset="earliest")
        consumer.assign([TopicPartition(topic, 0)])
        assert consumer.poll(timeout_ms=20_000)
    else:
        KafkaProducer(**kafka.kafka_python(settings), enable_idempotence=False).send(topic, b"{}").get(20)
    print("done")
except KafkaException:
    admin.poll(1)
    print(reasons[0])
except KafkaError as error:
    print(type(error).__name__)
"""


@pytest.fixture(scope="module")
def secured(platform: Platform, found: dict[str, Any]) -> Platform:
    """The platform upgraded to a secured Kafka, on the volumes that it has."""
    values = {"generator.rate": RATE, **SECURED}
    install(platform.cluster.access.kubeconfig, NAME, platform.release.namespace, VALUES, REGISTRY, **values)
    platform.release.wait("Waiting for a secured Kafka", READY_SECONDS)
    return dataclasses.replace(platform, kafka_client="audit")


def attempt(platform: Platform, client: str | None, action: str, topic: str, **changes: object) -> str:
    """What becomes of a client of Kafka that logs in with another's Secret or none."""
    command = ("python", "-c", ATTEMPT, action, topic, json.dumps(changes))
    return pods.run(platform.release, image_name("tasks", REGISTRY or "docker.io"), command, 120, client).split()[-1]


def test_the_pipeline_is_exact_with_a_secured_kafka(secured: Platform, shop: Shop) -> None:
    exact(secured, shop)


@pytest.mark.parametrize(("client", "action"), [("audit", "login"), ("audit", "read"), ("ingest", "read")])
def test_a_client_may_do_its_own(secured: Platform, client: str, action: str) -> None:
    assert attempt(secured, client, action, CLICKS.topic) == "done"


@pytest.mark.parametrize(
    ("client", "changes", "reason"),
    [
        (None, {}, "_ALL_BROKERS_DOWN"),
        ("generator", {"security.protocol": "SSL"}, "_ALL_BROKERS_DOWN"),
        ("generator", {"sasl.password": "guessed"}, "_AUTHENTICATION"),
        ("generator", {"sasl.username": f"{NAME}-kafka-ingest"}, "_AUTHENTICATION"),
    ],
    ids=["without TLS", "without a login", "wrong password", "another's name"],
)
def test_a_stranger_is_not_let_in(secured: Platform, client: str | None, changes: dict[str, str], reason: str) -> None:
    assert attempt(secured, client, "login", CLICKS.topic, **changes) == reason


@pytest.mark.parametrize(
    ("client", "action", "topic"),
    [
        ("generator", "read", CLICKS.topic),
        ("generator", "write", DEAD_LETTERS),
        ("ingest", "write", CLICKS.topic),
        ("speed", "write", CLICKS.topic),
        ("audit", "write", CLICKS.topic),
    ],
)
def test_a_client_may_do_nothing_else(secured: Platform, client: str, action: str, topic: str) -> None:
    assert attempt(secured, client, action, topic) == NO_RIGHT


def test_no_log_and_no_configmap_holds_a_password(secured: Platform) -> None:
    core, namespace = secured.release.core, secured.release.namespace
    passwords = [
        base64.b64decode(value).decode()
        for secret in core.list_namespaced_secret(namespace, label_selector=secured.release.selector).items
        for key, value in secret.data.items()
        if key.endswith("password")
    ]
    assert len(passwords) > 5
    texts = [json.dumps(item.data) for item in core.list_namespaced_config_map(namespace).items]
    for pod in secured.release.pods():
        for container in [*(pod.spec.init_containers or []), *pod.spec.containers]:
            texts.append(core.read_namespaced_pod_log(pod.metadata.name, namespace, container=container.name))
    assert [password for password in passwords if any(password in text for text in texts)] == []


def test_a_viewer_of_airflow_reads_and_runs_nothing(secured: Platform) -> None:
    admin, viewer = Airflow(secured), Airflow(secured, "reader")
    assert viewer.get(f"dags/{DAG_ID}")["dag_id"] == admin.get(f"dags/{DAG_ID}")["dag_id"]
    assert viewer.post(f"dags/{DAG_ID}/dagRuns", {"logical_date": None}).status_code == 403

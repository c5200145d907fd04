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
USER, PASSWORD = "sasl_plain_username", "sasl_plain_password"
BAD_LOGIN, NO_RIGHT = "SaslAuthenticationFailedError", "TopicAuthorizationFailedError"
# Prints the name of the error with which Kafka refuses to read or write, or "done".
ATTEMPT = """
import json, logging, sys
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError
from contracts import kafka
from contracts.settings import Settings
logging.disable()
action, topic, changes = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
config = {**kafka.kafka_python(Settings.from_environment()), **changes}
try:
    if action == "read":
        consumer = KafkaConsumer(**config, auto_offset_reset="earliest")
        consumer.assign([TopicPartition(topic, 0)])
        assert consumer.poll(timeout_ms=20_000)
    else:
        KafkaProducer(**config, max_block_ms=10_000).send(topic, b"{}").get(20)
    print("done")
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


def test_a_client_may_do_its_own(secured: Platform) -> None:
    assert attempt(secured, "audit", "read", CLICKS.topic) == "done"
    assert attempt(secured, "ingest", "read", CLICKS.topic) == "done"


@pytest.mark.parametrize(
    ("client", "action", "topic", "changes", "error"),
    [
        (None, "read", CLICKS.topic, {}, "NoBrokersAvailable"),
        ("generator", "read", CLICKS.topic, {PASSWORD: "guessed"}, BAD_LOGIN),
        ("generator", "read", CLICKS.topic, {USER: f"{NAME}-kafka-ingest"}, BAD_LOGIN),
        ("generator", "read", CLICKS.topic, {}, NO_RIGHT),
        ("generator", "write", DEAD_LETTERS, {}, NO_RIGHT),
        ("ingest", "write", CLICKS.topic, {}, NO_RIGHT),
        ("speed", "write", CLICKS.topic, {}, NO_RIGHT),
        ("audit", "write", CLICKS.topic, {}, NO_RIGHT),
    ],
)  # fmt: skip
def test_another_is_refused(
    secured: Platform, client: str | None, action: str, topic: str, changes: dict[str, object], error: str
) -> None:
    assert attempt(secured, client, action, topic, **changes) == error


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

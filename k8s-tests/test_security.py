"""Kafka secured on the platform that runs: nothing is lost over the change, and each client may do its own alone."""

import base64
import dataclasses
import json
from typing import Any

import pytest

from contracts.dag import DAG_ID
from contracts.events import CLICKS
from contracts.topics import DEAD_LETTERS
from deploy import pods
from deploy.helm import Helm
from deploy.install import VALUES, install
from support.airflow import Airflow
from support.platform import NAME, RATE, REGISTRY, Platform, exact
from support.shop import Shop

SECURED = {"global.kafka.security.enabled": True, "airflow.users": {"reader": "viewer"}}
READY_SECONDS = 600
NO_RIGHT = "TopicAuthorizationFailedError"


@pytest.fixture(scope="module")
def secured(platform: Platform, found: dict[str, Any]) -> Platform:
    """The platform upgraded to a secured Kafka, on the volumes that it has."""
    values = {"generator.rate": RATE, **SECURED}
    install(platform.cluster.access.kubeconfig, NAME, platform.release.namespace, VALUES, REGISTRY, **values)
    platform.release.wait("Waiting for a secured Kafka", READY_SECONDS)
    return dataclasses.replace(platform, kafka_client="audit")


def attempt(platform: Platform, client: str | None, action: str, topic: str, **changes: object) -> str:
    """What becomes of a client of Kafka that logs in with another's Secret or none."""
    asking = dataclasses.replace(platform, kafka_client=client)
    return str(asking.inside("attempt", action, topic, json.dumps(changes), seconds=120))


def test_the_pipeline_is_exact_with_a_secured_kafka(secured: Platform, shop: Shop) -> None:
    exact(secured, shop)


@pytest.mark.parametrize(
    ("client", "action"), [("audit", "login"), ("audit", "read"), ("ingest", "read"), ("replay", "read")]
)
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
        ("replay", "write", DEAD_LETTERS),
    ],
)
def test_a_client_may_do_nothing_else(secured: Platform, client: str, action: str, topic: str) -> None:
    assert attempt(secured, client, action, topic) == NO_RIGHT


def test_dead_letters_are_sent_again(secured: Platform) -> None:
    release, kubeconfig = secured.release, secured.cluster.access.kubeconfig
    hooks = Helm(kubeconfig).call("get", "hooks", release.name, "--namespace", release.namespace)
    printed: list[str] = []
    command = ["python", "-m", "jobs.replay", "--stream", "clicks", "--force"]
    pods.run_by_hand(release, hooks, command, "replay", printed.append)
    assert '"sent"' in "".join(printed)


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

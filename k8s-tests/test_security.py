"""Kafka as it is installed, secured: each client may do its own alone; a release without it is upgraded to it."""

import base64
import dataclasses
import json
from pathlib import Path

import pytest

from contracts import paths
from contracts.dag import DAG_ID
from contracts.events import CLICKS
from contracts.topics import DEAD_LETTERS
from deploy import pods
from deploy.helm import Helm
from deploy.install import VALUES, install, remove_namespace
from support.airflow import Airflow
from support.platform import NAME, RATE, REGISTRY, VIEWER, Cluster, Platform, exact, installed, make_room
from support.rendering import PLAIN
from support.shop import Shop

READY_SECONDS = 600
UPGRADED = "ecommerce-plain"
NO_RIGHT = "TopicAuthorizationFailedError"


def attempt(platform: Platform, client: str | None, action: str, topic: str, **changes: object) -> str:
    """What becomes of a client of Kafka that logs in with another's Secret or none."""
    asking = dataclasses.replace(platform, kafka_client=client)
    return str(asking.inside("attempt", action, topic, json.dumps(changes), seconds=120))


@pytest.mark.parametrize(
    ("client", "action"), [("audit", "login"), ("audit", "read"), ("ingest", "read"), ("replay", "read")]
)
def test_a_client_may_do_its_own(platform: Platform, client: str, action: str) -> None:
    assert attempt(platform, client, action, CLICKS.topic) == "done"


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
def test_a_stranger_is_not_let_in(platform: Platform, client: str | None, changes: dict[str, str], reason: str) -> None:
    assert attempt(platform, client, "login", CLICKS.topic, **changes) == reason


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
def test_a_client_may_do_nothing_else(platform: Platform, client: str, action: str, topic: str) -> None:
    assert attempt(platform, client, action, topic) == NO_RIGHT


@pytest.mark.parametrize(
    ("user", "outcome"), [(paths.BATCH, "refused"), (paths.READER, "refused"), (paths.OWNER, "done")]
)
def test_only_the_owner_may_touch_raw_data(platform: Platform, user: str, outcome: str) -> None:
    folder = f"{paths.stream_folder('clicks')}/date=2020-01-01"
    assert platform.inside("touch", user, folder) == outcome


def test_dead_letters_are_sent_again(platform: Platform) -> None:
    release, kubeconfig = platform.release, platform.cluster.access.kubeconfig
    hooks = Helm(kubeconfig).call("get", "hooks", release.name, "--namespace", release.namespace)
    printed: list[str] = []
    command = ["python", "-m", "jobs.replay", "--stream", "clicks", "--force"]
    pods.run_by_hand(release, hooks, command, "replay", printed.append)
    assert '"sent"' in "".join(printed)


def test_no_log_and_no_configmap_holds_a_password(platform: Platform) -> None:
    core, namespace = platform.release.core, platform.release.namespace
    passwords = [
        base64.b64decode(value).decode()
        for secret in core.list_namespaced_secret(namespace, label_selector=platform.release.selector).items
        for key, value in secret.data.items()
        if key.endswith("password")
    ]
    assert len(passwords) > 5
    texts = [json.dumps(item.data) for item in core.list_namespaced_config_map(namespace).items]
    for pod in platform.release.pods():
        for container in [*(pod.spec.init_containers or []), *pod.spec.containers]:
            texts.append(core.read_namespaced_pod_log(pod.metadata.name, namespace, container=container.name))
    assert [password for password in passwords if any(password in text for text in texts)] == []


def test_a_viewer_of_airflow_reads_and_runs_nothing(platform: Platform) -> None:
    admin, viewer = Airflow(platform), Airflow(platform, VIEWER)
    assert viewer.get(f"dags/{DAG_ID}")["dag_id"] == admin.get(f"dags/{DAG_ID}")["dag_id"]
    assert viewer.post(f"dags/{DAG_ID}/dagRuns", {"logical_date": None}).status_code == 403


@pytest.mark.faults
def test_an_upgrade_secures_a_kafka_that_runs_without(cluster: Cluster, images: None, charts: Path) -> None:
    make_room(cluster.api, UPGRADED)
    values = {"generator.rate": RATE, "airflow.enabled": False}
    plain = installed(cluster, UPGRADED, {**values, **PLAIN})
    shop = Shop(plain.release)
    exact(dataclasses.replace(plain, kafka_client=None), shop)
    install(cluster.access.kubeconfig, NAME, UPGRADED, VALUES, REGISTRY, **values)
    plain.release.wait("Waiting for a secured Kafka", READY_SECONDS)
    assert attempt(plain, None, "login", CLICKS.topic) == "_ALL_BROKERS_DOWN"
    exact(plain, shop)
    remove_namespace(cluster.api, UPGRADED)

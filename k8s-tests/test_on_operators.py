"""The platform on Strimzi and the Spark operator themselves, where a cluster has both of them.

Both must watch all namespaces. The shop plays on while drivers are deleted, killed, made to fail and changed; each goes
on from its checkpoint, and the counts stay exact. The seconds from each fault until both jobs have handled what was in
Kafka go to build/operators.json.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from conftest import HERE, NAME, REGISTRY, Cluster, Platform, delete_namespace, kill_java
from kubernetes import client
from release.__main__ import install
from release.dev import Change, restart
from release.helm import UMBRELLA, Helm
from shop import Shop, landed, produced
from test_faults import CAUGHT_UP

from contracts.topics import ALERTS, TOPICS
from images.tools import ROOT

NAMESPACE = "ecommerce-operators"
CRDS = {"kafkas.kafka.strimzi.io", "sparkapplications.sparkoperator.k8s.io"}
JOBS = ("ingest", "speed")
GIVE_UP_SECONDS = 900
FILES = (UMBRELLA / "values-kind.yaml",)
VALUES: dict[str, Any] = {"sql.engine": "spark", "airflow.enabled": False, "generator.rate": 50}
"""The operator modes are the defaults; nothing here asks Airflow."""
REPORT = HERE.parent / "build" / "operators.json"
# Prints the settings of every topic that are not the broker's own, as the broker has them.
SETTINGS = """
import json
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from contracts.settings import Settings
from contracts.topics import TOPICS
admin = KafkaAdminClient(bootstrap_servers=Settings.from_environment().kafka_bootstrap)
(found,) = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in TOPICS]).values()
print(json.dumps({name: {key: item["value"] for key, item in settings.items()} for name, settings in found.items()}))
"""


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    """Those of the last upgrade."""
    return dict(VALUES)


@pytest.fixture(scope="module")
def operated(cluster: Cluster, images: None, charts: Path, values: dict[str, Any]) -> Iterator[Platform]:
    """The platform on both operators, installed from nothing; skipped where the cluster lacks one of them."""
    known = {
        crd.metadata.name for crd in client.ApiextensionsV1Api(cluster.api).list_custom_resource_definition().items
    }
    if missing := CRDS - known:
        pytest.skip(f"this cluster has no {' and no '.join(sorted(missing))}: install both operators for these tests")
    delete_namespace(cluster.api, NAMESPACE)
    began = time.monotonic()
    release = install(cluster.access.kubeconfig, NAME, NAMESPACE, FILES, REGISTRY, **values)
    release.wait(f"Installing {NAME} in namespace {NAMESPACE}", GIVE_UP_SECONDS)
    yield Platform(cluster, release, began)
    if not os.environ.get("KEEP"):
        delete_namespace(cluster.api, NAMESPACE)


@pytest.fixture(scope="module")
def times() -> Iterator[dict[str, float]]:
    """Seconds by what was done; kept in the end."""
    measured: dict[str, float] = {}
    yield measured
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(measured, indent=1) + "\n")


def custom(platform: Platform, group: str, version: str, plural: str) -> dict[str, dict[str, Any]]:
    """The operators' resources of the platform, by name."""
    api = client.CustomObjectsApi(platform.release.api)
    found = api.list_namespaced_custom_object(group, version, platform.release.namespace, plural)["items"]
    return {item["metadata"]["name"]: item for item in found}


def is_ready(item: dict[str, Any]) -> bool:
    """Whether Strimzi says so, of the resource as it is now."""
    status = item.get("status", {})
    conditions = {condition["type"]: condition["status"] for condition in status.get("conditions", [])}
    return conditions.get("Ready") == "True" and status["observedGeneration"] == item["metadata"]["generation"]


def until(what: str, check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while not check():
        assert time.monotonic() < deadline, f"after {GIVE_UP_SECONDS} s still not: {what}"
        time.sleep(1)


def until_topics_are_ready(platform: Platform) -> None:
    def ready() -> bool:
        topics = custom(platform, "kafka.strimzi.io", "v1", "kafkatopics")
        return set(topics) == {topic.name for topic in TOPICS} and all(map(is_ready, topics.values()))

    until("all topics are Ready", ready)


def settings(platform: Platform) -> dict[str, dict[str, str]]:
    """The settings that the broker has for each topic."""
    found: dict[str, dict[str, str]] = json.loads(platform.run("python", "-c", SETTINGS).splitlines()[-1])
    return found


def driver(platform: Platform, job: str) -> Any:
    """A job's driver that runs, or None."""
    selector = f"sparkoperator.k8s.io/app-name={NAME}-spark-{job},spark-role=driver"
    pods = platform.release.core.list_namespaced_pod(platform.release.namespace, label_selector=selector).items
    running = [pod for pod in pods if pod.status.phase == "Running" and not pod.metadata.deletion_timestamp]
    return running[0] if running else None


def recovery(platform: Platform, job: str, old: Any, began: float) -> float:
    """Seconds since ``began`` until another driver than ``old`` runs and both jobs have caught up."""

    def replaced() -> bool:
        new = driver(platform, job)
        return new is not None and new.metadata.uid != old.metadata.uid

    until(f"a new driver of {job} runs", replaced)
    platform.run("python", "-c", CAUGHT_UP, seconds=GIVE_UP_SECONDS)
    return time.monotonic() - began


def upgrade(platform: Platform, values: dict[str, Any], **changed: object) -> None:
    """``helm upgrade`` with what was changed before, and this."""
    values.update(changed)
    install(platform.cluster.access.kubeconfig, NAME, NAMESPACE, FILES, REGISTRY, **values)


def test_kafka_is_ready_with_the_topics_of_the_contracts(operated: Platform, times: dict[str, float]) -> None:
    until("Kafka is Ready", lambda: is_ready(custom(operated, "kafka.strimzi.io", "v1", "kafkas")[NAME]))
    until_topics_are_ready(operated)
    found = settings(operated)
    for topic in TOPICS:
        assert {key: found[topic.name].get(key) for key in topic.config} == topic.config
    operated.run("python", "-c", CAUGHT_UP, seconds=GIVE_UP_SECONDS)
    times["installation, to both jobs caught up"] = time.monotonic() - operated.began


def test_a_changed_topic_is_reconciled(operated: Platform, values: dict[str, Any], times: dict[str, float]) -> None:
    changed = {ALERTS: {"retention.ms": "86400000"}}
    topics = [
        {"name": topic.name, "partitions": topic.partitions, "config": topic.config | changed.get(topic.name, {})}
        for topic in TOPICS
    ]
    began = time.monotonic()
    upgrade(operated, values, **{"kafka.topics": topics})
    until_topics_are_ready(operated)
    until("the broker has the new setting", lambda: settings(operated)[ALERTS]["retention.ms"] == "86400000")
    times["topic's setting"] = time.monotonic() - began


@pytest.mark.parametrize("job", JOBS)
def test_a_deleted_driver_comes_back(operated: Platform, times: dict[str, float], job: str) -> None:
    old, began = driver(operated, job), time.monotonic()
    operated.release.core.delete_namespaced_pod(old.metadata.name, NAMESPACE)
    times[f"{job}: driver deleted"] = recovery(operated, job, old, began)


@pytest.mark.parametrize("job", JOBS)
def test_a_killed_driver_comes_back(operated: Platform, times: dict[str, float], job: str) -> None:
    old, began = driver(operated, job), time.monotonic()
    kill_java(operated.release, old.metadata.name)
    times[f"{job}: driver killed"] = recovery(operated, job, old, began)


@pytest.mark.parametrize("job", JOBS)
def test_a_driver_that_fails_is_tried_until_it_works(
    operated: Platform, values: dict[str, Any], times: dict[str, float], job: str
) -> None:
    name, variable = f"{NAME}-spark-{job}", f"spark.jobs.{job}.environment"

    def attempts() -> int:
        status = custom(operated, "sparkoperator.k8s.io", "v1beta2", "sparkapplications")[name]["status"]
        return int(status.get("executionAttempts", 0))

    old = driver(operated, job)
    upgrade(operated, values, **{variable: {"ECOMMERCE_KAFKA_BOOTSTRAP": "localhost:1"}})
    until(f"the changed {job} is begun", lambda: attempts() == 1)  # a change begins the count anew
    until(f"{job} failed and is tried again", lambda: attempts() > 1)
    began = time.monotonic()
    upgrade(operated, values, **{variable: {}})
    times[f"{job}: failing driver corrected"] = recovery(operated, job, old, began)


@pytest.mark.parametrize("job", JOBS)
def test_a_changed_job_is_replaced(
    operated: Platform, values: dict[str, Any], times: dict[str, float], job: str
) -> None:
    old, began = driver(operated, job), time.monotonic()
    upgrade(operated, values, **{f"spark.jobs.{job}.executorMemory": "800m"})
    times[f"{job}: executors' memory changed"] = recovery(operated, job, old, began)
    executors = operated.release.pods(f"spark-{job}-executor")
    memory = [pod.spec.containers[0].resources.limits["memory"] for pod in executors if pod.status.phase == "Running"]
    assert memory == ["2080Mi"]  # and executorMemoryOverhead


def test_what_is_saved_is_submitted_anew(operated: Platform, times: dict[str, float]) -> None:
    saved = frozenset({ROOT / "jobs" / "streaming" / "ingest.py"})
    old, began = driver(operated, "ingest"), time.monotonic()
    assert restart(operated.release, Change(saved, ("spark",), False, time.time())) == [f"{NAME}-spark-ingest"]
    times["ingest: submitted anew by make dev"] = recovery(operated, "ingest", old, began)


def test_nothing_was_lost_and_nothing_counted_twice(operated: Platform) -> None:
    shop = Shop(operated.release)
    shop.scale(0)
    ledger = shop.ledger()
    found = operated.count(ledger)
    assert landed(found) == produced(ledger)
    assert Decimal(found["batch"]) == Decimal(ledger["revenue"])
    assert Decimal(found["speed"]) + Decimal(found["late"]) == Decimal(ledger["revenue"])


def test_uninstalling_leaves_nothing_that_hangs(operated: Platform, times: dict[str, float]) -> None:
    began = time.monotonic()
    Helm(operated.cluster.access.kubeconfig).call("uninstall", NAME, "--namespace", NAMESPACE)
    until("no topic is left", lambda: not custom(operated, "kafka.strimzi.io", "v1", "kafkatopics"))
    until("no pod is left", lambda: not operated.release.core.list_namespaced_pod(NAMESPACE).items)
    times["uninstallation, to no pod"] = time.monotonic() - began

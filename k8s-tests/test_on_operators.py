"""The platform on Strimzi and the Spark operator themselves, where a cluster has both of them.

Both must watch all namespaces. The shop plays on while drivers are deleted, killed, made to fail and changed; each goes
on from its checkpoint, and the counts stay exact. The seconds from each fault until both jobs have handled what was in
Kafka go to build/operators.json.
"""

import json
import os
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from clients.retry import until
from contracts.topics import ALERTS, TOPICS
from deploy.dev import Change, restart
from deploy.helm import UMBRELLA, Helm
from deploy.install import install, remove_namespace
from local.site import ROOT
from support.platform import HERE, NAME, REGISTRY, Cluster, Platform, installed, kill_java, speed_revenue
from support.shop import Shop, landed, produced

NAMESPACE = "ecommerce-operators"
CRDS = {"kafkas.kafka.strimzi.io", "sparkapplications.sparkoperator.k8s.io"}
JOBS = ("ingest", "speed")
GIVE_UP_SECONDS = 900
FILES = (UMBRELLA / "values-kind.yaml",)
VALUES: dict[str, Any] = {"airflow.enabled": False, "generator.rate": 50}
"""The operator modes are the defaults; nothing here asks Airflow."""
REPORT = HERE.parent / "build" / "operators.json"


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
    remove_namespace(cluster.api, NAMESPACE)
    yield installed(cluster, NAMESPACE, values, FILES)
    if not os.environ.get("KEEP"):
        remove_namespace(cluster.api, NAMESPACE)


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


def until_topics_are_ready(platform: Platform) -> None:
    def ready() -> bool:
        topics = custom(platform, "kafka.strimzi.io", "v1", "kafkatopics")
        return set(topics) == {topic.name for topic in TOPICS} and all(map(is_ready, topics.values()))

    until(ready, seconds=GIVE_UP_SECONDS, what="all topics are Ready")


def settings(platform: Platform) -> dict[str, dict[str, str]]:
    """The settings that the broker has for each topic."""
    found: dict[str, dict[str, str]] = platform.inside("topic_settings")
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

    until(replaced, seconds=GIVE_UP_SECONDS, what=f"a new driver of {job}")
    platform.catch_up(GIVE_UP_SECONDS)
    return time.monotonic() - began


def upgrade(platform: Platform, values: dict[str, Any], **changed: object) -> None:
    """``helm upgrade`` with what was changed before, and this."""
    values.update(changed)
    install(platform.cluster.access.kubeconfig, NAME, NAMESPACE, FILES, REGISTRY, **values)


def test_kafka_is_ready_with_the_topics_of_the_contracts(operated: Platform, times: dict[str, float]) -> None:
    until(
        lambda: is_ready(custom(operated, "kafka.strimzi.io", "v1", "kafkas")[NAME]),
        seconds=GIVE_UP_SECONDS,
        what="Kafka is Ready",
    )
    until_topics_are_ready(operated)
    found = settings(operated)
    for topic in TOPICS:
        assert {key: found[topic.name].get(key) for key in topic.config} == topic.config
    operated.catch_up(GIVE_UP_SECONDS)
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
    until(
        lambda: settings(operated)[ALERTS]["retention.ms"] == "86400000",
        seconds=GIVE_UP_SECONDS,
        what="the broker has the new setting",
    )
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
    until(
        lambda: attempts() == 1, seconds=GIVE_UP_SECONDS, what=f"the changed {job} is begun"
    )  # a change begins the count anew
    until(lambda: attempts() > 1, seconds=GIVE_UP_SECONDS, what=f"{job} failed and is tried again")
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
    assert Decimal(found["revenue"]["batch"]) == Decimal(ledger["revenue"])
    assert speed_revenue(found) == Decimal(ledger["revenue"])


def test_uninstalling_leaves_nothing_that_hangs(operated: Platform, times: dict[str, float]) -> None:
    began = time.monotonic()
    Helm(operated.cluster.access.kubeconfig).call("uninstall", NAME, "--namespace", NAMESPACE)
    until(
        lambda: not custom(operated, "kafka.strimzi.io", "v1", "kafkatopics"),
        seconds=GIVE_UP_SECONDS,
        what="no topic is left",
    )
    until(
        lambda: not operated.release.core.list_namespaced_pod(NAMESPACE).items,
        seconds=GIVE_UP_SECONDS,
        what="no pod is left",
    )
    times["uninstallation, to no pod"] = time.monotonic() - began

"""The platform on a cluster as tests see it: commands inside it, its counts, what befalls it."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from kubernetes import client
from kubernetes.stream import stream

from deploy import pods
from deploy.clusters.provider import Access, Provider
from deploy.install import VALUES, install, remove_namespace
from deploy.workloads import Release
from images.builder import image_name
from support import inside
from support.shop import Shop, closed, landed, produced

NAME = "lambda"
NAMESPACE = "ecommerce-test"
HERE = Path(__file__).parents[1]
REGISTRY = os.environ.get("REGISTRY")
RATE = 100
"""Events/s of the generator while the platform comes up."""
VIEWER = "reader"
PROMETHEUS = "prometheus"
"""The component that may read metrics."""
INSTALLED: dict[str, object] = {
    "generator.rate": RATE,
    "lake.compaction.graceSeconds": 20,
    "airflow.users": {VIEWER: "viewer"},
    "global.networkPolicies.prometheus": [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": PROMETHEUS}}}],
}
"""The values of the tests' common platform, beside those of :data:`VALUES`."""
RESTRICTED_POD: dict[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
RESTRICTED_CONTAINER: dict[str, Any] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
"""The security contexts that the platform's namespace asks of a test's own pods."""
TRAFFIC_SECONDS = 20
"""For which the shop plays on after a change."""


def silent(name: str, state: str, detail: str) -> None:
    """pytest keeps what is printed."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that runs, its provider, and whether it stays after the tests with what is on it."""

    provider: Provider
    access: Access
    stays: bool

    @property
    def api(self) -> client.ApiClient:
        return Release.at(self.access.kubeconfig, NAME, NAMESPACE).api


@dataclass(frozen=True, slots=True)
class Platform:
    """The installed platform, when its installation began (seconds, monotonic), and the client of Kafka that asks."""

    cluster: Cluster
    release: Release
    began: float
    kafka_client: str | None = "audit"

    def run(self, *command: str, seconds: float = 300) -> str:
        """Runs a command in a pod of the tasks image, with the platform's settings."""
        return pods.run(self.release, image_name("tasks", REGISTRY or "docker.io"), command, seconds, self.kafka_client)

    def inside(self, name: str, *arguments: str, seconds: float = 300) -> Any:
        """What a program of ``support.inside`` prints in a pod of the tasks image."""
        return json.loads(self.run(*inside.command(name, *arguments), seconds=seconds).splitlines()[-1])

    def catch_up(self, seconds: float) -> None:
        """Returns once both jobs have handled what is in Kafka, and the SQL endpoint lists its tables."""
        audit = f"python -m jobs.audit --caught-up {seconds:g}"
        tables = f"python -m jobs.prepare wait --for hive-tables --timeout {seconds:g}"
        self.run("sh", "-c", f"{audit} && {tables}", seconds=2 * seconds)

    def count(self, ledger: dict[str, Any], seconds: float = 300) -> dict[str, Any]:
        """What ``jobs.audit`` counts once ingest and speed have handled all that is in Kafka; revenue of its days."""
        days = sorted({ledger["first_event_time"][:10], ledger["last_event_time"][:10]})
        asked = [argument for day in days for argument in ("--revenue", day)]
        printed = self.run("python", "-m", "jobs.audit", "--caught-up", str(seconds), *asked, seconds=2 * seconds)
        text = f"\n{printed}"  # lines of the log before it are JSON of one line each
        found: dict[str, Any] = json.loads(text[text.rindex("\n{\n") :])
        return found


def exact(platform: Platform, shop: Shop) -> None:
    """Lets the shop play on, stops it, and fails unless all that it ever sent is there once."""
    time.sleep(TRAFFIC_SECONDS)
    before = len(shop.ledgers)
    shop.scale(0)
    assert [ledger["streams"]["clicks"]["produced"] > TRAFFIC_SECONDS for ledger in shop.ledgers[before:]] == [True]
    ledger = shop.ledger()
    found = platform.count(ledger)
    assert landed(found) == produced(ledger)
    assert Decimal(found["revenue"]["batch"]) == Decimal(ledger["revenue"])
    assert speed_revenue(found) == Decimal(ledger["revenue"])


def play(platform: Platform, shop: Shop, day: str, events: int, seed: int) -> Decimal:
    """A day of the shop into Kafka, now; its revenue (EUR)."""
    command = ("python", "-m", "generator", "--day", day, "--events", f"{events}", "--seed", f"{seed}")
    printed = pods.run(
        platform.release, image_name("generator", REGISTRY or "docker.io"), command, kafka_client="generator"
    )
    shop.ledgers.append(closed(printed.splitlines()))
    return Decimal(shop.ledgers[-1]["revenue"])


def installed(
    cluster: Cluster,
    namespace: str,
    values: Mapping[str, object],
    files: tuple[Path, ...] = VALUES,
    seconds: float = 900,
) -> Platform:
    """The platform, installed from nothing in a namespace, all workloads ready within ``seconds``."""
    began = time.monotonic()
    release = install(cluster.access.kubeconfig, NAME, namespace, files, REGISTRY, **values)
    release.wait(f"Installing {NAME} in namespace {namespace}", seconds)
    return Platform(cluster, release, began)


def kill_java(release: Release, pod: str) -> None:
    """Kills the JVM in a pod's first container, as the kernel does when memory is short."""
    typed(release.core, release.namespace, pod, ["pkill", "-KILL", "java"])


def bean(platform: Platform, pod: str, port: int, name: str) -> dict[str, Any]:
    """A bean of a server's ``/jmx`` page, through the API server."""
    path = f"/api/v1/namespaces/{platform.release.namespace}/pods/{pod}:{port}/proxy/jmx"
    answer = platform.release.api.call_api(
        path, "GET", query_params=[("qry", name)], auth_settings=["BearerToken"], _preload_content=False
    )
    beans: list[dict[str, Any]] = json.loads(answer.data)["beans"]
    return beans[0] if beans else {}


def typed(core: client.CoreV1Api, namespace: str, pod: str, command: list[str]) -> str:
    """What a command prints that is typed in a pod's first container. Raises ``ApiException``."""
    container = core.read_namespaced_pod(pod, namespace).spec.containers[0].name
    ask = core.connect_get_namespaced_pod_exec
    return str(stream(ask, pod, namespace, container=container, command=command, stdout=True, stderr=True))


def make_room(api: client.ApiClient, namespace: str) -> None:
    """Removes a platform of before in this namespace, and the tests' common one: two are too much for two cores."""
    for name in (NAMESPACE, namespace):
        remove_namespace(api, name)


def speed_revenue(found: dict[str, Any]) -> Decimal:
    """Revenue (EUR) of the speed layer, late purchases among it, of what :meth:`Platform.count` found."""
    return Decimal(found["revenue"]["speed"]) + Decimal(found["revenue"]["late"])


def dead_letters(found: dict[str, Any]) -> dict[str, int]:
    """Dead letters by stream, of what :meth:`Platform.count` found."""
    return {topic.removeprefix("ecommerce-"): count for topic, count in found["dead_letters"].items()}

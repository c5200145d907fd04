"""A cluster for the tests, and the platform installed on it once, under the Pod Security Standard ``restricted``.

``KUBECONFIG`` names an existing cluster (with ``REGISTRY``, from which it pulls the images); without it kind is taken
where Docker runs, else a node built from packages. ``KEEP=1`` leaves cluster and platform for a look.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cluster.provider import Access, Provider, choose
from kubernetes import client
from kubernetes.stream import stream
from release import pods
from release.__main__ import VALUES, install
from release.helm import build_dependencies
from release.workloads import Release
from shop import COUNT, Shop, landed, produced

from contracts.command import CommandError
from images.builder import IMAGES, build, image_name

NAME = "lambda"
NAMESPACE = "ecommerce-test"
HERE = Path(__file__).parent
REGISTRY = os.environ.get("REGISTRY")
RATE = 100
"""Events/s of the generator while the platform comes up."""
TRAFFIC_SECONDS = 20
"""For which the shop plays on after a change."""

UNTIL_SECONDS = 240
"""For which a question is asked again until its answer is good."""
Answer = TypeVar("Answer")


def until(ask: Callable[[], Answer], good: Callable[[Answer], bool], seconds: float = UNTIL_SECONDS) -> Answer:
    """Asks until the answer is good."""
    deadline = time.monotonic() + seconds
    while not good(found := ask()):
        assert time.monotonic() < deadline, f"after {seconds:g} s: {found}"
        time.sleep(1)
    return found


def silent(name: str, state: str, detail: str) -> None:
    """pytest keeps what is printed."""


def pytest_report_header() -> str:
    try:
        return f"cluster: {choose().describe()}"
    except CommandError as error:
        return f"cluster: none, its tests are skipped: {error}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the figures that tests have recorded; their limits are not asserted, since machines differ."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Building images and a node for the first time takes longer than a test may otherwise."""
    for item in items:
        if HERE in item.path.parents and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(4500))


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that runs, and its provider."""

    provider: Provider
    access: Access

    @property
    def api(self) -> client.ApiClient:
        return Release.at(self.access.kubeconfig, NAME, NAMESPACE).api


@dataclass(frozen=True, slots=True)
class Platform:
    """The installed platform, when its installation began (seconds, monotonic), and the client of a secured Kafka."""

    cluster: Cluster
    release: Release
    began: float
    kafka_client: str | None = None

    def run(self, *command: str, seconds: float = 300) -> str:
        """Runs a command in a pod of the tasks image, with the platform's settings."""
        return pods.run(self.release, image_name("tasks", REGISTRY or "docker.io"), command, seconds, self.kafka_client)

    def count(self, ledger: dict[str, Any], seconds: float = 300) -> dict[str, Any]:
        """What the readers find once ingest and speed have handled all that is in Kafka; see ``shop.COUNT``."""
        days = sorted({ledger["first_event_time"][:10], ledger["last_event_time"][:10]})
        script = COUNT.replace("DAYS", repr(days))
        deadline = time.monotonic() + seconds
        while True:
            found: dict[str, Any] = json.loads(self.run("python", "-c", script).splitlines()[-1])
            if not any(found["counts"]["behind"].values()):
                return found
            assert time.monotonic() < deadline, f"still behind after {seconds:g} s: {found['counts']['behind']}"
            time.sleep(3)


@pytest.fixture(scope="session")
def charts() -> Path:
    """The folder of the charts, dependencies packed."""
    build_dependencies()
    return HERE.parent / "charts"


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster, up, without the platform."""
    try:
        provider = choose()
    except CommandError as error:
        pytest.skip(str(error))
    running = provider.access() is not None
    yield Cluster(provider, provider.up(silent))
    if not running and not os.environ.get("KEEP"):
        provider.down()


@pytest.fixture(scope="session")
def images(cluster: Cluster) -> None:
    """All images, built and known to the cluster, or in the registry that it pulls from."""
    if cluster.provider.name == "existing":
        assert REGISTRY, "an existing cluster pulls its images: `make images ARGS=--push=REGISTRY`, then set REGISTRY"
    else:
        build(IMAGES, silent)
        cluster.provider.load(IMAGES, silent)


@pytest.fixture(scope="session")
def platform(cluster: Cluster, images: None, charts: Path) -> Iterator[Platform]:
    """The platform, installed from nothing in a namespace of its own, all workloads ready."""
    delete_namespace(cluster.api)
    began = time.monotonic()
    release = install(cluster.access.kubeconfig, NAME, NAMESPACE, VALUES, REGISTRY, **{"generator.rate": RATE})
    release.wait(f"Installing {NAME} in namespace {NAMESPACE}", 900)
    yield Platform(cluster, release, began)
    if not os.environ.get("KEEP"):
        delete_namespace(cluster.api)


def exact(platform: Platform, shop: Shop) -> None:
    """Lets the shop play on, stops it, and fails unless all that it ever sent is there once."""
    time.sleep(TRAFFIC_SECONDS)
    before = len(shop.ledgers)
    shop.scale(0)
    assert [ledger["streams"]["clicks"]["produced"] > TRAFFIC_SECONDS for ledger in shop.ledgers[before:]] == [True]
    ledger = shop.ledger()
    found = platform.count(ledger)
    assert landed(found) == produced(ledger)
    assert Decimal(found["batch"]) == Decimal(ledger["revenue"])
    assert Decimal(found["speed"]) + Decimal(found["late"]) == Decimal(ledger["revenue"])


def delete_namespace(api: client.ApiClient, name: str = NAMESPACE) -> None:
    """Removes a namespace and waits until it is gone."""
    core = client.CoreV1Api(api)
    while name in [item.metadata.name for item in core.list_namespace().items]:
        if core.read_namespace(name).status.phase == "Active":
            core.delete_namespace(name)
        time.sleep(1)


def kill_java(release: Release, pod: str) -> None:
    """Kills the JVM in a pod's first container, as the kernel does when memory is short."""
    stream(
        release.core.connect_get_namespaced_pod_exec,
        pod,
        release.namespace,
        command=["pkill", "-KILL", "java"],
        stdout=True,
        stderr=True,
    )


def make_room(api: client.ApiClient, namespace: str) -> None:
    """Removes a platform of before in this namespace, and the tests' common one: two are too much for two cores."""
    for name in (NAMESPACE, namespace):
        delete_namespace(api, name)


@pytest.fixture(scope="session")
def shop(platform: Platform) -> Shop:
    return Shop(platform.release)


@pytest.fixture(scope="session")
def ledger(shop: Shop) -> dict[str, Any]:
    """What the generator says it sent since the installation; it is stopped."""
    shop.scale(0)
    return shop.ledger()


@pytest.fixture(scope="session")
def found(platform: Platform, ledger: dict[str, Any]) -> dict[str, Any]:
    """What is there once ingest and speed have handled every record of the ledger."""
    return platform.count(ledger)

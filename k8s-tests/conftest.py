"""A cluster for the tests, and the platform installed on it once, under the Pod Security Standard ``restricted``.

``KUBECONFIG`` names an existing cluster (with ``REGISTRY``, from which it pulls the images); without it kind is taken
where Docker runs, else a node built from packages. ``KEEP=1`` leaves cluster and platform for a look.

A test is skipped, with the reason, where there can be no cluster, and where a program that it needs is not installed:
Go for Helm and the node, a browser, a Java new enough for Strimzi's kinds.
"""

import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import NotInstalled, PlatformError
from deploy.clusters.choice import choose
from deploy.clusters.reservation import reserved
from deploy.helm import build_dependencies
from deploy.install import remove_namespace
from images.builder import IMAGES, build
from support.platform import HERE, INSTALLED, NAMESPACE, REGISTRY, Cluster, Platform, installed, silent
from support.shop import Shop

RESERVATION = pytest.StashKey[ExitStack]()


def pytest_report_header() -> str:
    try:
        return f"cluster: {choose().describe()}"
    except PlatformError as error:
        return f"cluster: none, its tests are skipped: {error}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None]:
    with skipped_without_programs():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None]:
    with skipped_without_programs():
        return (yield)


@contextmanager
def skipped_without_programs() -> Iterator[None]:
    try:
        yield
    except NotInstalled as error:
        pytest.skip(str(error))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """The first test that needs the cluster waits for it here, where no limit of time is on it yet."""
    stash = item.config.stash
    if "cluster" in getattr(item, "fixturenames", ()) and RESERVATION not in stash:
        stash[RESERVATION] = ExitStack()
        terminal = item.config.pluginmanager.getplugin("terminalreporter")
        stash[RESERVATION].enter_context(reserved(f"the tests of {HERE.parent}", terminal.write_line))
    return (yield)


def pytest_unconfigure(config: pytest.Config) -> None:
    if RESERVATION in config.stash:
        config.stash[RESERVATION].close()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Prints a failure when it happens: a run that is ended from outside has no summary."""
    if report.failed:
        print(f"\n{report.nodeid} ({report.when})\n{report.longreprtext}", flush=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the figures that tests have recorded; their limits are not asserted, since machines differ."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what needs a cluster; building images and a node takes longer at first than a test may."""
    for item in items:
        if HERE not in item.path.parents:
            continue
        if "cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.cluster)
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(4500))


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
    except PlatformError as error:
        pytest.skip(str(error))
    stays = provider.access() is not None or bool(os.environ.get("KEEP"))
    yield Cluster(provider, provider.up(silent), stays)
    if not stays:
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
    remove_namespace(cluster.api, NAMESPACE)
    yield installed(cluster, NAMESPACE, INSTALLED)
    if cluster.stays and not os.environ.get("KEEP"):
        remove_namespace(cluster.api, NAMESPACE)


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

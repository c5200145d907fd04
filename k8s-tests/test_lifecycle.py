"""Upgrade, rollback, uninstallation and reinstallation: volumes and passwords stay, and the counts stay exact."""

from collections.abc import Callable
from typing import Any

import pytest
from kubernetes import client

from clients.retry import until
from deploy.helm import UMBRELLA, Helm, arguments
from deploy.install import VALUES, install
from support.platform import INSTALLED, NAME, RATE, REGISTRY, Platform, exact
from support.shop import Shop

READY_SECONDS = 900
GONE_SECONDS = 120
"""For executors to go after their drivers, which Helm does not wait for."""
CHANGED = {"example.com/changed": "yes"}
"""As a part's podAnnotations, replaces its pods."""
REPLACED = {"kafka": "kafka", "hdfs.namenode": "hdfs-namenode", "hive-metastore": "hive-metastore"}
"""The parts that are changed, and their components."""


def volumes(platform: Platform) -> dict[str, str]:
    """The volume behind each claim."""
    claims = platform.release.core.list_namespaced_persistent_volume_claim(platform.release.namespace).items
    return {claim.metadata.name: claim.spec.volume_name for claim in claims}


def secrets(platform: Platform) -> dict[str, dict[str, str]]:
    """What the chart's Secrets hold."""
    found = platform.release.core.list_namespaced_secret(
        platform.release.namespace, label_selector=platform.release.selector
    )
    return {secret.metadata.name: secret.data for secret in found.items}


def pods(platform: Platform, component: str) -> set[str]:
    return {pod.metadata.uid for pod in platform.release.pods(component)}


def components(platform: Platform) -> set[str]:
    """Those of which there are pods."""
    return {pod.metadata.labels["app.kubernetes.io/name"] for pod in platform.release.pods()}


def apply(platform: Platform, **values: object) -> None:
    """Installs or upgrades the platform with these values beside its own."""
    kubeconfig, namespace = platform.cluster.access.kubeconfig, platform.release.namespace
    install(kubeconfig, NAME, namespace, VALUES, REGISTRY, **{**INSTALLED, **values})


@pytest.fixture
def stays_exact(platform: Platform, shop: Shop, found: dict[str, Any]) -> Callable[[], None]:
    """Waits for the platform, then lets the shop play on and counts."""

    def check() -> None:
        platform.release.wait("Waiting for all of it", READY_SECONDS)
        exact(platform, shop)

    return check


def test_an_upgrade_keeps_all_that_is_there(platform: Platform, stays_exact: Callable[[], None]) -> None:
    kept = volumes(platform), secrets(platform), pods(platform, "zookeeper"), pods(platform, "airflow-scheduler")
    replaced = {component: pods(platform, component) for component in REPLACED.values()}
    apply(platform, **{"generator.rate": RATE // 2}, **{f"{part}.podAnnotations": CHANGED for part in REPLACED})
    stays_exact()
    assert kept == (
        volumes(platform), secrets(platform), pods(platform, "zookeeper"), pods(platform, "airflow-scheduler")
    )  # fmt: skip
    assert [component for component, before in replaced.items() if before & pods(platform, component)] == []


@pytest.mark.parametrize("part", ["kafka", "zookeeper"])
def test_an_upgrade_that_new_members_would_outvote_is_refused(platform: Platform, part: str) -> None:
    helm = Helm(platform.cluster.access.kubeconfig)
    values = arguments(VALUES, {f"{part}.replicas": 3})
    place = ["--namespace", platform.release.namespace, "--dry-run=server"]
    done = helm.run("upgrade", NAME, str(UMBRELLA), *place, *values)
    assert done.returncode
    assert f"{part} runs with 1 replicas, and an upgrade to 3 may lose its data" in done.stderr


@pytest.mark.parametrize("part", ["kafka", "zookeeper"])
def test_the_api_server_refuses_another_number_whatever_applies_it(platform: Platform, part: str) -> None:
    name, namespace = f"{NAME}-{part}-quorum", platform.release.namespace
    with pytest.raises(client.ApiException, match="immutable"):
        platform.release.core.patch_namespaced_config_map(name, namespace, {"data": {"members": "3"}})


def test_a_larger_volume_is_refused_with_what_to_do(platform: Platform) -> None:
    helm = Helm(platform.cluster.access.kubeconfig)
    place = ["--namespace", platform.release.namespace, "--dry-run=server"]
    same, larger = (arguments(VALUES, {"hdfs.datanode.persistence.size": size}) for size in ("5120Mi", "6Gi"))
    assert helm.run("upgrade", NAME, str(UMBRELLA), *place, *same).returncode == 0
    done = helm.run("upgrade", NAME, str(UMBRELLA), *place, *larger)
    assert "the volumes of lambda-hdfs-datanode have 5Gi" in done.stderr
    assert "--cascade=orphan" in done.stderr


@pytest.mark.long
def test_a_rollback_goes_back_to_the_values_before(platform: Platform, stays_exact: Callable[[], None]) -> None:
    apply(platform, **{"generator.rate": RATE // 2})
    kept = volumes(platform), secrets(platform)
    helm = Helm(platform.cluster.access.kubeconfig)
    helm.call("rollback", NAME, "1", "--namespace", platform.release.namespace)
    stays_exact()
    deployment = client.AppsV1Api(platform.release.api).read_namespaced_deployment(
        f"{NAME}-generator", platform.release.namespace
    )
    assert f"--rate={RATE}" in deployment.spec.template.spec.containers[0].args
    assert kept == (volumes(platform), secrets(platform))


@pytest.mark.long
def test_a_reinstallation_goes_on_with_the_kept_volumes(platform: Platform, stays_exact: Callable[[], None]) -> None:
    kept = volumes(platform), secrets(platform)
    helm = Helm(platform.cluster.access.kubeconfig)
    helm.call("uninstall", NAME, "--namespace", platform.release.namespace, "--wait", timeout=600)
    # The pods of `helm test` stay, with their logs.
    until(lambda: components(platform), lambda left: left <= {"test"}, seconds=GONE_SECONDS)
    assert kept == (volumes(platform), secrets(platform))
    apply(platform)
    stays_exact()
    assert kept == (volumes(platform), secrets(platform))

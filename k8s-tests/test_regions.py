"""A region server hands its regions on before it ends: to the other one, where there are two."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client

from clients.retry import until
from deploy.install import remove_namespace
from support.platform import INSTALLED, NAME, Cluster, Platform, bean, exact, installed, make_room, typed
from support.shop import Shop

pytestmark = pytest.mark.faults
NAMESPACE = "ecommerce-regions"
READY_SECONDS = 600
REGIONS = (16030, "Hadoop:service=HBase,name=RegionServer,sub=Server")


@pytest.fixture
def platform_of_two(cluster: Cluster, images: None, charts: Path) -> Iterator[Platform]:
    """The platform with two region servers, in a namespace of its own."""
    make_room(cluster.api, NAMESPACE)
    values = {**INSTALLED, "hbase.regionserver.replicas": 2, "airflow.enabled": False}
    yield installed(cluster, NAMESPACE, values)
    remove_namespace(cluster.api, NAMESPACE)


def test_a_region_server_hands_on_its_regions_before_it_ends(platform_of_two: Platform) -> None:
    release = platform_of_two.release

    def regions() -> dict[str, int]:
        return {
            pod.metadata.name: bean(platform_of_two, pod.metadata.name, *REGIONS).get("regionCount", -1)
            for pod in release.pods("hbase-regionserver")
        }

    (pod, held), *_ = sorted(regions().items(), key=lambda found: -found[1])
    all_of_them = sum(regions().values())
    assert held > 0
    spec = (
        client.AppsV1Api(release.api).read_namespaced_stateful_set(f"{NAME}-hbase-regionserver", release.namespace).spec
    )
    command = spec.template.spec.containers[0].lifecycle.pre_stop._exec.command
    typed(release.core, release.namespace, pod, command)
    assert until(regions, lambda found: found[pod] == 0, seconds=60, what="a region server without regions")[pod] == 0
    assert sum(regions().values()) == all_of_them
    release.core.delete_namespaced_pod(pod, release.namespace)
    release.wait("Waiting for a new region server", READY_SECONDS)
    exact(platform_of_two, Shop(release))

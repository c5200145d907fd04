"""The pages of HDFS, HBase and Spark on a real ingress: through the NetworkPolicies, and for its controller alone."""

import json
from collections.abc import Iterator

import pytest
import requests

from clients.retry import until
from deploy import pods
from deploy.install import VALUES, install
from images.builder import image_name
from support import inside
from support.platform import INSTALLED, NAME, REGISTRY, Platform

PAGES = {
    "hdfs": ("/dfshealth.html", "Namenode information"),
    "hbase": ("/master-status", "Region Servers"),
    "spark-ingest": ("/jobs/", "Spark Jobs"),
    "spark-speed": ("/jobs/", "Spark Jobs"),
}
"""Path and text of a page, by the first label of its host."""
COMPONENT = "app.kubernetes.io/name"
BEHIND = ("hdfs-namenode:9870", "hbase-master:16010", "spark-ingest-page:4040", "spark-speed-page:4040")
CONTROLLER = "controller"
"""Stands for an ingress controller's pods: Contour's Envoy is the node here, whose own packets no network judges."""


@pytest.fixture(scope="module")
def shown(platform: Platform) -> Iterator[Platform]:
    """The platform with the pages, behind a login that somebody else's program asks for."""
    if platform.cluster.provider.name != "node":
        pytest.skip("by which addresses the ingress controller of this cluster comes is not known")
    kubeconfig, namespace = platform.cluster.access.kubeconfig, platform.release.namespace
    pages = {f"{part}.ingress": {"enabled": True, "loginInFront": True} for part in ("hdfs", "hbase", "spark")}
    ingress = {"global.networkPolicies.ingressController": [{"podSelector": {"matchLabels": {COMPONENT: CONTROLLER}}}]}
    install(kubeconfig, NAME, namespace, VALUES, REGISTRY, **INSTALLED, **pages, **ingress)
    yield platform
    install(kubeconfig, NAME, namespace, VALUES, REGISTRY, **INSTALLED)


def page(platform: Platform, name: str) -> str:
    """What the ingress answers, or says instead."""
    ingress = platform.cluster.access.ingress
    path, _ = PAGES[name]
    answer = requests.get(ingress + path, headers={"Host": f"{name}.localhost"}, timeout=10, allow_redirects=False)
    return answer.text if answer.ok else str(answer.status_code)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_on_the_ingress(shown: Platform, name: str) -> None:
    _, text = PAGES[name]
    until(lambda: page(shown, name), lambda found: text in found, seconds=60, what=f"the page {name}")


@pytest.mark.parametrize("component", [CONTROLLER, "stranger"])
def test_the_controllers_pods_alone_reach_what_is_behind_it(shown: Platform, component: str) -> None:
    addresses = [f"{NAME}-{address}" for address in BEHIND]
    intended = addresses if component == CONTROLLER else []
    command = inside.command("connect", json.dumps(addresses), json.dumps(intended))
    printed = pods.run(shown.release, image_name("tasks", REGISTRY or "docker.io"), command, component=component)
    assert json.loads(printed.splitlines()[-1]) == intended

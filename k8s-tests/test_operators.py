"""`make operators`: at the versions whose kinds are tested, for one namespace, with one sentence when it fails."""

import re
from dataclasses import replace

import pytest
import yaml

from contracts.errors import PlatformError
from deploy.helm import Helm, arguments
from deploy.operators import SPARK, STRIMZI, Operator, install
from deploy.tools import module_folder
from support import crds
from support.platform import Cluster


def test_the_versions_are_those_whose_kinds_are_tested() -> None:
    (go,) = re.findall(rf"{re.escape(crds.SPARK)} v(\S+)", (crds.HERE / "go.mod").read_text())
    maven = re.findall(r"<groupId>io\.strimzi<.*?<version>(\S+)</version>", (crds.HERE / "pom.xml").read_text(), re.S)
    assert go == SPARK.version
    assert set(maven) == {STRIMZI.version}


def test_the_spark_operator_looks_after_one_namespace() -> None:
    chart = module_folder(crds.HERE, crds.SPARK) / "charts" / "spark-operator-chart"
    text = Helm().call("template", "operator", str(chart), *arguments((), {SPARK.watched: ["shop"]}))
    rendered = [document for document in yaml.safe_load_all(text) if document]
    containers = [
        container
        for item in rendered
        if item["kind"] == "Deployment"
        for container in item["spec"]["template"]["spec"]["containers"]
    ]
    assert containers
    assert all("--namespaces=shop" in container["args"] for container in containers)
    assert yaml.safe_load((chart / "Chart.yaml").read_text())["version"] == SPARK.version


@pytest.mark.parametrize(
    "unreachable",
    [replace(STRIMZI, chart="oci://127.0.0.1:9/strimzi"), replace(SPARK, source=("--repo", "http://127.0.0.1:9"))],
    ids=lambda operator: operator.name,
)
def test_a_chart_that_cannot_be_had_is_one_sentence(cluster: Cluster, unreachable: Operator) -> None:
    with pytest.raises(PlatformError) as raised:
        install(Helm(cluster.access.kubeconfig), unreachable, "default")
    message = str(raised.value)
    assert message.startswith(f"{unreachable.name} {unreachable.version} was not installed")
    assert "127.0.0.1:9" in message
    assert "\n" not in message

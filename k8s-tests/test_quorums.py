"""A quorum keeps the number of members with which it was installed, whatever renders and applies the charts."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy.helm import UMBRELLA, Helm, arguments
from support.rendering import SIZES, STANDALONE, of, render

QUORUMS = {"kafka": "kafka", "zookeeper": "zookeeper", "hdfs-journalnode": "hdfs.journalnode"}
"""Components, and the part that has their number."""
HA = {"hdfs.ha.enabled": True}


def members(manifests: list[dict[str, Any]], component: str) -> tuple[dict[str, Any], int, dict[str, Any]]:
    """The ConfigMap that remembers the number, the StatefulSet's, and the init container that compares them."""
    config = of(manifests, "ConfigMap")[f"lambda-{component}-quorum"]
    spec = of(manifests, "StatefulSet")[f"lambda-{component}"]["spec"]
    check = spec["template"]["spec"]["initContainers"][0]
    return config, spec["replicas"], check


@pytest.mark.parametrize("component", QUORUMS)
@pytest.mark.parametrize("size", ["standalone", "kind"])
def test_the_number_is_remembered_by_what_cannot_be_changed(charts: Path, component: str, size: str) -> None:
    config, replicas, check = members(render(SIZES[size], **HA), component)
    assert config["immutable"] is True
    assert config["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert config["data"] == {"members": str(replicas)}
    told, installed = (next(it for it in check["env"] if it["name"] == name) for name in ("TOLD", "INSTALLED"))
    assert told["value"] == str(replicas)
    assert installed["valueFrom"]["configMapKeyRef"] == {"name": config["metadata"]["name"], "key": "members"}


@pytest.mark.parametrize("component", QUORUMS)
def test_another_number_is_another_configmap_of_the_same_name(charts: Path, component: str) -> None:
    """Which the API server refuses (test_lifecycle)."""
    config, replicas, _ = members(render((STANDALONE,), **HA, **{f"{QUORUMS[component]}.replicas": 5}), component)
    assert (config["data"], replicas) == ({"members": "5"}, 5)


@pytest.mark.parametrize("component", QUORUMS)
@pytest.mark.parametrize(("installed", "told", "starts"), [(3, 3, True), (3, 5, False), (1, 3, False), (5, 3, False)])
def test_a_member_that_is_told_of_another_number_does_not_start(
    charts: Path, component: str, installed: int, told: int, starts: bool
) -> None:
    _, _, check = members(render((STANDALONE,), **HA), component)
    environment = {"PATH": os.environ["PATH"], "INSTALLED": str(installed), "TOLD": str(told)}
    done = subprocess.run(check["command"], env=environment, capture_output=True, text=True)
    assert (done.returncode == 0) == starts
    sentence = (
        f"error: {component} was installed with {installed} replicas and is told of {told}: set them to {installed}"
    )
    assert done.stderr == ("" if starts else f"{sentence} again\n")


@pytest.mark.parametrize("part", [*QUORUMS.values(), "hdfs.datanode"])
def test_none_at_all_is_refused(charts: Path, part: str) -> None:
    values = arguments((STANDALONE,), {**HA, f"{part}.replicas": 0})
    done = Helm().run("template", "lambda", str(UMBRELLA), *values)
    assert f"{part.replace('.', '-')} needs at least 1 replica" in done.stderr

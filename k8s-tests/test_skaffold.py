"""skaffold.yaml names what is there: every image, what it stands on, every value that takes one, every page."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.helm import CHARTS, UMBRELLA
from images.builder import IMAGES, dockerfile, image_name, parents
from support.rendering import containers, pod_specs, render

ROOT = CHARTS.parent
SKAFFOLD: dict[str, Any] = yaml.safe_load((ROOT / "skaffold.yaml").read_text())
REPOSITORY = image_name("base").partition("/")[2].rpartition("/")[0]
NAMES = ["base", "build", *IMAGES]
ARTIFACTS = {item["image"]: item for item in SKAFFOLD["build"]["artifacts"]}
(RELEASE,) = SKAFFOLD["deploy"]["helm"]["releases"]
TEMPLATE = r"\{\{\.IMAGE_(REPO|TAG)_(\w+)\}\}"


def profile(name: str) -> list[dict[str, Any]]:
    (found,) = [item for item in SKAFFOLD["profiles"] if item["name"] == name]
    patches: list[dict[str, Any]] = found["patches"]
    return patches


def image_values(values: object, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """The values of a chart that take an image of ours: their names, and the image's repository."""
    if isinstance(values, dict):
        for key, value in values.items():
            if key == "image" and "repository" in value:
                yield ".".join((*path, key)), value["repository"]
            else:
                yield from image_values(value, (*path, key))


def test_every_image_is_built() -> None:
    assert list(ARTIFACTS) == [f"{REPOSITORY}/{name}" for name in NAMES]
    for name in NAMES:
        artifact = ARTIFACTS[f"{REPOSITORY}/{name}"]
        assert ROOT / artifact["docker"]["dockerfile"] == dockerfile(name)
        wanted = [{"image": f"{REPOSITORY}/{below}", "alias": f"{below.upper()}_IMAGE"} for below in parents(name)]
        assert artifact.get("requires", []) == wanted


def test_buildah_builds_the_same_images() -> None:
    patches = {patch["path"]: patch for patch in profile("buildah")}
    for index, name in enumerate(NAMES):
        assert patches[f"/build/artifacts/{index}/docker"]["op"] == "remove"
        custom = patches[f"/build/artifacts/{index}/custom"]["value"]
        assert custom["buildCommand"] == f"images/buildah {name}"
        assert ROOT / custom["dependencies"]["dockerfile"]["path"] == dockerfile(name)
    assert (ROOT / "images" / "buildah").stat().st_mode & 0o111


def test_every_value_that_takes_an_image_gets_it() -> None:
    aliases = {
        part["name"]: part.get("alias", part["name"])
        for part in yaml.safe_load((UMBRELLA / "Chart.yaml").read_text())["dependencies"]
    }
    wanted = {}
    for file in CHARTS.glob("*/values.yaml"):
        path = (aliases[file.parent.name],) if file.parent != UMBRELLA else ()
        for name, repository in image_values(yaml.safe_load(file.read_text()), path):
            variable = re.sub(r"\W", "_", repository)
            wanted[f"{name}.repository"] = "{{.IMAGE_REPO_" + variable + "}}"
            wanted[f"{name}.tag"] = "{{.IMAGE_TAG_" + variable + "}}"
    assert RELEASE["setValueTemplates"] == wanted


@pytest.mark.parametrize("mode", ["standalone", "operator"])
def test_what_is_deployed_runs_the_images_that_are_built(charts: Path, mode: str) -> None:
    files = [ROOT / file for file in RELEASE["valuesFiles"]]
    for patch in profile(mode):
        if "valuesFiles" in patch["path"]:
            assert patch["path"].endswith("/0")
            files[:1] = [ROOT / patch["value"]] if patch["op"] == "replace" else []
    values = {
        name: re.sub(TEMPLATE, lambda found: f"built-{found[1]}-{found[2]}".lower(), template)
        for name, template in RELEASE["setValueTemplates"].items()
    }
    rendered = render(tuple(files), **values, **RELEASE["setValues"])
    images = {container["image"] for _, spec in pod_specs(rendered) for container in containers(spec)}
    assert {image for image in images if not re.fullmatch(r"built-repo-(\w+):built-tag-\1", image)} == set()
    kinds = {item["kind"] for item in rendered}
    assert ("SparkApplication" in kinds) == ("Kafka" in kinds) == (mode == "operator")


def test_pages_are_forwarded_from_what_there_is(charts: Path) -> None:
    rendered = render(tuple(ROOT / file for file in RELEASE["valuesFiles"]))
    there = {(item["kind"].lower(), item["metadata"]["name"]): item for item in rendered}
    ports = [forward["localPort"] for forward in SKAFFOLD["portForward"]]
    assert len(ports) == len(set(ports))
    for forward in SKAFFOLD["portForward"]:
        assert forward["namespace"] == RELEASE["namespace"]
        spec = there[forward["resourceType"], forward["resourceName"]]["spec"]
        if forward["resourceType"] == "service":
            assert forward["port"] in [port["port"] for port in spec["ports"]]
        else:
            (container,) = spec["template"]["spec"]["containers"]
            assert forward["port"] in [port["containerPort"] for port in container["ports"]]


def test_edited_dags_go_where_airflow_reads_them_and_may_be_written(charts: Path) -> None:
    (rule,) = ARTIFACTS[f"{REPOSITORY}/airflow"]["sync"]["manual"]
    assert {file.parent.name for file in ROOT.glob(rule["src"])} == {"dags"}
    folder = f"{rule['dest']}/dags"
    assert f"AIRFLOW__CORE__DAGS_FOLDER={folder} " in dockerfile("airflow").read_text()
    servers = [
        spec
        for name, spec in pod_specs(
            render(tuple(ROOT / file for file in RELEASE["valuesFiles"]), **RELEASE["setValues"])
        )
        if re.match(r"(Deployment|StatefulSet)/lambda-airflow-(?!postgres)", name)
    ]
    assert len(servers) == 4
    for spec in servers:
        (container,) = spec["containers"]
        (volume,) = [mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == folder]
        assert {"name": volume, "emptyDir": {}} in spec["volumes"]

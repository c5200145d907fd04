"""Two SQL endpoints: what everything asks, and Impala beside it. Rendered alone: Impala's images cannot be pulled here.

What upstream's images want was read from its repository: docker/daemon_entrypoint.sh, docker/impala_base/Dockerfile,
bin/graceful_shutdown_backends.sh. ``upstream/impala-<version>.json`` has the names of its release: flags (``DEFINE_…``
in be/src, and those of its logging library), query options (common/thrift/ImpalaService.thrift), default ports, ports
that its Dockerfiles expose, paths of the images, pages, variables.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy.helm import UMBRELLA, Helm, arguments
from support.rendering import MONITORING, OPERATORS, SIZES, containers, documents, of, pod_specs, render

ROLES = ("statestored", "catalogd", "coordinator", "executor")
DAEMONS = ("coordinator", "executor")
COMPONENT = "app.kubernetes.io/name"


UPSTREAM = {
    file.stem.removeprefix("impala-"): json.loads(file.read_text())
    for file in (Path(__file__).parent / "upstream").glob("impala-*.json")
}
PORTS = {"krpc": "krpc_port", "state": "state_store_port", "catalog": "catalog_service_port", "hs2": "hs2_port"}
"""Ports of the pods, and the flags whose defaults they are."""


@pytest.fixture(scope="module")
def beside(charts: Path) -> list[dict[str, Any]]:
    return render(SIZES["default"])


def role(manifests: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The pods of a role."""
    spec: dict[str, Any] = of(manifests, "StatefulSet")[f"lambda-impala-{name}"]["spec"]["template"]["spec"]
    return spec


def told(manifests: list[dict[str, Any]], name: str) -> str:
    """A setting of the programs."""
    value: str = of(manifests, "ConfigMap")["lambda-settings"]["data"][f"ECOMMERCE_SQL_{name}"]
    return value


def endpoint(manifests: list[dict[str, Any]]) -> str:
    """The component behind the host that the programs are told."""
    host = told(manifests, "HOST")
    selector = of(manifests, "Service")[host]["spec"]["selector"]
    pods = [
        item["spec"]["template"]["metadata"]["labels"] for item in of(manifests, "Deployment", "StatefulSet").values()
    ]
    assert any(selector.items() <= labels.items() for labels in pods), f"no pod is behind {host}"
    component: str = selector[COMPONENT]
    return component


@pytest.mark.parametrize("size", SIZES)
def test_all_ask_sparks_thrift_server(charts: Path, size: str) -> None:
    assert endpoint(render(SIZES[size])) == "sql"


def test_by_value_all_ask_impala_and_the_tables_are_still_made_by_spark(charts: Path) -> None:
    manifests = render(SIZES["default"], **{"sql.engine": "impala"})
    assert endpoint(manifests) == "impala-coordinator"
    assert told(manifests, "ENGINE") == "impala"
    (job,) = (spec for name, spec in pod_specs(manifests) if name.startswith("Job/lambda-hive-tables"))
    assert "lambda-sql" in json.dumps(job)
    assert "lambda-impala" not in json.dumps(job)


def test_an_endpoint_that_is_not_there_is_refused(charts: Path) -> None:
    flags = arguments((), {"sql.engine": "impala", "impala.enabled": False})
    done = Helm().run("template", "lambda", str(UMBRELLA), *OPERATORS, *flags)
    assert "sql.engine is impala, but there is none: set impala.enabled" in done.stderr
    my_own = render(
        (),
        **{
            "sql.engine": "impala",
            "impala.enabled": False,
            "global.addresses.impala": "other",
            "global.networkPolicies.egress.restricted": False,
        },
    )
    assert told(my_own, "HOST") == "other"


def test_nothing_else_waits_for_impala(beside: list[dict[str, Any]]) -> None:
    without = dict(pod_specs(render((), **{"impala.enabled": False})))
    others = {name: spec for name, spec in pod_specs(beside) if "impala" not in name}
    assert others == without


@pytest.mark.parametrize("name", ROLES)
def test_it_runs_as_the_user_of_its_images_from_a_registry_of_its_own(charts: Path, name: str) -> None:
    spec = role(render(SIZES["default"], **{"global.image.registry": "registry.example.com/team"}), name)
    assert {spec["securityContext"][key] for key in ("runAsUser", "runAsGroup", "fsGroup")} == {1000}
    (container,) = spec["containers"]
    assert re.fullmatch(r"docker\.io/apache/impala:4\.5\.0-\w+", container["image"])
    writable = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {"/opt/impala/logs", "/tmp"} <= writable  # noqa: S108
    waiting = [init["image"] for init in spec.get("initContainers", [])]
    assert all(image.startswith("registry.example.com/team/") for image in waiting)


def mebibytes(text: str) -> float:
    """Of a JVM's, Impala's or Kubernetes' way to say a size."""
    found = re.fullmatch(r"(\d+)(gi?b?|mi?b?)", text.lower())
    assert found, text
    return float(found[1]) * (1024 if found[2].startswith("g") else 1)


@pytest.mark.parametrize("size", ["default", "production"])
@pytest.mark.parametrize("name", ROLES)
def test_its_heap_is_within_its_limits(charts: Path, size: str, name: str) -> None:
    (container,) = role(render(SIZES[size]), name)["containers"]
    (heap,) = (item["value"] for item in container["env"] if item["name"] == "JAVA_TOOL_OPTIONS")
    limit = mebibytes(container["resources"]["limits"]["memory"])
    most = mebibytes(heap.removeprefix("-Xmx"))
    assert most <= 0.75 * limit
    for argument in container["args"]:
        if argument.startswith("-mem_limit="):
            assert most < mebibytes(argument.partition("=")[2]) < limit


def test_a_role_waits_for_what_it_needs(beside: list[dict[str, Any]]) -> None:
    waits = {name: " ".join(json.dumps(init["command"]) for init in inits(beside, name)) for name in ROLES}
    assert waits["statestored"] == ""
    assert all("lambda-impala-statestored:24000" in waits[name] for name in ("catalogd", *DAEMONS))
    assert all("lambda-impala-catalogd:26000" in waits[name] for name in DAEMONS)
    assert "lambda-hive-metastore:9083" in waits["catalogd"]


def inits(manifests: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = role(manifests, name).get("initContainers", [])
    return found


@pytest.mark.parametrize("name", ROLES)
def test_running_queries_may_end(beside: list[dict[str, Any]], name: str) -> None:
    spec = role(beside, name)
    (container,) = spec["containers"]
    if name in DAEMONS:
        command = container["lifecycle"]["preStop"]["exec"]["command"]
        assert command == ["/opt/impala/bin/graceful_shutdown_backends.sh"]
        assert spec["terminationGracePeriodSeconds"] > 130
        assert any("parquet_fallback_schema_resolution=name" in argument for argument in container["args"])
    else:
        assert "lifecycle" not in container


def test_every_image_of_the_defaults_is_ours_but_impalas(charts: Path) -> None:
    images = {container["image"] for _, spec in pod_specs(render(())) for container in containers(spec)}
    assert all(re.search(r"ecommerce-lambda/|^docker\.io/apache/impala:", image) for image in images)


def test_helm_test_says_that_it_does_not_answer_and_passes(beside: list[dict[str, Any]], tmp_path: Path) -> None:
    """As in the pod, with a `probe` that reaches nothing."""
    spec = dict(pod_specs(beside))["Pod/lambda-test-impala"]
    (tmp_path / "probe").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "probe").chmod(0o755)
    done = subprocess.run(
        spec["containers"][0]["command"], env={"PATH": f"{tmp_path}:/bin:/usr/bin"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Impala does not answer at lambda-impala;" in done.stdout


@pytest.mark.parametrize("size", ["standalone", "kind"])
def test_where_its_images_cannot_be_had_it_is_not_there(charts: Path, size: str) -> None:
    assert [name for name, _ in pod_specs(render(SIZES[size])) if "impala" in name] == []


@pytest.mark.parametrize("name", ROLES)
def test_its_pods_say_nothing_that_its_release_does_not_know(beside: list[dict[str, Any]], name: str) -> None:
    spec = role(beside, name)
    (container,) = spec["containers"]
    version, _, image = container["image"].rpartition(":")[2].partition("-")
    known = UPSTREAM[version]
    for argument in container["args"]:
        flag, _, value = argument.lstrip("-").partition("=")
        assert flag in known["flags"]
        if flag == "default_query_options":
            assert {option.partition("=")[0] for option in value.split(",")} <= set(known["query_options"])
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports.pop("http") in known["exposed"][image]
    assert f"-metrics_webserver_port={ports.pop('metrics')}" in container["args"]
    assert ports == {port: known["ports"][PORTS[port]] for port in ports}
    assert {variable["name"] for variable in container["env"]} <= set(known["variables"])
    scripts = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [])
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]} - {"/tmp"}  # noqa: S108
    assert {*scripts, *mounted} <= set(known["paths"])
    pages = {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert pages <= set(known["pages"])


def test_its_metrics_are_asked_at_a_page_that_it_has(charts: Path) -> None:
    monitored = documents(*MONITORING, *arguments(SIZES["default"], {"global.monitoring.enabled": True}))
    found = [item for name, item in of(monitored, "PodMonitor").items() if "-impala-" in name]
    pages = {endpoint["path"] for item in found for endpoint in item["spec"]["podMetricsEndpoints"]}
    assert len(found) == len(ROLES)
    assert all(pages <= set(known["pages"]) for known in UPSTREAM.values())

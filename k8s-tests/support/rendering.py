"""The charts as Helm renders them: without a cluster, but with the real Helm."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from deploy.helm import UMBRELLA, Helm, arguments

OPERATORS = ("--api-versions", "kafka.strimzi.io/v1", "--api-versions", "sparkoperator.k8s.io/v1beta2")
PLAIN = {"global.kafka.security.enabled": False}
STANDALONE = UMBRELLA / "values-standalone.yaml"
SIZES: dict[str, tuple[Path, ...]] = {
    "default": (),
    "production": (UMBRELLA / "values-production.yaml",),
    "standalone": (STANDALONE,),
    "kind": (STANDALONE, UMBRELLA / "values-kind.yaml"),
    "databases": (STANDALONE, UMBRELLA / "ci/values-databases.yaml"),
}
WORKLOADS = ("Deployment", "StatefulSet", "Job", "CronJob", "Pod")
MONITORING = ("--api-versions", "monitoring.coreos.com/v1")
SCALERS = ("HorizontalPodAutoscaler", "ScaledObject")
SCALING_PROMETHEUS = "http://prometheus.monitoring:9090"
SCALED: dict[str, tuple[tuple[Path, ...], dict[str, object], str]] = {
    "generator": ((), {"generator.autoscaling.enabled": True}, "Deployment/lambda-generator"),
    "generator-keda": (
        (),
        {"generator.keda.enabled": True, "generator.keda.prometheus": SCALING_PROMETHEUS},
        "Deployment/lambda-generator",
    ),
    "impala": ((), {"impala.enabled": True, "impala.autoscaling.enabled": True}, "StatefulSet/lambda-impala-executor"),
    "sql": ((STANDALONE,), {"sql.autoscaling.enabled": True}, "Deployment/lambda-sql"),
}
"""Values files, values, and the workload that is scaled."""


@cache
def template(namespace: str, *flags: str) -> str:
    """What Helm renders of the umbrella chart: seconds each time, and many tests look at the same."""
    return Helm().call("template", "lambda", str(UMBRELLA), "-n", namespace, *OPERATORS, *flags)


def documents(*flags: str, namespace: str = "shop") -> list[dict[str, Any]]:
    """The manifests that Helm renders with these flags on a cluster that knows the operators' kinds."""
    return [item for item in yaml.load_all(template(namespace, *flags), yaml.CSafeLoader) if item]


def render(files: tuple[Path, ...], **values: object) -> list[dict[str, Any]]:
    """The manifests with these values files and values."""
    return documents(*arguments(files, values))


def of(manifests: list[dict[str, Any]], *kinds: str) -> dict[str, dict[str, Any]]:
    """The manifests of these kinds, by name."""
    return {item["metadata"]["name"]: item for item in manifests if item["kind"] in kinds}


def pod_specs(manifests: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for manifest in manifests:
        if manifest["kind"] in WORKLOADS:
            (template,) = templates(manifest)
            yield f"{manifest['kind']}/{manifest['metadata']['name']}", template["spec"]


def templates(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The pods of a manifest, with metadata and spec: its own, an executor's, those of a SparkApplication."""
    if manifest["kind"] == "Pod":
        yield manifest
    elif manifest["kind"] == "CronJob":
        yield manifest["spec"]["jobTemplate"]["spec"]["template"]
    elif manifest["kind"] in WORKLOADS:
        yield manifest["spec"]["template"]
    elif manifest["kind"] == "SparkApplication":
        yield from (manifest["spec"][part]["template"] for part in ("driver", "executor"))
    elif "executor.yaml" in (manifest.get("data") or {}):
        yield yaml.safe_load(manifest["data"]["executor.yaml"])


def containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [*spec.get("initContainers", []), *spec["containers"]]


def render_monitored(files: tuple[Path, ...], namespace: str = "shop", **values: object) -> list[dict[str, Any]]:
    """The manifests of a release that is monitored."""
    flags = arguments(files, {"global.monitoring.enabled": True, **values})
    return documents(*MONITORING, *flags, namespace=namespace)


def render_for_keda(files: tuple[Path, ...], values: dict[str, object]) -> list[dict[str, Any]]:
    return documents("--api-versions", "keda.sh/v1alpha1", *arguments(files, values))


def render_scaled(name: str) -> list[dict[str, Any]]:
    """The autoscalers that the values of :data:`SCALED` render."""
    files, values, _ = SCALED[name]
    return [*of(render_for_keda(files, values), *SCALERS).values()]


def told(name: str, endpoint: str) -> dict[str, str]:
    """What Airflow's scheduler is told with an endpoint as this value of its chart, and not without it."""

    def environment(value: str) -> dict[str, str]:
        values = {f"airflow.{name}": value, "global.networkPolicies.egress.restricted": False}
        servers = of(render(SIZES["kind"], **values), "StatefulSet")
        (container,) = servers["lambda-airflow-scheduler"]["spec"]["template"]["spec"]["containers"]
        return {item["name"]: item.get("value", "") for item in container["env"]}

    without = environment("")
    return {name: value for name, value in environment(endpoint).items() if name not in without}

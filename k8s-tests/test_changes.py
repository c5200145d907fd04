"""A changed value replaces the pods that read what it changes, and no others: two renderings, compared."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.helm import CHARTS, UMBRELLA, Helm, arguments
from support.rendering import OPERATORS, STANDALONE, of, render, templates

NAME = "app.kubernetes.io/name"
CHECKSUM = "checksum/"
PARTS = {"spark": "spark-jobs"}
"""Parts with another name than their chart."""
FILES = {"standalone": (STANDALONE,), "operators": ()}
BASE: dict[str, object] = {"hdfs.ha.enabled": True, "global.networkPolicies.egress.restricted": False}
SHOWN = {
    *("affinity", "alerts", "autoscaling", "driverResources", "image", "keda", "nodeSelector", "persistence"),
    *("podDisruptionBudget", "podLabels", "resources", "serviceResources", "tolerations", "topologySpreadConstraints"),
}
"""What pods show themselves, or nobody reads."""
SHARES = 6
TRIED: dict[str, tuple[str, ...]] = {"standalone": ("",), "operators": ("global.", "kafka.", "spark.")}
"""What the names of the values begin with that are tried."""
ENUMERATIONS = {
    "pullPolicy": "Always",
    "rhythm": "daily",
    "sslmode": "verify-full",
    "mode": None,
    "engine": None,
    "defaultRole": "Viewer",
}
"""Values of which not every text is one; those without another one here are tried by hand."""
LISTS: dict[str, list[object]] = {
    "extraEnv": [{"name": "CHANGED", "value": "yes"}],
    "flashSales": ["12:00/30/2"],
    "imagePullSecrets": ["changed"],
    "ingressController": [{"podSelector": {}}],
    "prometheus": [{"podSelector": {}}],
}
HBASE = {"hbase-master", "hbase-regionserver", "hbase-thrift"}
HDFS = {"hdfs-namenode", "hdfs-journalnode", "hdfs-datanode"}
JOBS = {"spark-ingest", "spark-speed"}
OF_THE_OPERATOR = {"spark-ingest-executor", "spark-speed-executor"}
"""Executors whose pods are in the SparkApplication itself."""
HADOOP = {*HBASE, "hive-metastore", "sql", *JOBS}
"""Components that read HDFS's settings for clients."""
SETTINGS = {*JOBS, "serving", "sql", "kafka-topics", "hdfs-folders", "hbase-tables", "hive-tables"}
AIRFLOW = {f"airflow-{role}" for role in ("api-server", "scheduler", "dag-processor", "triggerer", "migrate")}
EXPECTED: list[tuple[str, object, set[str]]] = [
    ("hdfs.ha.enabled", False, {"hdfs-namenode", "hdfs-datanode", "hdfs-folders", *HADOOP, *SETTINGS}),
    ("hdfs.datanode.replicas", 4, set()),
    ("hdfs.datanode.replicas", 2, {*HDFS, *HADOOP}),
    ("hdfs.datanode.decommission", 1, {"hdfs-namenode", *HADOOP}),
    ("hbase.regionserver.replicas", 4, set()),
    ("hbase.master.javaOpts", "-Xmx600m", {"hbase-master"}),
    ("lake.retention.rawDays", 40, SETTINGS),
    ("lake.dayGraceSeconds", 60, SETTINGS),
    ("sql.cores", 3, {"sql"}),
    ("global.sql.tls.enabled", True, {"sql", "serving", "hive-tables", *AIRFLOW}),
    ("airflow.dagStart", "2026-01-01", AIRFLOW),
    ("airflow.dagsPaused", True, AIRFLOW),
    ("generator.rate", 7, {"generator"}),
    ("spark.jobs.speed.executorMemory", "3g", {"spark-speed"}),
    ("spark.podLabels", {"a": "b"}, JOBS),
    ("global.monitoring.alerts.lagRecords", 5, set()),
    ("global.networkPolicies.enabled", False, set()),
    ("global.addresses.metastore", "thrift://other:9083", {"hive-metastore", "sql", *SETTINGS}),
    (
        "global.addresses.zookeeper",
        "other",
        {"hdfs-namenode", "hdfs-datanode", "hdfs-journalnode", *HADOOP},
    ),
    ("global.settingsConfigMap", "mine", {*SETTINGS, *AIRFLOW}),
    ("global.image.tags", {"hbase": "0.1.0-changed"}, HBASE),
    ("global.hadoopConfigMap", "mine", HADOOP),
]
"""With the values of :data:`BASE`, standalone: a value, what it becomes, and the components whose pods are replaced."""
Pod = dict[str, Any]


def pods(manifests: list[dict[str, Any]]) -> dict[str, Pod]:
    """The pods that a change may replace, by component: servers', executors' of an operator, Jobs'."""
    kinds = ("Deployment", "StatefulSet", "Job", "SparkApplication")
    found = [pod for item in manifests if item["kind"] in kinds for pod in templates(item)]
    return {pod["metadata"]["labels"][NAME]: pod for pod in found}


def configuration(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: item.get("data") for name, item in of(manifests, "ConfigMap").items()}


def replaced(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> set[str]:
    one, other = pods(before), pods(after)
    return {name for name in one.keys() & other.keys() if one[name] != other[name]}


def bare(pod: Pod) -> Pod:
    """A pod without its checksums."""
    annotations = pod["metadata"].get("annotations") or {}
    kept = {key: value for key, value in annotations.items() if not key.startswith(CHECKSUM)}
    return {**pod, "metadata": {**pod["metadata"], "annotations": kept}}


def reads(pod: Pod) -> set[str]:
    """The ConfigMaps that a pod refers to: of its volumes, its environment and single variables."""
    text = json.dumps(pod["spec"])
    names = set(re.findall(r'"(?:configMap|configMapRef|configMapKeyRef)": \{[^}]*?"name": "([^"]+)"', text))
    assert len(re.findall(r'"configMap\w*"', text)) >= len(names)
    return names


def should_be_replaced(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> set[str]:
    """What differs but for the checksums, and what reads a ConfigMap with other data than before."""
    one, other, old, new = pods(before), pods(after), configuration(before), configuration(after)
    return {
        name
        for name in one.keys() & other.keys()
        if bare(one[name]) != bare(other[name])
        or any(old.get(config) != new.get(config) for config in reads(one[name]) | reads(other[name]))
    }


def another(key: str, value: object) -> object:
    """A value of the same kind; None where there is none that can be made up."""
    if key in ENUMERATIONS:
        return ENUMERATIONS[key]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1 if value >= 1 else value / 2 or 1
    if isinstance(value, str):
        number = re.match(r"\d+", value)
        return f"{int(number[0]) + 1}{value[number.end() :]}" if number else f"{value}x"
    if isinstance(value, list):
        return None if value else LISTS.get(key)
    if value == {} and key != "allow":
        return {"a": "Viewer" if key == "roles" else "viewer"}
    return None


def leaves(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, object]]:
    """Every single value, with another one for it."""
    for key, value in values.items():
        if isinstance(value, dict) and value and key not in SHOWN:
            yield from leaves(value, f"{path}{key}.")
        elif (changed := another(key, value)) is not None and key not in SHOWN:
            yield f"{path}{key}", changed


def settings() -> dict[str, object]:
    """What the umbrella and its parts may be set to, each with another value than the default."""
    umbrella = yaml.safe_load((UMBRELLA / "values.yaml").read_text())
    found = dict(leaves(umbrella))
    for name, values in umbrella.items():
        if isinstance(values, dict) and "enabled" in values:
            part = yaml.safe_load((CHARTS / PARTS.get(name, name) / "values.yaml").read_text())
            found |= dict(leaves(part, f"{name}."))
    return found


SETTINGS_TRIED = settings()
REFUSED = re.compile(
    r"is true, but this cluster has no|global.draw is false|set tls\.adminSecret as well|set postgres\.existingSecret"
    r"|asks nobody for a login|auth\.oidc\.enabled is true: set|asks for passwords"
)
"""What cannot be tried alone."""


@cache
def document(text: str) -> Any:
    """Most of a rendering is as it was in the one before."""
    return yaml.load(text, yaml.CSafeLoader)


def rendered(files: str, values: dict[str, object]) -> list[dict[str, Any]] | str:
    """The manifests, rendered anew; why not, where the charts refuse the values."""
    flags = arguments(FILES[files], values)
    done = Helm().run("template", "lambda", str(UMBRELLA), "-n", "shop", *OPERATORS, *flags)
    if done.returncode:
        return done.stderr
    return [item for text in re.split(r"^---\n", done.stdout, flags=re.MULTILINE) if (item := document(text))]


@pytest.fixture(scope="module", params=FILES)
def before(request: pytest.FixtureRequest, charts: Path) -> tuple[str, list[dict[str, Any]]]:
    return request.param, render(FILES[request.param], **BASE)


def test_pods_read_configmaps_at_all(charts: Path) -> None:
    found = pods(render((STANDALONE,), **BASE))
    assert reads(found["spark-ingest"]) == {"lambda-hdfs-client", "lambda-settings", "lambda-spark-ingest"}
    assert reads(found["airflow-scheduler"]) == {"lambda-airflow"}
    assert reads(found["hbase-master"]) == {"lambda-hdfs-client", "lambda-hbase"}
    assert len(SETTINGS_TRIED) > 150


@pytest.mark.parametrize(("name", "value", "components"), EXPECTED, ids=[f"{it[0]}-{it[1]}" for it in EXPECTED])
def test_a_changed_value_replaces_the_pods_that_read_it(
    charts: Path, name: str, value: object, components: set[str]
) -> None:
    before, after = (render((STANDALONE,), **values) for values in (BASE, BASE | {name: value}))
    assert before != after
    assert replaced(before, after) == components


@pytest.mark.parametrize("share", [0, *(pytest.param(share, marks=pytest.mark.faults) for share in range(1, SHARES))])
def test_no_value_replaces_other_pods_than_those_that_read_it(
    before: tuple[str, list[dict[str, Any]]], share: int
) -> None:
    """Of every value of every part: a share of them, which takes half a minute, and the others in the long tests."""
    files, manifests = before
    wrong, tried = {}, 0
    for name, value in list(SETTINGS_TRIED.items())[share::SHARES]:
        if not name.startswith(TRIED[files]):
            continue
        after = rendered(files, BASE | {name: value})
        if isinstance(after, str):
            assert REFUSED.search(after), f"{name}={value}: {after}"
            continue
        tried += 1
        if (found := replaced(manifests, after)) != (wanted := should_be_replaced(manifests, after)):
            wrong[name] = found ^ wanted
    assert wrong == {}
    assert tried > 50 // SHARES


def test_settings_of_logins_replace_the_api_server_alone(charts: Path) -> None:
    """Turning them on replaces all of Airflow, which has another auth manager then."""
    oidc = {"issuer": "https://sso.example.com", "clientId": "a", "existingSecret": "b", "defaultRole": "Viewer"}
    values = BASE | {f"airflow.auth.oidc.{key}": value for key, value in oidc.items()}
    without, before, after = (
        render((STANDALONE,), **values, **changes)
        for changes in (
            {"airflow.auth.oidc.enabled": False},
            {"airflow.auth.oidc.enabled": True},
            {"airflow.auth.oidc.enabled": True, "airflow.auth.oidc.groupsClaim": "teams"},
        )
    )
    assert replaced(without, before) == should_be_replaced(without, before) == AIRFLOW
    assert replaced(before, after) == should_be_replaced(before, after) == {"airflow-api-server"}
    assert reads(pods(before)["airflow-api-server"]) == {"lambda-airflow", "lambda-airflow-oidc"}


def test_what_is_drawn_replaces_no_pods(before: tuple[str, list[dict[str, Any]]]) -> None:
    """``helm template`` draws anew each time."""
    files, manifests = before
    again = rendered(files, BASE)
    assert not isinstance(again, str)
    assert of(again, "Secret") != of(manifests, "Secret")
    assert replaced(manifests, again) == set()

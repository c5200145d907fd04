"""Autoscalers as Helm renders them: none unless they are asked for, and then no second hand on the same number."""

import re
from pathlib import Path

import pytest
import yaml

from contracts.paths import INGEST, SPEED
from deploy.helm import UMBRELLA, Helm, arguments
from jobs.streaming.metrics import LAG
from support.prometheus import evaluates
from support.rendering import (
    OPERATORS,
    SCALED,
    SCALERS,
    SCALING_PROMETHEUS,
    SIZES,
    STANDALONE,
    of,
    render,
    render_for_keda,
    render_scaled,
)


def refusal(values: dict[str, object], *flags: str) -> str:
    """What Helm says when it renders nothing."""
    done = Helm().run("template", "lambda", str(UMBRELLA), *OPERATORS, *flags, *arguments((), values))
    assert done.returncode
    return done.stderr


@pytest.mark.parametrize("size", SIZES)
def test_nothing_scales_by_itself_unless_asked(charts: Path, size: str) -> None:
    rendered = render(SIZES[size])
    assert not of(rendered, *SCALERS)
    assert "dynamicAllocation" not in yaml.dump(rendered)
    assert all("replicas" in item["spec"] for item in of(rendered, "Deployment", "StatefulSet").values())


@pytest.mark.parametrize("name", SCALED)
def test_an_autoscaler_alone_sets_the_number_of_pods(charts: Path, name: str) -> None:
    files, values, workload = SCALED[name]
    (scaler,) = render_scaled(name)
    target = scaler["spec"]["scaleTargetRef"]
    assert f"{target.get('kind', 'Deployment')}/{target['name']}" == workload
    kind, _, scaled = workload.partition("/")
    assert "replicas" not in of(render_for_keda(files, values), kind)[scaled]["spec"]


@pytest.mark.parametrize(("lag", "pods"), [(0, 4), (100_000, 2), (200_000, 0), (900_000, 0)])
def test_the_lag_lowers_the_number_of_shops(charts: Path, tmp_path: Path, lag: int, pods: int) -> None:
    (scaler,) = render_scaled("generator-keda")
    (trigger,) = scaler["spec"]["triggers"]
    assert trigger["metadata"]["serverAddress"] == SCALING_PROMETHEUS
    assert trigger["metadata"]["threshold"] == "1", "a pod for each one that the query gives"
    assert scaler["spec"]["maxReplicaCount"] == 4
    series = {f'{LAG}{{query="{INGEST}"}}': "0x60", f'{LAG}{{query="{SPEED}"}}': f"{lag}x60"}
    evaluates(tmp_path, series, trigger["metadata"]["query"], pods)


def test_two_autoscalers_of_one_workload_are_refused(charts: Path) -> None:
    both: dict[str, object] = {"generator.autoscaling.enabled": True, "generator.keda.enabled": True}
    assert "enable one of them" in refusal(both, "--api-versions", "keda.sh/v1alpha1")


def test_a_missing_keda_and_a_missing_prometheus_are_named(charts: Path) -> None:
    wanted: dict[str, object] = {"generator.keda.enabled": True}
    assert "no keda.sh/v1alpha1 resources" in refusal(wanted)
    assert "name the Prometheus" in refusal(wanted, "--api-versions", "keda.sh/v1alpha1")


@pytest.mark.parametrize("files", [(), (STANDALONE,)], ids=["operator", "native"])
def test_dynamic_allocation_is_given_to_one_job(charts: Path, files: tuple[Path, ...]) -> None:
    values: dict[str, object] = {"spark.jobs.ingest.dynamicAllocation": {"enabled": True, "maxExecutors": 9}}
    rendered = of(render_for_keda(files, values), "StatefulSet", "SparkApplication")
    jobs = {name: yaml.dump(item["spec"]) for name, item in rendered.items() if "spark-" in name}
    assert set(jobs) == {"lambda-spark-ingest", "lambda-spark-speed"}
    assert "dynamicAllocation" not in jobs["lambda-spark-speed"]
    for name, value in (("enabled", "true"), ("shuffleTracking.enabled", "true"), ("maxExecutors", "9")):
        assert re.search(rf"spark\.dynamicAllocation\.{name}(=|: '){value}\b", jobs["lambda-spark-ingest"])

"""Wrong values and missing operators stop an installation before it begins, and say what to do."""

from pathlib import Path

import pytest
from kubernetes import client

from deploy.helm import UMBRELLA, Helm, arguments
from deploy.install import VALUES, remove_namespace
from support.platform import Cluster
from support.rendering import PLAIN, of, render

WRONG = {
    "generator.rate": "fast",
    "kafka.mode": "cluster",
    "sql.engine": "presto",
    "spark.mode": "standalone",
    "hdfs.datanode.replicas": "many",
    "generator.raet": 5,
    "airflow.enabled": "yes",
}


BROKERS = "ecommerce-brokers"


def refused(cluster: Cluster, values: dict[str, object], *place: str) -> str:
    """What `helm install` says when it refuses; nothing is created, as the API server is only asked."""
    helm = Helm(cluster.access.kubeconfig)
    done = helm.run("install", "lambda", str(UMBRELLA), *place, "--dry-run=server", *arguments(VALUES, values))
    assert done.returncode, f"accepted {values}"
    return done.stderr


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_refused_by_the_schema(cluster: Cluster, charts: Path, name: str) -> None:
    message = refused(cluster, {name: WRONG[name]})
    assert "values don't meet the specifications of the schema" in message
    assert name.rpartition(".")[2] in message


def test_a_missing_strimzi_names_both_ways_out(cluster: Cluster, charts: Path) -> None:
    message = refused(cluster, {"kafka.mode": "strimzi"})
    assert "kafka.strimzi.io" in message
    assert "kafka.mode=standalone" in message


def test_a_missing_spark_operator_names_both_ways_out(cluster: Cluster, charts: Path) -> None:
    message = refused(cluster, {"spark.mode": "operator"})
    assert "sparkoperator.k8s.io" in message
    assert "spark.mode=native" in message


@pytest.mark.parametrize(("now", "wanted"), [(PLAIN, {}), ({}, PLAIN)], ids=["without TLS", "with TLS"])
def test_brokers_that_would_not_find_each_other_are_refused(
    cluster: Cluster, charts: Path, now: dict[str, object], wanted: dict[str, object]
) -> None:
    remove_namespace(cluster.api, BROKERS)
    core, apps = client.CoreV1Api(cluster.api), client.AppsV1Api(cluster.api)
    core.create_namespace({"metadata": {"name": BROKERS}})
    core.create_namespaced_resource_quota(BROKERS, {"metadata": {"name": "no-pods"}, "spec": {"hard": {"pods": "0"}}})
    brokers = of(render(VALUES, **now, **{"kafka.replicas": 3}), "StatefulSet")["lambda-kafka"]
    apps.create_namespaced_stateful_set(BROKERS, brokers | {"metadata": {"name": "lambda-kafka"}})
    place, three = ("--namespace", BROKERS), {"kafka.replicas": 3}
    message = refused(cluster, wanted | three, *place)
    assert f"run {'without' if now else 'with'} TLS, and those of this upgrade would not find them" in message
    assert f"keep it as it is with global.kafka.security.enabled={'false' if now else 'true'}" in message
    same = refused(cluster, now | three, *place)
    assert "StatefulSet" in same, "Helm does not take over what is there"
    assert "TLS" not in same
    apps.patch_namespaced_stateful_set_scale("lambda-kafka", BROKERS, {"spec": {"replicas": 0}})
    assert "TLS" not in refused(cluster, wanted | three, *place)
    core.delete_namespace(BROKERS)

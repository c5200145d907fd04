"""Wrong values and missing operators stop an installation before it begins, and say what to do."""

from pathlib import Path

import pytest

from deploy.helm import UMBRELLA, Helm, arguments
from deploy.install import VALUES
from support.platform import Cluster

WRONG = {
    "generator.rate": "fast",
    "kafka.mode": "cluster",
    "sql.engine": "presto",
    "spark.mode": "standalone",
    "hdfs.datanode.replicas": "many",
    "generator.raet": 5,
    "airflow.enabled": "yes",
}


def refused(cluster: Cluster, files: tuple[Path, ...], **values: object) -> str:
    """What `helm install` says when it refuses; nothing is created, as the API server is only asked."""
    helm = Helm(cluster.access.kubeconfig)
    done = helm.run("install", "refused", str(UMBRELLA), "--dry-run=server", *arguments(files, values))
    assert done.returncode, f"accepted {values}"
    return done.stderr


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_refused_by_the_schema(cluster: Cluster, charts: Path, name: str) -> None:
    message = refused(cluster, VALUES, **{name: WRONG[name]})
    assert "values don't meet the specifications of the schema" in message
    assert name.rpartition(".")[2] in message


def test_a_missing_strimzi_names_both_ways_out(cluster: Cluster, charts: Path) -> None:
    message = refused(cluster, VALUES, **{"kafka.mode": "strimzi"})
    assert "kafka.strimzi.io" in message
    assert "kafka.mode=standalone" in message


def test_a_missing_spark_operator_names_both_ways_out(cluster: Cluster, charts: Path) -> None:
    message = refused(cluster, VALUES, **{"spark.mode": "operator"})
    assert "sparkoperator.k8s.io" in message
    assert "spark.mode=native" in message

"""From nothing to data: the whole platform under ``restricted``, in order, without a restart."""

import json
from typing import Any

import pytest
from kubernetes import client

from clients.retry import until
from deploy.helm import Helm
from support.platform import Platform


def audit(platform: Platform) -> dict[str, Any]:
    """The counts of jobs.audit, taken in a pod."""
    counts: dict[str, Any] = json.loads(platform.run("sh", "-c", "python -m jobs.audit 2>/dev/null"))
    return counts


def test_every_workload_is_ready_and_no_container_was_restarted(platform: Platform) -> None:
    assert [workload for workload in platform.release.workloads() if not workload.ready] == []
    assert platform.release.restarts() == {}


def test_the_namespace_enforces_restricted(platform: Platform) -> None:
    labels = platform.release.core.read_namespace(platform.release.namespace).metadata.labels
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    with pytest.raises(client.ApiException, match="violates PodSecurity"):
        platform.release.core.create_namespaced_pod(
            platform.release.namespace,
            {"metadata": {"name": "root"}, "spec": {"containers": [{"name": "root", "image": "any"}]}},
        )


def test_rows_reach_hbase_and_parquet_files_hdfs(platform: Platform) -> None:
    def seen() -> dict[str, float]:
        rows = json.loads(platform.run("sh", "-c", "python -m serving revenue --last 60m --json 2>/dev/null"))
        landed = {name: stream["rows"] for name, stream in audit(platform)["landed"].items()}
        return {**landed, "revenue": float(rows["revenue"])}

    until(seen, lambda found: all(found.values()), seconds=300, pause=5, what="rows in every stream, and revenue")


def test_executors_are_pods_of_their_own(platform: Platform) -> None:
    pods = platform.release.core.list_namespaced_pod(
        platform.release.namespace, label_selector="spark-role=executor"
    ).items
    drivers = {pod.metadata.owner_references[0].name for pod in pods}
    assert len(drivers) == 2, f"executors belong to {drivers}"


def test_helm_test_passes(platform: Platform) -> None:
    helm = Helm(platform.cluster.access.kubeconfig)
    printed = helm.call("test", platform.release.name, "--namespace", platform.release.namespace, timeout=600)
    assert "Phase:          Succeeded" in printed
    assert "Failed" not in printed

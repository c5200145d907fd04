"""Every manifest, accepted by the real API server without being created (server-side dry-run, no unknown field).

The kinds of Strimzi, of the Spark and of the Prometheus operator are made known to it for that long; the operators do
not run.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, dynamic

from clients.retry import until
from support import crds
from support.platform import Cluster
from support.rendering import PLAIN, SCALED, SIZES, of, render, render_monitored, render_scaled

NAMESPACE = "default"
KINDS = {
    "kafka.strimzi.io/v1": crds.strimzi,
    "sparkoperator.k8s.io/v1beta2": crds.spark,
    "keda.sh/v1alpha1": crds.keda,
    "monitoring.coreos.com/v1": crds.prometheus,
}
OPERATED = {"Kafka", "KafkaNodePool", "KafkaTopic", "SparkApplication", "KafkaUser"}
CUSTOM: dict[str, set[str]] = {
    "default": OPERATED,
    "production": OPERATED,
    "standalone": set(),
    "kind": set(),
    "impala": OPERATED,
    "databases": set(),
}
"""The custom kinds that each size renders."""


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> Iterator[dynamic.DynamicClient]:
    """The API server, knowing the operators' kinds; those that it did not know before are removed again."""
    extensions = client.ApiextensionsV1Api(cluster.api)
    known = {crd.metadata.name for crd in extensions.list_custom_resource_definition().items}
    wanted = [crd for load in KINDS.values() for crd in load() if crd["metadata"]["name"] not in known]
    try:
        for crd in wanted:
            extensions.create_custom_resource_definition(crd)
        until_served(extensions, {crd["metadata"]["name"] for crd in wanted})
        yield dynamic.DynamicClient(cluster.api)
    finally:
        for crd in wanted:
            extensions.delete_custom_resource_definition(crd["metadata"]["name"])


def until_served(extensions: client.ApiextensionsV1Api, names: set[str]) -> None:
    def served() -> set[str]:
        return {
            crd.metadata.name
            for crd in extensions.list_custom_resource_definition().items
            if any(item.type == "Established" and item.status == "True" for item in crd.status.conditions or [])
        }

    until(served, names.issubset, seconds=60, pause=0.3, what="kinds that are served")


def create(api: dynamic.DynamicClient, manifest: dict[str, Any]) -> None:
    """As if it were created; a field that the kind does not have is an error. Raises ``ApiException``."""
    resource: Any = api.resources.get(api_version=manifest["apiVersion"], kind=manifest["kind"])
    strict = [("fieldValidation", "Strict")]
    api.create(resource, body=manifest, namespace=NAMESPACE, dry_run="All", query_params=strict)


@pytest.mark.parametrize("size", SIZES)
def test_the_api_server_accepts_every_manifest(api: dynamic.DynamicClient, charts: Path, size: str) -> None:
    accepted: list[str] = []
    custom: set[str] = set()
    for manifest in render(SIZES[size], **(PLAIN if size == "standalone" else {})):
        manifest["metadata"].pop("namespace", None)
        if manifest["kind"] == "Pod":  # admission looks for its account, which a dry run has not created
            del manifest["spec"]["serviceAccountName"]
        create(api, manifest)
        accepted.append(manifest["kind"])
        if manifest["apiVersion"] in KINDS:
            custom.add(manifest["kind"])
    assert len(accepted) > 80
    assert custom == CUSTOM[size]


@pytest.mark.parametrize("size", SIZES)
def test_pod_monitors_and_alert_rules_are_accepted(api: dynamic.DynamicClient, charts: Path, size: str) -> None:
    kinds = []
    for manifest in render_monitored(SIZES[size]):
        if manifest["apiVersion"] == "monitoring.coreos.com/v1":
            del manifest["metadata"]["namespace"]
            create(api, manifest)
            kinds.append(manifest["kind"])
    assert set(kinds) == {"PodMonitor", "PrometheusRule"}


@pytest.mark.parametrize("kind", ["Kafka", "SparkApplication", "Service"])
def test_a_field_that_a_kind_does_not_have_is_refused(api: dynamic.DynamicClient, charts: Path, kind: str) -> None:
    manifest = next(iter(of(render(()), kind).values()))
    manifest["metadata"].pop("namespace", None)
    manifest["spec"]["replicaz"] = 3
    with pytest.raises(dynamic.exceptions.DynamicApiError, match="replicaz"):
        create(api, manifest)


def test_a_kafka_user_is_accepted(api: dynamic.DynamicClient, charts: Path) -> None:
    user = next(iter(of(render(()), "KafkaUser").values()))
    del user["metadata"]["namespace"]
    create(api, user)
    user["spec"]["authorization"]["acls"][0]["resource"]["type"] = "subject"
    with pytest.raises(dynamic.exceptions.DynamicApiError, match="subject"):
        create(api, user)


@pytest.mark.parametrize("name", SCALED)
def test_autoscalers_are_accepted(api: dynamic.DynamicClient, charts: Path, name: str) -> None:
    (scaler,) = render_scaled(name)
    del scaler["metadata"]["namespace"]
    create(api, scaler)
    scaler["spec"]["maxReplicaz"] = 3
    with pytest.raises(dynamic.exceptions.DynamicApiError, match="maxReplicaz"):
        create(api, scaler)


def test_a_dynamically_allocated_job_is_accepted(api: dynamic.DynamicClient, charts: Path) -> None:
    rendered = render((), **{"spark.jobs.ingest.dynamicAllocation.enabled": True})
    job = of(rendered, "SparkApplication")["lambda-spark-ingest"]
    del job["metadata"]["namespace"]
    create(api, job)

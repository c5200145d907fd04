"""The umbrella as a GitOps engine has it: rendered by `helm template`, applied on the server, found in sync, pruned.

No pod starts in its namespace, which allows none: what is tried is whether an API server takes the manifests, one set
after the other, and whether it changes any of them.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, dynamic

from clients.retry import until
from deploy.install import remove_namespace
from support.gitops import GIVEN, rendered
from support.platform import Cluster

NAMESPACE = "ecommerce-gitops"
FORCED = {"field_manager": "engine", "force_conflicts": True}
CHANGED: tuple[dict[str, dict[str, object]], ...] = (
    {},
    {"generator": {"rate": 7}, "kafka": {"diskPercent": 70}},
    {"generator": {"rate": 7, "seed": 3}, "global": {"jobs": {"ttlSeconds": 0, "code": "two"}}},
)
"""Values that are changed between one sync and the next."""
Place = tuple[str, str, str]
"""Of an object: API version, kind, name."""


class Engine:
    """What Argo CD does with a folder of manifests."""

    def __init__(self, api: client.ApiClient) -> None:
        self._api = dynamic.DynamicClient(api)
        self.managed: set[Place] = set()

    def sync(self, manifests: list[dict[str, Any]]) -> None:
        """Applies what is wanted, and removes what is no longer."""
        wanted = set()
        for manifest in manifests:
            self._apply(manifest)
            wanted.add(place(manifest))
        for gone in self.managed - wanted:
            self._resource(gone).delete(name=gone[2], namespace=NAMESPACE, propagation_policy="Background")
        self.managed = wanted

    def out_of_sync(self, manifests: list[dict[str, Any]]) -> list[Place]:
        """The objects that would change if they were applied again."""
        return [place(one) for one in manifests if stripped(self._apply(one, dry_run="All")) != self._live(place(one))]

    def _live(self, of: Place) -> dict[str, Any]:
        """The object as it is; nothing where there is none."""
        try:
            return stripped(self._resource(of).get(name=of[2], namespace=NAMESPACE).to_dict())
        except dynamic.exceptions.NotFoundError:
            return {}

    def _apply(self, manifest: dict[str, Any], **how: str) -> dict[str, Any]:
        resource = self._resource(place(manifest))
        return dict(self._api.server_side_apply(resource, manifest, namespace=NAMESPACE, **FORCED, **how).to_dict())

    def _resource(self, of: Place) -> Any:
        return self._api.resources.get(api_version=of[0], kind=of[1])


def place(manifest: dict[str, Any]) -> Place:
    return manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"]


def stripped(found: dict[str, Any]) -> dict[str, Any]:
    """An object without what the server tells of it."""
    kept = {name: found["metadata"].get(name) for name in ("labels", "annotations")}
    return {**{name: value for name, value in found.items() if name != "status"}, "metadata": kept}


@pytest.fixture
def engine(cluster: Cluster) -> Iterator[Engine]:
    remove_namespace(cluster.api, NAMESPACE)
    core = client.CoreV1Api(cluster.api)
    core.create_namespace({"metadata": {"name": NAMESPACE}})
    core.create_namespaced_resource_quota(NAMESPACE, {"metadata": {"name": "no-pods"}, "spec": {"hard": {"pods": "0"}}})
    yield Engine(cluster.api)
    core.delete_namespace(NAMESPACE)  # its end takes a minute, for which nobody has to wait


def wanted(folder: Path, changed: dict[str, dict[str, object]]) -> list[dict[str, Any]]:
    values = {part: {**GIVEN.get(part, {}), **changed.get(part, {})} for part in GIVEN.keys() | changed.keys()}
    text = rendered(folder, "kind", values, "--set", "global.kafka.security.enabled=true", namespace=NAMESPACE)
    found = [manifest for manifest in yaml.load_all(text, yaml.CSafeLoader) if manifest]
    return [one for one in found if "helm.sh/hook" not in one["metadata"].get("annotations", {})]


def test_it_is_in_sync_after_each_change_and_nothing_is_left(
    engine: Engine, cluster: Cluster, charts: Path, tmp_path: Path
) -> None:
    def jobs_there() -> set[str]:
        return {job.metadata.name for job in client.BatchV1Api(cluster.api).list_namespaced_job(NAMESPACE).items}

    ever: set[str] = set()
    for changed in CHANGED:
        manifests = wanted(tmp_path, changed)
        assert not engine.managed or engine.out_of_sync(manifests), "nothing has changed"
        engine.sync(manifests)
        until(partial(engine.out_of_sync, wanted(tmp_path, changed)), lambda found: found == [], seconds=60)
        ever |= {name for _, kind, name in engine.managed if kind == "Job"}
    now = {name for _, kind, name in engine.managed if kind == "Job"}
    assert ever > now, "no Job was made anew by the change of its code"
    until(jobs_there, now.__eq__, seconds=60)
    assert not [name for _, kind, name in engine.managed if kind == "Secret"]

"""What a release waits for: the state of its Deployments, StatefulSets and Jobs, and why they are not ready."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import client, config

from contracts.errors import NotReady
from local.progress import Progress

POLL_SECONDS = 1.0
STUCK = frozenset(
    {"ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError", "CrashLoopBackOff", "ImagePullBackOff"}
)
"""Reasons for which the kubelet says that a container waits."""
STUCK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment, StatefulSet or Job: ``ready``, or why not."""

    name: str
    ready: bool
    detail: str
    stuck: bool = False


@dataclass(frozen=True, slots=True)
class Release:
    """An installed release, seen through the API server."""

    api: client.ApiClient
    name: str
    namespace: str

    @classmethod
    def at(cls, kubeconfig: Path, name: str, namespace: str) -> "Release":
        return cls(config.new_client_from_config(str(kubeconfig)), name, namespace)

    @property
    def core(self) -> client.CoreV1Api:
        return client.CoreV1Api(self.api)

    @property
    def selector(self) -> str:
        return f"app.kubernetes.io/instance={self.name}"

    def pods(self, component: str | None = None) -> list[Any]:
        """The release's pods, or those of one component."""
        selector = self.selector + (f",app.kubernetes.io/name={component}" if component else "")
        found = self.core.list_namespaced_pod(self.namespace, label_selector=selector).items
        return [pod for pod in found if pod.metadata.deletion_timestamp is None]

    def restarts(self) -> dict[str, int]:
        """Containers that were restarted, with how often: ``pod/container``."""
        return {
            f"{pod.metadata.name}/{status.name}": status.restart_count
            for pod in self.pods()
            for status in _containers(pod)
            if status.restart_count
        }

    def workloads(self) -> list[Workload]:
        """All Deployments, StatefulSets and Jobs, by name."""
        apps, batch = client.AppsV1Api(self.api), client.BatchV1Api(self.api)
        pods = self.pods()
        servers = [
            *apps.list_namespaced_deployment(self.namespace, label_selector=self.selector).items,
            *apps.list_namespaced_stateful_set(self.namespace, label_selector=self.selector).items,
        ]
        jobs = batch.list_namespaced_job(self.namespace, label_selector=self.selector).items
        found = [self._workload(item, serves(item), pods) for item in servers]
        found += [self._workload(item, bool(item.status.succeeded), pods) for item in jobs]
        return sorted(found, key=lambda workload: workload.name)

    def _workload(self, item: Any, ready: bool, pods: list[Any]) -> Workload:
        labels = item.spec.template.metadata.labels["app.kubernetes.io/name"]
        mine = [pod for pod in pods if pod.metadata.labels.get("app.kubernetes.io/name") == labels]
        reason = next((text for pod in mine if (text := why_not_ready(pod))), "" if mine else "no pod yet")
        stuck = not ready and any(cannot_start(pod) for pod in mine)
        return Workload(item.metadata.name.removeprefix(f"{self.name}-"), ready, "" if ready else reason, stuck)

    def wait(self, title: str, seconds: float) -> None:
        """Waits until all of it is ready, showing what it waits for.

        Raises :class:`PlatformError` after ``seconds``, or sooner when a container cannot start.
        """
        deadline, bad = time.monotonic() + seconds, 0.0
        with Progress(title, [workload.name for workload in self.workloads()]) as progress:
            for workloads in self._polled():
                for workload in workloads:
                    progress.update(workload.name, "ready" if workload.ready else workload.detail or "starting")
                missing = [workload for workload in workloads if not workload.ready]
                if not missing:
                    return
                stuck = [workload for workload in missing if workload.stuck]
                bad = (bad or time.monotonic()) if stuck else 0.0
                if (bad and time.monotonic() - bad > STUCK_SECONDS) or time.monotonic() > deadline:
                    names = "; ".join(f"{workload.name} ({workload.detail})" for workload in stuck or missing)
                    raise NotReady(
                        f"not ready: {names}; look with `kubectl -n {self.namespace} describe pods` and "
                        f"`kubectl -n {self.namespace} logs POD`"
                    )

    def _polled(self) -> Iterator[list[Workload]]:
        while True:
            yield self.workloads()
            time.sleep(POLL_SECONDS)


def serves(item: Any) -> bool:
    """Whether a Deployment's or StatefulSet's pods are ready, and all of its newest template.

    As ``kubectl rollout status`` tells: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/
    """
    wanted, status = item.spec.replicas, item.status
    updated = status.updated_replicas or 0
    if (status.observed_generation or 0) < item.metadata.generation:
        return False
    return (status.ready_replicas or 0) >= wanted and updated >= wanted and (status.replicas or 0) <= updated


def why_not_ready(pod: Any) -> str:
    """What a pod waits for; empty when it is ready or has ended well."""
    if pod.status.phase == "Succeeded":
        return ""
    if not pod.spec.node_name:
        conditions = {item.type: item for item in pod.status.conditions or []}
        scheduled = conditions.get("PodScheduled")
        return f"not scheduled: {scheduled.message}" if scheduled and scheduled.message else "not scheduled"
    for status in _containers(pod):
        state = status.state
        if state.waiting and state.waiting.reason not in ("PodInitializing", "ContainerCreating"):
            return f"{status.name}: {state.waiting.reason}"
        if state.running and status in (pod.status.init_container_statuses or []):
            return status.name.replace("wait-for-", "waits for ")
        if state.terminated and state.terminated.exit_code:
            return f"{status.name}: exit code {state.terminated.exit_code}"
        if state.running and not status.ready:
            return "starting"
    return "" if pod.status.phase == "Running" else "creating"


def cannot_start(pod: Any) -> bool:
    """Whether a container waits for what time alone does not bring."""
    return any(status.state.waiting and status.state.waiting.reason in STUCK for status in _containers(pod))


def _containers(pod: Any) -> list[Any]:
    """The states of a pod's containers, those that prepare it first."""
    return [*(pod.status.init_container_statuses or []), *(pod.status.container_statuses or [])]

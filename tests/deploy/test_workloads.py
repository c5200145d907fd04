"""What a pod waits for, by what the kubelet says of its containers."""

import pytest
from kubernetes.client import (
    V1ContainerState,
    V1ContainerStateRunning,
    V1ContainerStateTerminated,
    V1ContainerStateWaiting,
    V1ContainerStatus,
    V1Deployment,
    V1DeploymentSpec,
    V1DeploymentStatus,
    V1LabelSelector,
    V1ObjectMeta,
    V1Pod,
    V1PodCondition,
    V1PodSpec,
    V1PodStatus,
    V1PodTemplateSpec,
)

from deploy.workloads import cannot_start, serves, why_not_ready


def container(name: str, ready: bool = False, **state: object) -> V1ContainerStatus:
    return V1ContainerStatus(
        name=name, image="", image_id="", ready=ready, restart_count=0, state=V1ContainerState(**state)
    )


def waiting(reason: str) -> V1ContainerStatus:
    return container("server", waiting=V1ContainerStateWaiting(reason=reason))


def pod(*statuses: V1ContainerStatus, phase: str = "Pending", init: tuple[V1ContainerStatus, ...] = ()) -> V1Pod:
    status = V1PodStatus(phase=phase, container_statuses=list(statuses), init_container_statuses=list(init))
    return V1Pod(spec=V1PodSpec(containers=[], node_name="node"), status=status)


RUNNING = V1ContainerStateRunning()
UNSCHEDULED = V1Pod(
    spec=V1PodSpec(containers=[]),
    status=V1PodStatus(
        phase="Pending", conditions=[V1PodCondition(type="PodScheduled", status="False", message="0/1 nodes: memory")]
    ),
)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (pod(container("server", ready=True, running=RUNNING), phase="Running"), ""),
        (pod(phase="Succeeded"), ""),
        (UNSCHEDULED, "not scheduled: 0/1 nodes: memory"),
        (pod(waiting("ContainerCreating")), "creating"),
        (pod(waiting("ImagePullBackOff")), "server: ImagePullBackOff"),
        (pod(waiting("PodInitializing"), init=(container("wait-for-kafka", running=RUNNING),)), "waits for kafka"),
        (pod(container("server", running=RUNNING), phase="Running"), "starting"),
        (pod(container("job", terminated=V1ContainerStateTerminated(exit_code=3))), "job: exit code 3"),
    ],
)
def test_why_a_pod_is_not_ready(found: V1Pod, reason: str) -> None:
    assert why_not_ready(found) == reason


@pytest.mark.parametrize(
    ("reason", "stuck"),
    [("ImagePullBackOff", True), ("CrashLoopBackOff", True), ("ContainerCreating", False), ("PodInitializing", False)],
)
def test_a_container_that_cannot_start_is_told_by_the_kubelet_s_reason(reason: str, stuck: bool) -> None:
    assert cannot_start(pod(waiting(reason))) is stuck
    assert not cannot_start(pod(container(reason, running=RUNNING))), "not by a name"
    assert cannot_start(pod(init=(waiting(reason),))) is stuck


def deployment(wanted: int, generation: int = 2, **status: int) -> V1Deployment:
    template = V1PodTemplateSpec(spec=V1PodSpec(containers=[]))
    return V1Deployment(
        metadata=V1ObjectMeta(generation=generation),
        spec=V1DeploymentSpec(replicas=wanted, selector=V1LabelSelector(), template=template),
        status=V1DeploymentStatus(**status),
    )


@pytest.mark.parametrize(
    ("found", "ready"),
    [
        (deployment(1, observed_generation=2, replicas=1, updated_replicas=1, ready_replicas=1), True),
        (deployment(0, observed_generation=2), True),
        (deployment(1), False),
        (deployment(1, observed_generation=1, replicas=1, updated_replicas=1, ready_replicas=1), False),
        (deployment(1, observed_generation=2, replicas=1, updated_replicas=1), False),
        (deployment(2, observed_generation=2, replicas=2, updated_replicas=1, ready_replicas=2), False),
        # The pod before is ready still, and the new one is not.
        (deployment(1, observed_generation=2, replicas=2, updated_replicas=1, ready_replicas=1), False),
    ],
)
def test_a_deployment_serves_when_only_new_pods_are_left_and_ready(found: V1Deployment, ready: bool) -> None:
    assert serves(found) is ready

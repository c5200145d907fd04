"""Commands inside the cluster: in a pod of their own, with the platform's settings, as its tasks run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml
from kubernetes import client
from kubernetes.client.rest import ApiException

from clients import retry
from contracts.errors import Failed, NotReady
from deploy.workloads import Release, why_not_ready

POLL_SECONDS = 0.5
START_SECONDS = 120
MEMORY = "2Gi"
"""The limit of a command by hand, which may do more than a test."""
ENDED = frozenset({"Succeeded", "Failed", "deleted"})
COMPONENT = "test"
"""The pods are named like those of `helm test`, and may reach what these may."""


def program(file: Path, *arguments: str) -> list[str]:
    """The command of a pod that runs a Python program which its image lacks: the text travels with it."""
    return ["python", "-c", file.read_text(), *arguments]


def run(
    release: Release,
    image: str,
    command: Sequence[str],
    seconds: float = 300,
    kafka_client: str | None = None,
    component: str = COMPONENT,
) -> str:
    """Runs a command in a pod of the tasks image and returns what it printed on stdout and stderr.

    ``kafka_client`` is the client of Kafka as which it logs in, where Kafka is secured. ``component`` is
    the pod's name for NetworkPolicies.

    Raises :class:`PlatformError` with its output when it fails or does not end within ``seconds``.
    """
    name = f"{release.name}-run-{uuid4().hex[:8]}"
    release.core.create_namespaced_pod(release.namespace, _pod(release, name, image, command, kafka_client, component))
    try:
        phase = _wait(release, name, seconds)
        output = str(
            release.core.read_namespaced_pod_log(name, release.namespace, _preload_content=False).data.decode()
        )
    finally:
        release.core.delete_namespaced_pod(name, release.namespace, grace_period_seconds=0)
    if phase != "Succeeded":
        raise Failed(f"{' '.join(command)[:200]} ended {phase} in its pod: {output.strip()[-2000:]}")
    return output


def run_by_hand(
    release: Release, hooks: str, command: Sequence[str], kafka_client: str, show: Callable[[str], object]
) -> None:
    """Runs a command as :func:`like_tests` has it, and shows what it prints as it comes.

    Raises :class:`PlatformError` where its pod does not start, or the command fails.
    """
    pod = like_tests(hooks, command, kafka_client)
    name = pod["metadata"]["name"]

    def started() -> Any:
        return release.core.read_namespaced_pod(name, release.namespace)

    release.core.create_namespaced_pod(release.namespace, pod)
    try:
        try:
            retry.until(
                started, lambda found: found.status.phase != "Pending", seconds=START_SECONDS, pause=POLL_SECONDS
            )
        except NotReady as error:
            raise Failed(f"the pod {name} did not start: {why_not_ready(started())}") from error
        log = release.core.read_namespaced_pod_log(name, release.namespace, follow=True, _preload_content=False)
        for part in log.stream():
            show(part.decode(errors="replace"))
        if (phase := _wait(release, name, START_SECONDS)) != "Succeeded":
            raise Failed(f"{' '.join(command)[:200]} ended {phase} in its pod")
    finally:
        release.core.delete_namespaced_pod(name, release.namespace, grace_period_seconds=0)


def like_tests(hooks: str, command: Sequence[str], kafka_client: str) -> dict[str, Any]:
    """A pod of `helm test` with another command, and as another client where Kafka is secured.

    ``hooks`` is what `helm get hooks` prints: a pod of theirs has the release's image, settings, login and scheduling.
    """
    manifests = yaml.safe_load_all(hooks.replace("-kafka-audit", f"-kafka-{kafka_client}"))
    pod = next(item for item in manifests if item and item["kind"] == "Pod" and _is_test(item))
    labels, (container,) = pod["metadata"]["labels"], pod["spec"]["containers"]
    name = f"{labels['app.kubernetes.io/instance']}-run-{uuid4().hex[:8]}"
    container["command"] = list(command)
    container["resources"]["limits"]["memory"] = MEMORY
    return {**pod, "metadata": {"name": name, "labels": labels}}


def _is_test(pod: dict[str, Any]) -> bool:
    return bool(pod["metadata"]["labels"]["app.kubernetes.io/name"] == COMPONENT)


def _pod(
    release: Release, name: str, image: str, command: Sequence[str], kafka_client: str | None, component: str
) -> client.V1Pod:
    login = _login(release, kafka_client) if kafka_client else _Login()
    container = client.V1Container(
        name="run",
        image=image,
        command=list(command),
        env_from=[client.V1EnvFromSource(config_map_ref=client.V1ConfigMapEnvSource(name=f"{release.name}-settings"))],
        env=login.environment,
        security_context=client.V1SecurityContext(
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            capabilities=client.V1Capabilities(drop=["ALL"]),
        ),
        volume_mounts=[client.V1VolumeMount(name="tmp", mount_path="/tmp"), *login.mounts],  # noqa: S108
    )
    spec = client.V1PodSpec(
        containers=[container],
        restart_policy="Never",
        automount_service_account_token=False,
        enable_service_links=False,
        security_context=client.V1PodSecurityContext(
            run_as_non_root=True, seccomp_profile=client.V1SeccompProfile(type="RuntimeDefault")
        ),
        volumes=[client.V1Volume(name="tmp", empty_dir=client.V1EmptyDirVolumeSource()), *login.volumes],
    )
    labels = {
        "app.kubernetes.io/instance": release.name,
        "app.kubernetes.io/name": component,
        "app.kubernetes.io/part-of": "ecommerce-lambda",
    }
    return client.V1Pod(metadata=client.V1ObjectMeta(name=name, labels=labels), spec=spec)


@dataclass(frozen=True, slots=True)
class _Login:
    """What a pod has to log in to a secured Kafka, as the charts give it to theirs."""

    environment: list[client.V1EnvVar] = field(default_factory=list)
    mounts: list[client.V1VolumeMount] = field(default_factory=list)
    volumes: list[client.V1Volume] = field(default_factory=list)


def _login(release: Release, kafka_client: str) -> _Login:
    user, folder = f"{release.name}-kafka-{kafka_client}", "/etc/kafka-client"
    secrets = {f"{release.name}-cluster-ca-cert": "ca.crt", user: "password"}
    sources = [
        client.V1VolumeProjection(
            secret=client.V1SecretProjection(name=name, items=[client.V1KeyToPath(key=key, path=key)])
        )
        for name, key in secrets.items()
    ]
    environment = {"ECOMMERCE_KAFKA_USER": user, "ECOMMERCE_KAFKA_CREDENTIALS": folder}
    return _Login(
        [client.V1EnvVar(name=name, value=value) for name, value in environment.items()],
        [client.V1VolumeMount(name="kafka-client", mount_path=folder, read_only=True)],
        [client.V1Volume(name="kafka-client", projected=client.V1ProjectedVolumeSource(sources=sources))],
    )


def _wait(release: Release, name: str, seconds: float) -> str:
    def phase() -> str:
        try:
            return str(release.core.read_namespaced_pod(name, release.namespace).status.phase)
        except ApiException as error:
            if error.status != 404:
                raise
            return "deleted"

    try:
        return retry.until(phase, ENDED.__contains__, seconds=seconds, pause=POLL_SECONDS)
    except NotReady:
        return "unfinished"

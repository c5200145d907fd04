"""Installing the platform on a cluster, without waiting for it."""

from pathlib import Path
from typing import Final

from kubernetes import client

from clients.retry import until
from deploy.helm import UMBRELLA, Helm, build_dependencies
from deploy.workloads import Release
from images.builder import digest

VALUES: Final = (UMBRELLA / "values-standalone.yaml", UMBRELLA / "values-kind.yaml")
"""What is installed when no values are named: no operators, and small enough for two cores."""
JOBS: Final = ("tasks", "airflow")
"""Images of the charts' Jobs."""
REMOVAL_SECONDS: Final = 600.0
POD_SECURITY: Final = {"pod-security.kubernetes.io/enforce": "restricted"}


def install(
    kubeconfig: Path,
    release: str,
    namespace: str,
    files: tuple[Path, ...],
    registry: str | None = None,
    **values: object,
) -> Release:
    """Installs or upgrades the platform in a namespace that enforces ``restricted``; does not wait for it."""
    installed = Release.at(kubeconfig, release, namespace)
    make_namespace(installed)
    build_dependencies()
    # Tags stay the same while the code changes.
    code = "".join(map(digest, JOBS))
    settings = {"global.jobs.code": code, **values, **({"global.image.registry": registry} if registry else {})}
    Helm(kubeconfig).install(release, namespace, files, settings)
    return installed


def make_namespace(release: Release) -> None:
    """The namespace with the Pod Security Standard enforced, where it is not there yet."""
    names = [item.metadata.name for item in release.core.list_namespace().items]
    if release.namespace not in names:
        metadata = client.V1ObjectMeta(name=release.namespace, labels=POD_SECURITY)
        release.core.create_namespace(client.V1Namespace(metadata=metadata))


def remove_namespace(api: client.ApiClient, name: str) -> None:
    """Removes a namespace with all that is in it, where it is there, and waits until it is gone.

    Raises :class:`NotReady` where it is still there after :data:`REMOVAL_SECONDS`.
    """
    core = client.CoreV1Api(api)

    def phase() -> str | None:
        found = {item.metadata.name: item.status.phase for item in core.list_namespace().items}.get(name)
        if found == "Active":
            core.delete_namespace(name)
        return found

    until(phase, lambda found: found is None, seconds=REMOVAL_SECONDS, what=f"the end of the namespace {name}")

"""Which cluster to use."""

import os
from pathlib import Path

from contracts.errors import Mistake
from deploy.clusters.existing import Existing
from deploy.clusters.kind import Kind
from deploy.clusters.node.provider import Node
from deploy.clusters.provider import Access, Provider
from images.tools import docker_serves


def choose() -> Provider:
    """The cluster of ``KUBECONFIG``, else kind where a Docker daemon can pull images, else a node of packages.

    Raises :class:`Mistake` where there is none of them.
    """
    node = Node()
    kubeconfig = os.environ.get("KUBECONFIG")
    if kubeconfig and Path(kubeconfig).resolve() != node.kubeconfig.resolve():
        return Existing(Path(kubeconfig))
    if docker_serves():
        return Kind()
    if os.geteuid() or os.uname().sysname != "Linux":
        raise Mistake("no cluster: set KUBECONFIG, or start Docker for kind; a node of packages needs root on Linux")
    return node


def running(provider: Provider) -> Access:
    """How to reach a cluster. Raises :class:`Mistake` while it does not run."""
    if access := provider.access():
        return access
    raise Mistake(f"no cluster is up ({provider.describe()}); start it with `make up`")

"""Which cluster to use, and what every provider of one offers."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from contracts.command import CommandError
from images.tools import docker_serves

Report = Callable[[str, str, str], None]
"""Called with a part's name, its state and a detail."""


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach a cluster from this machine."""

    kubeconfig: Path
    ingress: str
    """Address of the Ingress controller, such as ``http://127.0.0.1:8080``; empty when it is not known."""
    programs: tuple[Path, ...] = ()
    """Folders of kubectl and Helm, for ``PATH``; empty where the user has them."""

    def url(self, host: str) -> str:
        """The address of an Ingress host in a browser on this machine."""
        scheme, _, address = self.ingress.partition("://")
        port = address.partition(":")[2]
        return f"{scheme or 'http'}://{host}{':' + port if port else ''}"


class Provider(Protocol):
    """A way to have a cluster."""

    @property
    def name(self) -> str:
        """``existing``, ``kind`` or ``node``."""

    def describe(self) -> str:
        """One line: which provider, and why."""

    def up(self, report: Report) -> Access:
        """Starts the cluster unless it runs, and waits until its node is Ready. Raises ``CommandError``."""

    def access(self) -> Access | None:
        """How to reach it; None while it does not run."""

    def load(self, names: Sequence[str], report: Report) -> None:
        """Makes images that were built known to the nodes; ``names`` are those of :data:`images.builder.IMAGES`."""

    def down(self) -> None:
        """Ends what :meth:`up` started."""


def choose() -> Provider:
    """The cluster of ``KUBECONFIG``, else kind where a Docker daemon can pull images, else a node of packages."""
    from cluster.existing import Existing
    from cluster.kind import Kind
    from cluster.node.provider import Node

    node = Node()
    kubeconfig = os.environ.get("KUBECONFIG")
    if kubeconfig and Path(kubeconfig).resolve() != node.kubeconfig.resolve():
        return Existing(Path(kubeconfig))
    if docker_serves():
        return Kind()
    if os.geteuid() or os.uname().sysname != "Linux":
        raise CommandError(
            "no cluster: set KUBECONFIG, or start Docker for kind; a node of packages needs root on Linux"
        )
    return node

"""What every provider of a cluster offers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from local.progress import Report


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

    @property
    def parts(self) -> Sequence[str]:
        """Names of what :meth:`up` reports about."""

    def describe(self) -> str:
        """One line: which provider, and why."""

    def up(self, report: Report) -> Access:
        """Starts the cluster unless it runs, and waits until its node is Ready.

        Raises :class:`PlatformError`, as :meth:`load` and :meth:`down` do where tests have it (see ``reservation``).
        """

    def access(self) -> Access | None:
        """How to reach it; None while it does not run."""

    def load(self, names: Sequence[str], report: Report) -> None:
        """Makes images that were built known to the nodes; ``names`` are those of :data:`images.builder.IMAGES`."""

    def down(self) -> None:
        """Ends what :meth:`up` started."""

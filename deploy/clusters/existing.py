"""A cluster that is already there."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kubernetes import client, config

from contracts.errors import Mistake, Unreachable
from deploy.clusters.provider import Access
from local.progress import Report


@dataclass(frozen=True)
class Existing:
    kubeconfig: Path
    name: str = "existing"
    parts: Sequence[str] = ("existing",)

    def describe(self) -> str:
        return f"existing cluster of KUBECONFIG={self.kubeconfig}"

    def up(self, report: Report) -> Access:
        report(self.name, "asking", str(self.kubeconfig))
        access = self.access()
        if not access:
            raise Unreachable(f"the cluster of {self.kubeconfig} does not answer; check `kubectl get nodes`")
        report(self.name, "ready", "")
        return access

    def access(self) -> Access | None:
        try:
            api = config.new_client_from_config(str(self.kubeconfig))
            client.CoreV1Api(api).list_node(_request_timeout=15)
        except Exception:  # whatever the kubeconfig's plugins raise: it cannot be reached
            return None
        return Access(self.kubeconfig, "")

    def load(self, names: Sequence[str], report: Report) -> None:
        raise Mistake("images reach an existing cluster through a registry: set REGISTRY=host/path")

    def down(self) -> None:
        """Nothing: it was there before."""

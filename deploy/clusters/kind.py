"""kind: a cluster in containers, where Docker can pull kind's node image."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kubernetes import config, utils

from deploy.clusters import reservation
from deploy.clusters.provider import Access
from deploy.tools import CONTOUR, MODULES, module_folder, tool
from images.builder import image_name
from local.install import cache
from local.programs import call
from local.progress import Report

CLUSTER = "ecommerce-lambda"
INGRESS_PORT = 8080
CONFIGURATION = f"""\
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
  - role: control-plane
    extraPortMappings:
      - {{containerPort: 80, hostPort: {INGRESS_PORT}, listenAddress: 127.0.0.1}}
"""


@dataclass(frozen=True)
class Kind:
    name: str = "kind"
    parts: Sequence[str] = ("kind",)

    @property
    def kubeconfig(self) -> Path:
        return cache() / "kind" / "kubeconfig"

    def describe(self) -> str:
        return "kind: KUBECONFIG is not set, and a Docker daemon can pull images"

    def up(self, report: Report) -> Access:
        reservation.require()
        report(self.name, "starting", "")
        self.kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        if CLUSTER not in self._run("get", "clusters").split():
            self._run(
                "create", "cluster", "--name", CLUSTER, "--config", "-", "--wait", "5m",
                "--kubeconfig", str(self.kubeconfig), given=CONFIGURATION,
            )  # fmt: skip
            self._install_ingress()
        self._run("export", "kubeconfig", "--name", CLUSTER, "--kubeconfig", str(self.kubeconfig))
        report(self.name, "ready", "")
        return Access(self.kubeconfig, f"http://127.0.0.1:{INGRESS_PORT}")

    def access(self) -> Access | None:
        if CLUSTER not in self._run("get", "clusters").split():
            return None
        return Access(self.kubeconfig, f"http://127.0.0.1:{INGRESS_PORT}")

    def load(self, names: Sequence[str], report: Report) -> None:
        reservation.require()
        for name in names:
            report(name, "loading", "")
            self._run("load", "docker-image", image_name(name), "--name", CLUSTER)
            report(name, "ready", "")

    def _install_ingress(self) -> None:
        """Contour, as its project publishes it; its Envoy takes the node's port 80."""
        manifest = module_folder(MODULES / "contour", CONTOUR) / "examples" / "render" / "contour.yaml"
        utils.create_from_yaml(config.new_client_from_config(str(self.kubeconfig)), str(manifest))

    def down(self) -> None:
        reservation.require()
        self._run("delete", "cluster", "--name", CLUSTER)

    def _run(self, *arguments: str, given: str | None = None) -> str:
        return call([str(tool("kind")), *arguments], f"kind {' '.join(arguments[:2])}", input=given)

"""A real Kubernetes node from package registries alone, in a network namespace of its own."""

import logging
import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import yaml
from kubernetes import client, config, utils

from clients import retry
from contracts.errors import Failed, Mistake, NotReady
from deploy.clusters import reservation
from deploy.clusters.node import containers, files, identity, network, packages
from deploy.clusters.node.forwarded import Forwarded
from deploy.clusters.node.programs import commands
from deploy.clusters.provider import Access
from deploy.tools import folder, tool
from images.builder import image_name, local_name
from images.tools import Buildah, layout_ref
from local.install import cache
from local.ports import Ports
from local.programs import call
from local.progress import Report
from local.site import ROOT, Site
from local.supervision import Program, Supervisor

# While the API server starts it warns of each attempt; `_until` says what is wrong when it does not.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
MANIFESTS = Path(__file__).parent / "manifests"
GO = ("kubernetes", "etcd", "coredns", "local-path-provisioner", "contour", "helm", "kube-network-policies")
READY_SECONDS = 120.0
PARTS = (*GO, "packages", "envoy", "node")


class Node:
    """The node, whether it runs or not. Its state is in the user's cache; only images outlive :meth:`down`."""

    name = "node"
    parts = PARTS

    def __init__(self) -> None:
        self._state = cache() / "node"
        self._supervisor = Supervisor(Site(self._state, Ports()))

    @property
    def kubeconfig(self) -> Path:
        return self._state / "pki" / "admin.kubeconfig"

    def describe(self) -> str:
        return "node of packages: KUBECONFIG is not set and no Docker daemon can pull images"

    def access(self) -> Access | None:
        if not self._supervisor.running():
            return None
        programs = (folder("kubernetes"), folder("helm"))
        return Access(self.kubeconfig, f"http://127.0.0.1:{Forwarded.of(self._state).ingress}", programs)

    def up(self, report: Report) -> Access:
        """As :class:`deploy.clusters.provider.Provider` says. Minutes the first time (Go builds), then seconds."""
        reservation.require()
        if access := self.access():
            report("node", "ready", "")
            return access
        if os.geteuid():
            raise Mistake("the node of packages needs root: it makes a network namespace and runs containers")
        self._install(report)
        self.down()
        if network.exists():
            raise Mistake(
                f"a node of another cache runs on this machine (network namespace {network.NAMESPACE}); end it there"
            )
        report("node", "starting", "")
        try:
            self._start(report)
        except BaseException:
            if not os.environ.get("KEEP"):
                self.down()
            raise
        report("node", "ready", "")
        access = self.access()
        assert access
        return access

    def load(self, names: Sequence[str], report: Report) -> None:
        """As :class:`deploy.clusters.provider.Provider` says; only layers that containerd lacks are sent to it."""
        reservation.require()
        layout = Buildah().layout
        for name in names:
            ref, image = layout_ref(local_name(name)), image_name(name)
            if containers.images(self._state).get(image) != layout.digest(ref):
                report(name, "loading", "")
                containers.import_layout(self._state, layout, ref, image)
            report(name, "ready", "")

    def down(self) -> None:
        """Ends all of it: pods, programs, mounts, the namespace. What a crash left is ended as well."""
        reservation.require()
        if not self.kubeconfig.parent.exists():  # nothing was started from this cache; another's node may run
            return
        if self._supervisor.running():
            self._supervisor.stop("kubelet")
            containers.remove_all(self._state)
        self._supervisor.shutdown()
        containers.kill_shims(self._state)
        containers.unmount(self._state)
        network.remove()
        for name in ("run", "pki", "conf", "volumes", "tmp"):
            shutil.rmtree(self._state / name, ignore_errors=True)
        shutil.rmtree("/run/ecommerce-node-cni", ignore_errors=True)

    def _install(self, report: Report) -> None:
        for name in GO:
            report(name, "building", "")
            folder(name)
            report(name, "ready", "")
        report("packages", "installing", "")
        packages.install()
        report("packages", "ready", "")
        report("envoy", "installing", "")
        packages.envoy()
        report("envoy", "ready", "")

    def _start(self, report: Report) -> None:
        for name in ("run", "pki", "conf", "volumes"):
            (self._state / name).mkdir(parents=True, exist_ok=True)
        forwarded = Forwarded.choose()
        forwarded.keep(self._state)
        identity.create(self._state / "pki", f"127.0.0.1:{forwarded.api}")
        files.write(self._state)
        self._bootstrap_envoy()
        network.create()
        programs = commands(self._state, forwarded)
        self._supervisor.start([self._program(name, command) for name, command in programs.items()])
        self._supervisor.launch("containerd")
        self._until("containerd", lambda: containers.ctr(self._state, "version"))
        containers.import_own(self._state)
        for name in ("etcd", "kube-apiserver", "forward"):
            self._supervisor.launch(name)
        api = config.new_client_from_config(str(self.kubeconfig))
        report("node", "waiting", "for the API server")
        self._until("kube-apiserver", lambda: self._api_ready(api))
        self._apply(api, MANIFESTS / "system.yaml")
        self._apply(api, folder("contour") / "01-crds.yaml")
        # Contour ends when a kind that it watches is not served yet.
        self._until("kube-apiserver", lambda: self._crds_served(api))
        for name in programs:
            if not self._supervisor.process(name).running:
                self._supervisor.launch(name)
        report("node", "waiting", "for the kubelet")
        self._until("kubelet", lambda: self._node_ready(api))
        for name in programs:
            self._until(name, partial(self._running, name))

    def _bootstrap_envoy(self) -> None:
        command = [
            str(tool("contour")), "bootstrap", "--xds-address=127.0.0.1", "--xds-port=8001",
            f"--admin-address={self._state}/run/envoy.sock", str(self._state / "conf" / "envoy.json"),
        ]  # fmt: skip
        call(command, "contour bootstrap")

    def _program(self, name: str, command: list[str]) -> Program:
        return Program(
            name=name,
            command=command,
            environment={"PYTHONPATH": str(ROOT)},
            directory=self._state,
            log=self._state / "logs" / f"{name}.log",
            stop_group=name != "containerd",
        )

    def _running(self, name: str) -> None:
        if not self._supervisor.process(name).running:
            raise NotReady(f"{name} does not run")

    def _api_ready(self, api: client.ApiClient) -> None:
        client.CoreV1Api(api).read_namespace("kube-system", _request_timeout=5)

    def _crds_served(self, api: client.ApiClient) -> None:
        for crd in client.ApiextensionsV1Api(api).list_custom_resource_definition(_request_timeout=5).items:
            conditions = {item.type: item.status for item in crd.status.conditions or []}
            if conditions.get("Established") != "True":
                raise NotReady(f"{crd.metadata.name} is not served yet")

    def _node_ready(self, api: client.ApiClient) -> None:
        (node,) = client.CoreV1Api(api).list_node(_request_timeout=5).items
        conditions = {item.type: item for item in node.status.conditions or []}
        if conditions["Ready"].status != "True":
            raise NotReady(conditions["Ready"].message)

    def _apply(self, api: client.ApiClient, manifests: Path) -> None:
        for document in yaml.safe_load_all(manifests.read_text()):
            if document:
                utils.create_from_dict(api, document)

    def _until(self, name: str, check: Callable[[], object]) -> None:
        """Repeats a check while the program runs.

        Raises :class:`NotReady` with the reason and the program's log after a while, :class:`Failed` when it has ended.
        """

        def ask() -> bool:
            try:
                check()
            except Exception as error:  # connection errors of several kinds, until it serves
                kind = NotReady if self._supervisor.process(name).running else Failed
                raise kind(f"{name} is not ready: {error}; its log is {self._state}/logs/{name}.log") from error
            return True

        retry.until(ask, seconds=READY_SECONDS, pause=0.3, what=name)

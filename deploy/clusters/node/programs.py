"""The command line of each of the node's programs."""

import sys
from pathlib import Path

from deploy.clusters.node.files import HELPER_IMAGE
from deploy.clusters.node.forwarded import Forwarded
from deploy.clusters.node.identity import API_PORT, NODE
from deploy.clusters.node.network import ADDRESS, NAMESPACE, PODS, SERVICES, inside
from deploy.clusters.node.packages import envoy
from deploy.tools import folder, tool


def commands(state: Path, forwarded: Forwarded) -> dict[str, list[str]]:
    """The programs by name, in the order of their start. Only the forwarder begins outside the namespace."""
    pki, conf = state / "pki", state / "conf"
    kubernetes = folder("kubernetes")

    def kubeconfig(name: str) -> str:
        return f"--kubeconfig={pki}/{name}.kubeconfig"

    programs = {
        "containerd": ["containerd", f"--config={conf}/containerd.toml"],
        "etcd": [
            str(tool("etcd")),
            f"--data-dir={state}/run/etcd",
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ],
        "kube-apiserver": [
            f"{kubernetes}/kube-apiserver",
            f"--advertise-address={ADDRESS}",
            f"--secure-port={API_PORT}",
            "--etcd-servers=http://127.0.0.1:2379",
            f"--service-cluster-ip-range={SERVICES}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={pki}/service-accounts.key",
            f"--service-account-signing-key-file={pki}/service-accounts.key",
            f"--tls-cert-file={pki}/apiserver.crt",
            f"--tls-private-key-file={pki}/apiserver.key",
            f"--client-ca-file={pki}/ca.crt",
            f"--kubelet-client-certificate={pki}/kubelet-client.crt",
            f"--kubelet-client-key={pki}/kubelet-client.key",
            "--kubelet-preferred-address-types=InternalIP",
            "--endpoint-reconciler-type=lease",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            f"--cert-dir={state}/run/apiserver",
        ],
        "kube-controller-manager": [
            f"{kubernetes}/kube-controller-manager",
            kubeconfig("controller-manager"),
            f"--service-account-private-key-file={pki}/service-accounts.key",
            f"--root-ca-file={pki}/ca.crt",
            "--use-service-account-credentials",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--cert-dir={state}/run/controller-manager",
        ],
        "kube-scheduler": [
            f"{kubernetes}/kube-scheduler",
            kubeconfig("scheduler"),
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--cert-dir={state}/run/scheduler",
        ],
        "kubelet": [
            f"{kubernetes}/kubelet",
            f"--config={conf}/kubelet.json",
            kubeconfig("kubelet"),
            f"--hostname-override={NODE}",
            f"--node-ip={ADDRESS}",
            f"--root-dir={state}/run/kubelet",
        ],
        "kube-proxy": [
            f"{kubernetes}/kube-proxy",
            kubeconfig("proxy"),
            f"--hostname-override={NODE}",
            f"--cluster-cidr={PODS}",
            "--proxy-mode=iptables",
            "--conntrack-max-per-core=0",
            "--conntrack-min=0",
            "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
        ],
        "coredns": [str(tool("coredns")), f"-conf={conf}/Corefile"],
        "local-path-provisioner": [
            str(tool("local-path-provisioner")),
            "start",
            f"--config={conf}/local-path.json",
            "--namespace=local-path-storage",
            f"--helper-image={HELPER_IMAGE}",
            f"--helper-pod-file={conf}/helper-pod.yaml",
            f"--kubeconfig={pki}/admin-inside.kubeconfig",
        ],
        "contour": [
            str(tool("contour")),
            "serve",
            f"--kubeconfig={pki}/admin-inside.kubeconfig",
            "--no-incluster",
            "--insecure",
            "--xds-address=127.0.0.1",
            "--xds-port=8001",
            "--envoy-service-http-address=0.0.0.0",
            "--envoy-service-http-port=80",
            "--disable-leader-election",
        ],
        "envoy": [
            str(envoy()),
            "--config-path",
            f"{conf}/envoy.json",
            "--service-cluster",
            "node",
            "--service-node",
            "node",
            "--log-level",
            "warn",
            "--concurrency",
            "1",
        ],
    }
    forward = [
        sys.executable,
        "-m",
        "deploy.clusters.node.forward",
        f"/run/netns/{NAMESPACE}",
        f"{forwarded.api}={ADDRESS}:{API_PORT}",
        f"{forwarded.ingress}={ADDRESS}:80",
    ]
    return {**{name: inside(*command) for name, command in programs.items()}, "forward": forward}

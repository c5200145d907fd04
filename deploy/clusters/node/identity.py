"""Certificates and kubeconfigs of the node's components, signed by an authority that is made for each start."""

import json
from pathlib import Path

import trustme

from deploy.clusters.node.network import ADDRESS, API_SERVICE

API_PORT = 6443
CLUSTER_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
NODE = "node"
USERS = {
    "admin": ("admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", None),
    "scheduler": ("system:kube-scheduler", None),
    "proxy": ("system:kube-proxy", None),
    "kubelet": (f"system:node:{NODE}", "system:nodes"),
}
"""Common name and organisation by which the API server knows each component. Source:
https://kubernetes.io/docs/setup/best-practices/certificates/"""


def create(folder: Path, forwarded: str) -> None:
    """Writes certificates, keys and a kubeconfig each; admin's reaches the API server at ``forwarded`` (host:port)."""
    authority = trustme.CA(organization_name="ecommerce-lambda node")
    authority.cert_pem.write_to_path(folder / "ca.crt")
    names = ("localhost", "127.0.0.1", ADDRESS, API_SERVICE, NODE, *CLUSTER_NAMES)
    _write(folder, "apiserver", authority.issue_cert(*names))
    _write(folder, "service-accounts", authority.issue_cert("service-accounts"))
    _write(
        folder,
        "kubelet-client",
        authority.issue_cert("apiserver", common_name="apiserver", organization_name="system:masters"),
    )
    for name, (common_name, organisation) in USERS.items():
        leaf = authority.issue_cert(ADDRESS, NODE, common_name=common_name, organization_name=organisation)
        _write(folder, name, leaf)
        server = forwarded if name == "admin" else f"{ADDRESS}:{API_PORT}"
        (folder / f"{name}.kubeconfig").write_text(_kubeconfig(folder, name, server))
    (folder / "admin-inside.kubeconfig").write_text(_kubeconfig(folder, "admin", f"{ADDRESS}:{API_PORT}"))


def _write(folder: Path, name: str, leaf: trustme.LeafCert) -> None:
    (folder / f"{name}.crt").write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(folder / f"{name}.key")
    (folder / f"{name}.key").chmod(0o600)


def _kubeconfig(folder: Path, name: str, server: str) -> str:
    cluster = {"server": f"https://{server}", "certificate-authority": str(folder / "ca.crt")}
    user = {"client-certificate": str(folder / f"{name}.crt"), "client-key": str(folder / f"{name}.key")}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "node", "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "node", "context": {"cluster": "node", "user": name}}],
            "current-context": "node",
        },
        indent=1,
    )

"""The node's network namespace: an address on a bridge device, a route to nowhere, nothing beyond it.

Pods reach each other and the node; they cannot reach anything outside, which also proves that nothing is pulled.
"""

from contextlib import suppress
from pathlib import Path

from contracts.errors import PlatformError
from local.programs import call

NAMESPACE = "ecommerce-node"
DEVICE = "node0"
ADDRESS = "10.231.0.2"
GATEWAY = "10.231.0.1"
PODS = "10.244.0.0/16"
SERVICES = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"
POLICIES_QUEUE = 100
"""From which kube-network-policies takes packets unless told otherwise."""
# It makes such rules itself, but with an expression of nftables (NFT_QUEUE) that not every kernel has. Judged is the
# first packet of a connection to a pod, unless the node itself sends it; until somebody judges, all pass.
JUDGED = (
    ("-m", "owner", "--uid-owner", "0", "-j", "RETURN"),
    ("-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "RETURN"),
    ("-d", PODS, "-j", "NFQUEUE", "--queue-num", str(POLICIES_QUEUE), "--queue-bypass"),
)


def exists() -> bool:
    return Path(f"/run/netns/{NAMESPACE}").exists()


def create() -> None:
    """Makes the namespace anew."""
    remove()
    _ip("netns", "add", NAMESPACE)
    for command in (
        ("link", "set", "lo", "up"),
        ("link", "add", DEVICE, "type", "bridge"),
        ("address", "add", f"{ADDRESS}/24", "dev", DEVICE),
        ("link", "set", DEVICE, "up"),
        # Without a default route the kernel refuses packets to Service addresses before kube-proxy's rules see them.
        ("route", "add", "default", "via", GATEWAY, "dev", DEVICE),
    ):
        _ip("-n", NAMESPACE, *command)
    for setting in ("net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"):
        with suppress(PlatformError):  # the second only where the kernel has it as a module
            _run("nsenter", f"--net=/run/netns/{NAMESPACE}", "sysctl", "-qw", f"{setting.replace('/', '.')}=1")
    for rule in JUDGED:
        _run("nsenter", f"--net=/run/netns/{NAMESPACE}", "iptables", "-t", "mangle", "-A", "POSTROUTING", *rule)


def remove() -> None:
    if exists():
        _ip("netns", "delete", NAMESPACE)


def inside(*command: str) -> list[str]:
    """A command in the namespace. Not ``ip netns exec``: that remounts /sys, and the kubelet finds no cgroups there."""
    return ["nsenter", f"--net=/run/netns/{NAMESPACE}", "sh", "-c", 'umask 022; exec "$@"', "sh", *command]


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(*command: str) -> None:
    call(command, " ".join(command))

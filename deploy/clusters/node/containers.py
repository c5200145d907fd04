"""containerd's images and what is left of its containers."""

import hashlib
import io
import json
import subprocess
import tarfile
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE

import psutil

from contracts.errors import Failed, PlatformError
from deploy.clusters.node.files import HELPER_IMAGE, PAUSE_IMAGE, POLICIES_IMAGE
from deploy.tools import tool
from images.layout import Layout
from local.programs import call

CTR_NAMESPACE = "k8s.io"


def ctr(state: Path, *arguments: str) -> str:
    """Runs ``ctr`` on this node's containerd. Raises :class:`PlatformError` when it fails."""
    return call(_command(state, *arguments), f"ctr {' '.join(arguments[:2])}")


def _command(state: Path, *arguments: str) -> list[str]:
    return ["ctr", "--address", f"{state}/run/containerd.sock", "--namespace", CTR_NAMESPACE, *arguments]


def import_own(state: Path) -> None:
    """The small images that the node itself needs.

    What holds a pod's namespaces, a shell with mkdir, and what enforces NetworkPolicies.
    """
    for image, program, *entrypoint in (
        (PAUSE_IMAGE, Path("/usr/bin/catatonit"), "/pause", "-P"),
        (HELPER_IMAGE, Path("/bin/busybox"), "/bin/busybox"),
        (POLICIES_IMAGE, tool("kube-network-policies"), "/policies"),
    ):
        ctr(state, "images", "import", str(_archive(state, image, program, entrypoint)))


def images(state: Path) -> dict[str, str]:
    """The manifest's digest of every image by its name."""
    lines = ctr(state, "images", "list").splitlines()[1:]
    return {name: digest for name, _, digest, *_ in (line.split() for line in lines)}


def import_layout(state: Path, layout: Layout, ref: str, name: str) -> None:
    """Makes an image of an OCI layout known to the kubelet as ``name``, without sending what is there already."""
    known = set(ctr(state, "content", "list", "--quiet").split())
    with subprocess.Popen(_command(state, "images", "import", "-"), stdin=PIPE, stdout=DEVNULL, stderr=PIPE) as process:
        assert process.stdin
        assert process.stderr
        with suppress(BrokenPipeError), process.stdin:
            layout.write(ref, name, known, process.stdin)
        error = process.stderr.read().decode()
    if process.returncode:
        raise Failed(f"containerd did not take the image {name}: {error.strip()[-500:]}")


def _archive(state: Path, image: str, program: Path, entrypoint: list[str]) -> Path:
    """A docker archive of an image with one program and its links.

    Source of the layout: https://github.com/moby/docker-image-spec/blob/main/spec.md
    """
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        info = tar.gettarinfo(str(program.resolve()), entrypoint[0].lstrip("/"))
        info.mode, info.uid, info.gid = 0o755, 0, 0
        with program.open("rb") as file:
            tar.addfile(info, file)
        for applet in ("sh", "mkdir", "rm", "chmod") if image == HELPER_IMAGE else ():
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    data = layer.getvalue()
    configuration = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": entrypoint, "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(data).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [image], "Layers": ["layer.tar"]}]
    archive = state / "run" / f"{image.rpartition('/')[2].replace(':', '-')}.tar"
    with tarfile.open(archive, "w") as tar:
        for name, blob in (
            ("config.json", json.dumps(configuration).encode()),
            ("layer.tar", data),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(blob)
            tar.addfile(info, io.BytesIO(blob))
    return archive


def remove_all(state: Path) -> None:
    """Ends every container and forgets it; the images stay."""
    with suppress(PlatformError):
        for task in ctr(state, "tasks", "list", "--quiet").split():
            with suppress(PlatformError):
                ctr(state, "tasks", "kill", "--signal", "SIGKILL", "--all", task)
        for task in ctr(state, "tasks", "list", "--quiet").split():
            with suppress(PlatformError):
                ctr(state, "tasks", "delete", "--force", task)
        containers = ctr(state, "containers", "list", "--quiet").split()
        if containers:
            ctr(state, "containers", "delete", *containers)


def kill_shims(state: Path) -> None:
    """Kills what runs below this containerd's shims, and the shims: what a crash leaves."""
    socket = f"{state}/run/containerd.sock"
    shims = [
        process
        for process in psutil.process_iter(["name", "cmdline"])
        if (process.info["name"] or "").startswith("containerd-shim") and socket in (process.info["cmdline"] or [])
    ]
    for shim in shims:
        with suppress(psutil.NoSuchProcess):
            for process in [*shim.children(recursive=True), shim]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
    psutil.wait_procs(shims, timeout=10)


def unmount(state: Path) -> None:
    """Undoes every mount below the state folder, the deepest first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted((point for point in points if point.startswith(f"{state}/")), reverse=True):
        subprocess.run(["umount", "--lazy", point], capture_output=True)

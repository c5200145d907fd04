"""The programs that build images: docker where its daemon can pull Debian's image, else buildah.

Where buildah cannot pull Debian's image, a root file system of Debian packages stands in.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

from contracts.errors import Failed, NotInstalled
from images.layout import Layout
from local.install import cache as cache_folder
from local.programs import call
from local.site import ROOT

DEBIAN = re.findall(r"^ARG ROOT_IMAGE=(\S+)$", (ROOT / "images" / "base" / "Dockerfile").read_text(), re.MULTILINE)[0]
"""Debian's slim image, by its digest."""
DEBIAN_MIRROR = "http://deb.debian.org/debian"
PULL_SECONDS = 300
SPARE = ("var/lib/apt/lists", "var/cache/apt", "var/log", "usr/share/doc", "usr/share/man", "usr/share/locale")
"""What debootstrap leaves that no image needs; Debian's own slim image has none of it either."""


class Tool(Protocol):
    """Builds images and keeps them. ``image`` is a name such as ``localhost/ecommerce-lambda/kafka:2a06174f23d9``."""

    def exists(self, image: str) -> bool:
        """Whether other images can be built on it."""

    def build(self, dockerfile: Path, image: str, options: Sequence[str], downloads: bool) -> None:
        """Builds an image of this checkout; ``downloads`` gives it this machine's certificates and caches."""

    def keep(self, image: str, name: str) -> None:
        """Makes it ready for clusters, where it is called ``name``, and drops what other sources made of it."""

    def kept(self, image: str) -> bool:
        """Whether :meth:`keep` has it."""

    def size(self, image: str) -> int:
        """Bytes of its layers, unpacked."""

    def push(self, image: str, target: str) -> None:
        """Pushes what was kept to a registry."""

    def root_image(self) -> str:
        """What the base stands on."""


class Buildah:
    """buildah as root, with a store of its own in the user's cache."""

    def __init__(self) -> None:
        store = cache_folder() / "buildah"
        self._command = ["buildah", "--root", str(store / "storage"), "--runroot", str(store / "run")]
        self.layout = Layout(cache_folder() / "images")

    def exists(self, image: str) -> bool:
        return not subprocess.run([*self._command, "inspect", "--type", "image", image], capture_output=True).returncode

    def build(self, dockerfile: Path, image: str, options: Sequence[str], downloads: bool) -> None:
        mounts = _mounts() if downloads else []
        command = [*self._command, "bud", "--isolation=chroot", "--layers", *mounts, *options]
        _run([*command, "-t", image, "-f", str(dockerfile), str(ROOT)])

    def keep(self, image: str, name: str) -> None:
        self.layout.folder.mkdir(parents=True, exist_ok=True)
        target = f"oci:{self.layout.folder}:{layout_ref(image)}"
        push = [*self._command, "push", "--quiet", "--compression-level=1", image, target]
        _run(push)
        # buildah compresses what it writes, every time; an uncompressed layer that it finds there it just takes.
        if self.layout.unpack(layout_ref(image)):
            _run(push)
        family = layout_ref(image).rpartition("-")[0]
        others = [ref for ref in self.layout.refs() if ref.rpartition("-")[0] == family and ref != layout_ref(image)]
        self.layout.remove(others)
        repository = image.rpartition(":")[0]
        self._forget([f"{repository}:{ref.rpartition('-')[2]}" for ref in others])

    def kept(self, image: str) -> bool:
        return self.layout.whole(layout_ref(image))

    def size(self, image: str) -> int:
        return self.layout.size(layout_ref(image))

    def push(self, image: str, target: str) -> None:
        plain = ["--tls-verify=false"] if _on_loopback(target) else []
        with tempfile.TemporaryDirectory() as folder:
            # buildah makes a name of the path, in which no folder may begin with a dot.
            layout = Path(folder) / "images"
            layout.symlink_to(self.layout.folder)
            pull = [*self._command, "pull", "--quiet", f"oci:{layout}:{layout_ref(image)}"]
            local = call(pull, f"taking {image} from the layout")
            _run([*self._command, "push", *plain, local.split()[-1], f"docker://{target}"])
            self._forget([f"localhost{layout}"])

    def root_image(self) -> str:
        name = "localhost/ecommerce-lambda/root:bookworm"
        if self.exists(name):
            return name
        if _succeeds(*self._command, "pull", "--quiet", DEBIAN):
            return DEBIAN
        if not shutil.which("debootstrap"):
            raise NotInstalled(f"{DEBIAN} cannot be pulled; install debootstrap to make a root file system instead")
        with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
            _run(["debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", folder, DEBIAN_MIRROR])
            for spare in SPARE:
                for path in (Path(folder) / spare).iterdir():
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            working = call([*self._command, "from", "scratch"], "buildah from scratch").strip()
            _run([*self._command, "add", "--quiet", working, f"{folder}/", "/"])
            _run([*self._command, "commit", "--quiet", "--rm", working, name])
        return name

    def _forget(self, images: Sequence[str]) -> None:
        for image in images:
            if self.exists(image):
                _run([*self._command, "rmi", image])


class Docker:
    """docker, where its daemon can pull Debian's image."""

    def exists(self, image: str) -> bool:
        return not subprocess.run(["docker", "image", "inspect", image], capture_output=True).returncode

    def build(self, dockerfile: Path, image: str, options: Sequence[str], downloads: bool) -> None:
        _run(["docker", "build", *options, "-t", image, "-f", str(dockerfile), str(ROOT)])

    def keep(self, image: str, name: str) -> None:
        _run(["docker", "tag", image, name])

    def kept(self, image: str) -> bool:
        return self.exists(image)

    def size(self, image: str) -> int:
        command = ["docker", "image", "inspect", "--format", "{{.Size}}", image]
        return int(call(command, f"asking for the size of {image}"))

    def push(self, image: str, target: str) -> None:
        _run(["docker", "tag", image, target])
        _run(["docker", "push", "--quiet", target])

    def root_image(self) -> str:
        return DEBIAN


def _on_loopback(target: str) -> bool:
    """Whether an image's registry is this machine's, which speaks plain HTTP to Docker and containerd as well."""
    return target.partition("/")[0].rpartition(":")[0] in ("localhost", "127.0.0.1")


@cache
def tool() -> Tool:
    """docker where it serves, else buildah. Raises :class:`PlatformError` where there is neither."""
    if docker_serves():
        return Docker()
    if shutil.which("buildah"):
        return Buildah()
    raise NotInstalled(f"no Docker daemon can pull {DEBIAN} and buildah was not found; install one of them")


@cache
def docker_serves() -> bool:
    """Whether a Docker daemon answers that has Debian's image, or can pull it: without a registry it builds nothing."""
    if not shutil.which("docker") or not _succeeds("docker", "info"):
        return False
    return _succeeds("docker", "image", "inspect", DEBIAN) or _succeeds("docker", "pull", "--quiet", DEBIAN)


def layout_ref(image: str) -> str:
    """What an image of the builder's store is called in the layout: ``kafka-2a06174f23d9``."""
    return image.rpartition("/")[2].replace(":", "-")


def _mounts() -> list[str]:
    """What downloads trusts what this machine trusts, and shares its caches."""
    certificates = Path("/etc/ssl/certs")
    maven = Path.home() / ".m2" / "repository"
    uv = Path(os.environ.get("UV_CACHE_DIR") or Path.home() / ".cache" / "uv")
    for folder in (maven, uv):
        folder.mkdir(parents=True, exist_ok=True)
    places = {
        f"{certificates}:{certificates}": "ro",
        f"{maven}:/root/.m2/repository": "rw",
        f"{uv}:/root/.cache/uv": "rw",
    }
    return [f"--volume={place}:{mode}" for place, mode in places.items() if Path(place.partition(":")[0]).exists()]


def _succeeds(*command: str) -> bool:
    """Whether a command exits with 0 within the time that pulling an image may take."""
    try:
        return not subprocess.run(command, capture_output=True, timeout=PULL_SECONDS).returncode
    except subprocess.TimeoutExpired:
        return False


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode:
        last = "\n".join(f"  {line}" for line in done.stdout.splitlines()[-15:])
        raise Failed(f"{command[0]} failed with exit code {done.returncode}:\n{last}")

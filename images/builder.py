"""Builds the images with docker, or with buildah where no Docker daemon answers.

An image is built again only when its Dockerfile, what that copies, or the image below it has changed; the result is
kept as an archive in the user's cache. Where Debian's image cannot be pulled, a root file system of Debian packages
stands in.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from contracts.command import CommandError
from local.install import cache as cache_folder

ROOT = Path(__file__).resolve().parents[1]
IMAGES = (
    "kafka",
    "zookeeper",
    "hadoop",
    "hbase",
    "hive-metastore",
    "postgres",
    "spark",
    "tasks",
    "airflow",
    "generator",
)
"""What the charts name; ``base`` stands below them all, and ``build`` builds them."""
DEBIAN = "docker.io/library/debian:bookworm-slim"
DEBIAN_MIRROR = "http://deb.debian.org/debian"
VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
Report = Callable[[str, str, str], None]
"""Called with an image's name, its state and a detail."""


@dataclass(frozen=True, slots=True)
class Built:
    """An image in the cache. ``seconds`` is what building it took just now, 0 when it was there."""

    name: str
    archive: Path
    bytes: int
    seconds: float


def image_name(name: str, registry: str = "docker.io") -> str:
    """``docker.io/ecommerce-lambda/kafka:0.1.0``"""
    return f"{registry}/ecommerce-lambda/{name}:{VERSION}"


def dockerfile(name: str) -> Path:
    return ROOT / "images" / name / "Dockerfile"


def parents(name: str) -> list[str]:
    """The images below an image, as its Dockerfile's ``ARG BASE_IMAGE`` and ``ARG BUILD_IMAGE`` name them."""
    return [
        found.lower() for found in re.findall(r"^ARG (BASE|BUILD)_IMAGE$", dockerfile(name).read_text(), re.MULTILINE)
    ]


def digest(name: str) -> str:
    """Of all that goes into an image: its Dockerfile, what it copies, and the images below it."""
    total = hashlib.sha256()
    text = dockerfile(name).read_text()
    total.update(text.encode())
    for sources in re.findall(r"^COPY (?!--)(.+) \S+$", text, re.MULTILINE):
        for source in sources.split():
            for file in _files(ROOT / source):
                total.update(f"{file.relative_to(ROOT)} {file.stat().st_mode & 0o111}\n".encode() + file.read_bytes())
    for parent in parents(name):
        total.update(digest(parent).encode())
    return total.hexdigest()[:12]


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)


def archive(name: str) -> Path:
    """Where an image of the present sources is, once it is built."""
    return cache_folder() / "images" / f"{name}-{digest(name)}.tar"


def archives(names: Sequence[str] = IMAGES) -> list[Path]:
    return [archive(name) for name in names]


def build(names: Sequence[str], report: Report) -> list[Built]:
    """Builds what is not in the cache. Raises ``CommandError`` with the last lines of a build that fails."""
    archive("base").parent.mkdir(parents=True, exist_ok=True)
    made: dict[str, float] = {}
    for name in names:
        _build(name, report, made)
    return [Built(name, archive(name), archive(name).stat().st_size, made.get(name, 0.0)) for name in names]


def _build(name: str, report: Report, made: dict[str, float]) -> None:
    if name in made or (name != "build" and archive(name).exists()):
        report(name, "ready", "")
        return
    for parent in parents(name):
        if not tool().exists(_local(parent)):
            _build(parent, report, made)
    report(name, "building", "")
    began = time.monotonic()
    arguments = {f"{parent.upper()}_IMAGE": _local(parent) for parent in parents(name)}
    tool().build(name, _local(name), arguments or {"ROOT_IMAGE": tool().root_image()})
    if name != "build":
        _clear(name)
        report(name, "packing", "")
        tool().save(_local(name), archive(name))
    made[name] = time.monotonic() - began
    report(name, "ready", f"{made[name]:.1f} s")


def _local(name: str) -> str:
    """The name under which an image of the present sources stands in the builder's store."""
    return f"localhost/ecommerce-lambda/{name}:{digest(name)}"


def _clear(name: str) -> None:
    """Removes archives of this image that other sources made."""
    for old in archive(name).parent.glob(f"{name}-????????????.tar"):
        old.unlink()


def push(names: Sequence[str], registry: str) -> None:
    """Pushes the images to ``registry``, as ``registry/ecommerce-lambda/NAME:VERSION``; log in there before."""
    for name in names:
        tool().push(archive(name), image_name(name, registry))


class Buildah:
    """buildah as root, with a store of its own in the user's cache."""

    def __init__(self) -> None:
        store = cache_folder() / "buildah"
        self._command = ["buildah", "--root", str(store / "storage"), "--runroot", str(store / "run")]

    def exists(self, image: str) -> bool:
        return not subprocess.run([*self._command, "inspect", "--type", "image", image], capture_output=True).returncode

    def build(self, name: str, image: str, arguments: dict[str, str]) -> None:
        values = [f"--build-arg={key}={value}" for key, value in arguments.items()]
        # What downloads trusts what this machine trusts, and shares its caches.
        mounts = _mounts() if "build" in parents(name) else []
        command = [*self._command, "bud", "--isolation=chroot", "--layers", *mounts, *values]
        _run([*command, "-t", image, "-f", str(dockerfile(name)), str(ROOT)])

    def save(self, image: str, archive: Path) -> None:
        name = image_name(image.rpartition("/")[2].partition(":")[0])
        draft = archive.with_suffix(".part")
        draft.unlink(missing_ok=True)
        _run([*self._command, "push", "--quiet", image, f"docker-archive:{draft}:{name}"])
        draft.rename(archive)

    def push(self, archive: Path, image: str) -> None:
        local = subprocess.run(
            [*self._command, "pull", "--quiet", f"docker-archive:{archive}"], capture_output=True, text=True, check=True
        )
        _run([*self._command, "push", local.stdout.split()[-1], f"docker://{image}"])

    def root_image(self) -> str:
        """Debian's slim image where it can be pulled, else one of Debian packages."""
        name = "localhost/ecommerce-lambda/root:bookworm"
        if self.exists(name):
            return name
        if not subprocess.run([*self._command, "pull", "--quiet", DEBIAN], capture_output=True, timeout=300).returncode:
            return DEBIAN
        if not shutil.which("debootstrap"):
            raise CommandError(f"{DEBIAN} cannot be pulled; install debootstrap to make a root file system instead")
        with tempfile.TemporaryDirectory(dir=archive("base").parent) as folder:
            _run(["debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", folder, DEBIAN_MIRROR])
            container = subprocess.run([*self._command, "from", "scratch"], capture_output=True, text=True, check=True)
            working = container.stdout.strip()
            _run([*self._command, "add", "--quiet", working, f"{folder}/", "/"])
            _run([*self._command, "commit", "--quiet", "--rm", working, name])
        return name


class Docker:
    """docker, where its daemon answers."""

    def exists(self, image: str) -> bool:
        return not subprocess.run(["docker", "image", "inspect", image], capture_output=True).returncode

    def build(self, name: str, image: str, arguments: dict[str, str]) -> None:
        values = [f"--build-arg={key}={value}" for key, value in arguments.items()]
        _run(["docker", "build", *values, "-t", image, "-f", str(dockerfile(name)), str(ROOT)])

    def save(self, image: str, archive: Path) -> None:
        name = image_name(image.rpartition("/")[2].partition(":")[0])
        _run(["docker", "tag", image, name])
        draft = archive.with_suffix(".part")
        _run(["docker", "save", "--output", str(draft), name])
        draft.rename(archive)

    def push(self, archive: Path, image: str) -> None:
        _run(["docker", "load", "--quiet", "--input", str(archive)])
        _run(["docker", "tag", image_name(image.rpartition("/")[2].partition(":")[0]), image])
        _run(["docker", "push", "--quiet", image])

    def root_image(self) -> str:
        return DEBIAN


@cache
def tool() -> Buildah | Docker:
    """docker where a daemon answers, else buildah. Raises ``CommandError`` where there is neither."""
    if shutil.which("docker") and not subprocess.run(["docker", "info"], capture_output=True).returncode:
        return Docker()
    if shutil.which("buildah"):
        return Buildah()
    raise CommandError("no Docker daemon answers and buildah was not found; install Debian's buildah or start Docker")


def _mounts() -> list[str]:
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


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode:
        last = "\n".join(f"  {line}" for line in done.stdout.splitlines()[-15:])
        raise CommandError(f"{command[0]} failed with exit code {done.returncode}:\n{last}")

"""Builds the images with docker, or with buildah where no Docker daemon can pull images.

An image is built again only when its Dockerfile, what that copies, or the image below it has changed. Docker keeps what
it built in its daemon, buildah in an OCI layout in the user's cache.
"""

import hashlib
import re
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from images.tools import tool
from local.install import cache, locked
from local.progress import Report
from local.site import ROOT

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
    "serving",
)
"""What the charts name; ``base`` stands below them all, and ``build`` builds them."""
VERSION: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@dataclass(frozen=True, slots=True)
class Built:
    """An image that is built. ``seconds`` is what building it took just now, 0 when it was there."""

    name: str
    bytes: int
    seconds: float


def image_name(name: str, registry: str = "docker.io") -> str:
    """``docker.io/ecommerce-lambda/kafka:0.1.0``"""
    return f"{registry}/ecommerce-lambda/{name}:{VERSION}"


def content_tag(name: str) -> str:
    """``0.1.0-1a2b3c4d5e6f``: another one whenever something that goes into the image is another."""
    return f"{VERSION}-{digest(name)}"


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


def build(names: Sequence[str], report: Report) -> list[Built]:
    """Builds what is not there yet; waits while another process builds.

    Raises :class:`PlatformError` with the last lines of a build that fails.
    """
    made: dict[str, float] = {}
    with locked(cache() / "images.lock"):
        for name in names:
            _build(name, report, made)
    return [Built(name, tool().size(local_name(name)), made.get(name, 0.0)) for name in names]


def _build(name: str, report: Report, made: dict[str, float]) -> None:
    image = local_name(name)
    if name in made or (name in IMAGES and tool().kept(image)):
        report(name, "ready", "")
        return
    for parent in parents(name):
        if not tool().exists(local_name(parent)):
            _build(parent, report, made)
    report(name, "building", "")
    began = time.monotonic()
    below = {parent: local_name(parent) for parent in parents(name)} or {"root": tool().root_image()}
    options = [f"--build-arg={parent.upper()}_IMAGE={known}" for parent, known in below.items()]
    tool().build(dockerfile(name), image, options, downloads=name == "build" or "build" in below)
    if name in IMAGES:
        report(name, "packing", "")
        tool().keep(image, image_name(name))
    made[name] = time.monotonic() - began
    report(name, "ready", f"{made[name]:.1f} s")


def local_name(name: str) -> str:
    """The name under which an image of the present sources stands in the builder's store."""
    return f"localhost/ecommerce-lambda/{name}:{digest(name)}"


def push(names: Sequence[str], registry: str) -> None:
    """Pushes the images to ``registry``, as ``registry/ecommerce-lambda/NAME`` with two tags; log in there before.

    The version, which the next push moves, and the :func:`content_tag`, which stays what it is.
    """
    for name in names:
        for tag in (VERSION, content_tag(name)):
            tool().push(local_name(name), f"{registry}/ecommerce-lambda/{name}:{tag}")

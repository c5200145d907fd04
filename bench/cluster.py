"""What the benchmarks on a cluster share: the cluster that ``make up`` takes, and a namespace that is theirs."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from contracts.errors import Mistake
from deploy import pods
from deploy.clusters.choice import choose
from deploy.clusters.provider import Access, Provider
from deploy.install import VALUES, install, remove_namespace
from deploy.workloads import Release
from images.builder import IMAGES, build, image_name

NAMESPACE = "ecommerce-bench"
NAME = "lambda"
READY_SECONDS = 900
KAFKA_CLIENTS = {"tasks": "audit", "generator": "generator"}
"""As which client of Kafka a program of an image logs in."""


def quiet(name: str, state: str, detail: str) -> None:
    """The figures are what is printed."""


@dataclass(frozen=True, slots=True)
class Target:
    """A cluster that runs and knows the images."""

    provider: Provider
    access: Access
    registry: str | None

    @property
    def release(self) -> Release:
        return Release.at(self.access.kubeconfig, NAME, NAMESPACE)

    def install(self, values: Mapping[str, Any] | None = None, files: Sequence[Path] = ()) -> Release:
        """Installs or upgrades the platform of ``values-kind.yaml``, files and values on top; does not wait for it."""
        given = (*VALUES, *files)
        return install(self.access.kubeconfig, NAME, NAMESPACE, given, self.registry, **(values or {}))

    def run(self, image: str, command: Sequence[str], seconds: float = READY_SECONDS) -> str:
        """Runs a command in a pod of an image with the platform's settings; what it printed."""
        return pods.run(
            self.release, image_name(image, self.registry or "docker.io"), command, seconds, KAFKA_CLIENTS[image]
        )

    def remove(self) -> None:
        """Removes the benchmark's namespace."""
        remove_namespace(self.release.api, NAMESPACE)


@contextmanager
def target() -> Iterator[Target]:
    """The cluster, without the benchmark's namespace before and after; ended when it did not run before."""
    provider = choose()
    click.echo(provider.describe(), err=True)
    registry = os.environ.get("REGISTRY")
    if provider.name == "existing" and not registry:
        raise Mistake("an existing cluster pulls its images: `make images ARGS=--push=…` first, then set REGISTRY")
    running = provider.access() is not None
    cluster = Target(provider, provider.up(quiet), registry)
    if not registry:
        build(IMAGES, quiet)
        provider.load(IMAGES, quiet)
    cluster.remove()
    try:
        yield cluster
    finally:
        cluster.remove()
        if not running:
            provider.down()

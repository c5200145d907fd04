"""Programs built from Go modules into the user's cache: a folder of ``go`` each, pinned by go.mod and go.sum."""

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

import click

from contracts.command import run
from contracts.errors import NotInstalled
from local.install import cache, locked
from local.programs import call

MODULES = Path(__file__).parent / "go"
KUBERNETES = "v1.34.4"
STRIP = "-s -w"
HELM = "v3.22.0"
CONTOUR = "github.com/projectcontour/contour"


def _set(**values: str) -> str:
    return " ".join([STRIP, *(f"-X {name}={value}" for name, value in values.items())])


# What their own builds set as well: otherwise they do not know their versions, and Helm takes Kubernetes for v1.20.
FLAGS = {
    "kubernetes": _set(
        **{
            "k8s.io/component-base/version.gitVersion": KUBERNETES,
            "k8s.io/component-base/version.gitMajor": "1",
            "k8s.io/component-base/version.gitMinor": "34",
        }
    ),
    "helm": _set(
        **{
            "helm.sh/helm/v3/internal/version.version": HELM,
            "helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor": "1",
            "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor": "34",
            "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor": "1",
            "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor": "34",
        }
    ),
}
TAGS = {"prometheus": "remove_all_sd"}
"""Prometheus without the clients of every cloud that it can find targets in; static ones stay."""
NAMES = {"server": "etcd", "cmd": "kube-network-policies"}
"""What Go calls a binary after its package's folder, and what it is called everywhere else."""


def tool(name: str) -> Path:
    """The path of the binary of the module ``go/<name>``, built when it is missing (minutes the first time)."""
    return folder(name) / name


def folder(name: str) -> Path:
    """The folder with a module's binaries, built when it is missing.

    Raises :class:`PlatformError` where Go is missing or the build fails.
    """
    module = MODULES / name
    flags = FLAGS.get(name, STRIP)
    digest = hashlib.sha256((flags + TAGS.get(name, "")).encode())
    for file in ("go.mod", "go.sum"):
        digest.update((module / file).read_bytes())
    target = cache() / "tools" / f"{name}-{digest.hexdigest()[:12]}"
    if not target.exists():
        with locked(target.with_suffix(".lock")):  # whoever builds it already
            if not target.exists():
                _build(module, flags, target)
    return target


@click.command()
def main() -> None:
    """Build the programs that are missing, minutes the first time: those of the node of packages, Helm, the tests'."""
    for module in sorted(MODULES.iterdir()):
        folder(module.name)
    shutil.rmtree(compiled(), ignore_errors=True)  # 7 GB, and nothing is left to build, here or by others


def _build(module: Path, flags: str, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        draft = Path(folder) / target.name
        draft.mkdir()
        options = ["-trimpath", "-tags", TAGS.get(module.name, ""), "-ldflags", flags, "-o", f"{draft}/"]
        _go(module, f"build {module.name}", "build", *options, "tool")
        for built, known in NAMES.items():
            if (draft / built).exists():
                (draft / built).rename(draft / known)
        if module.name == "contour":
            shutil.copy(module_folder(module, CONTOUR) / "examples/contour/01-crds.yaml", draft)
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)


def compiled() -> Path:
    """Where Go keeps what it compiled for one program that the next may need: not among the user's own."""
    return cache() / "tools" / "go-build"


def module_folder(module: Path, path: str) -> Path:
    """Where Go keeps the sources of a module that ``module`` requires, downloaded when they are missing.

    Raises :class:`PlatformError` where Go is missing or the module cannot be had.
    """
    return Path(json.loads(_go(module, f"fetch {path}", "mod", "download", "-json", path))["Dir"])


def _go(module: Path, purpose: str, *arguments: str) -> str:
    if not shutil.which("go"):
        raise NotInstalled(f"go was not found in PATH; install Go 1.26 or later to {purpose}")
    # The compiler collects garbage less often: a third less CPU, where it has the memory.
    settings = {"CGO_ENABLED": "0", "GOCACHE": str(compiled()), "GOGC": "800"}
    environment = {**os.environ, **settings}
    return call(["go", *arguments], f"asking Go to {purpose}", cwd=module, env=environment)


if __name__ == "__main__":
    run(main)

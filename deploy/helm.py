"""Helm as a child process, with the repository's charts."""

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.errors import Failed
from deploy.tools import tool
from local.install import locked
from local.site import ROOT

CHARTS = ROOT / "charts"
UMBRELLA = CHARTS / "ecommerce-lambda"
SECONDS = 300


@dataclass(frozen=True, slots=True)
class Helm:
    """Helm for one cluster; without a kubeconfig only what needs none (template, lint)."""

    kubeconfig: Path | None = None

    def run(self, *arguments: str, timeout: float = SECONDS) -> subprocess.CompletedProcess[str]:
        """The finished process, whatever its exit code."""
        environment = {**os.environ, **({"KUBECONFIG": str(self.kubeconfig)} if self.kubeconfig else {})}
        command = [str(tool("helm")), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout)

    def call(self, *arguments: str, timeout: float = SECONDS) -> str:
        """What it prints. Raises :class:`PlatformError` with Helm's own words when it fails."""
        done = self.run(*arguments, timeout=timeout)
        if done.returncode:
            raise Failed(f"helm {' '.join(arguments[:3])} failed: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def install(self, release: str, namespace: str, files: Sequence[Path], values: Mapping[str, Any]) -> None:
        """Installs the umbrella chart or upgrades it, without waiting for its pods."""
        self.call("upgrade", "--install", release, str(UMBRELLA), "--namespace", namespace, *arguments(files, values))

    def releases(self, namespace: str) -> list[str]:
        return [item["name"] for item in json.loads(self.call("list", "--namespace", namespace, "--output", "json"))]


def arguments(files: Sequence[Path], values: Mapping[str, Any]) -> list[str]:
    """``--values`` and ``--set-json`` flags."""
    flags = [flag for file in files for flag in ("--values", str(file))]
    return flags + [flag for name, value in values.items() for flag in ("--set-json", f"{name}={json.dumps(value)}")]


def publish(registry: str, signing: Sequence[str], plain_http: bool, report: Callable[[str], None]) -> None:
    """Packs each chart and pushes it to an OCI registry (``oci://host/path``), as ``path/CHART:VERSION``.

    ``signing`` are the flags with which ``helm package`` signs; the provenance goes with the chart. ``report`` gets
    what Helm prints of each. Raises :class:`PlatformError` with Helm's own words.
    """
    build_dependencies()
    insecure = ["--plain-http"] if plain_http else []
    with tempfile.TemporaryDirectory() as folder:
        for chart in sorted(file.parent for file in CHARTS.glob("*/Chart.yaml")):
            Helm().call("package", str(chart), "--destination", folder, *signing)
        for packed in sorted(Path(folder).glob("*.tgz")):
            done = Helm().run("push", str(packed), registry, *insecure)
            if done.returncode:
                raise Failed(f"{packed.name} could not be pushed to {registry}: {done.stderr.strip()}")
            report(done.stderr.strip() or done.stdout.strip())


def build_dependencies() -> None:
    """Packs the charts that the umbrella depends on into its ``charts`` folder, those that these depend on first.

    Does nothing where no file below charts/ has changed since. Processes of one checkout wait for each other.
    """
    packed = ROOT / "build" / "charts.packed"
    with locked(packed.with_suffix(".lock")):
        if packed.exists() and packed.read_text() == _digest(CHARTS):
            return
        parts = [file.parent for file in sorted(CHARTS.glob("*/Chart.yaml"))]
        for chart in [*(part for part in parts if part.name not in ("common", UMBRELLA.name)), UMBRELLA]:
            Helm().call("dependency", "update", "--skip-refresh", str(chart))
        packed.write_text(_digest(CHARTS))


def _digest(folder: Path) -> str:
    """Of each file's path and content."""
    total = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(f"{file.relative_to(folder)}\n".encode() + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()

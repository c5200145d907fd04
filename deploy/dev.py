"""The development loop: what is saved runs on the cluster, and only what it concerns is built, loaded and restarted.

Task pods and executors are not restarted here: the next task takes the new image, and executors go with their driver.
"""

import ast
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from kubernetes import client
from kubernetes.client import ApiException
from watchfiles import watch

from deploy.helm import CHARTS
from deploy.workloads import Release
from images.builder import IMAGES, digest
from local.site import ROOT

WATCHED = ("charts", "clients", "contracts", "dags", "generator", "images", "jobs", "local", "requirements", "serving")
"""All that goes into an image or a release."""
PACKAGES = ("clients", "contracts", "jobs", "serving")
HOME = "/opt/ecommerce-lambda"
"""Where the images keep :data:`PACKAGES`."""
DEBOUNCE_MS = 300
"""How long saved files are collected: an editor writes several."""


@dataclass(frozen=True, slots=True)
class Change:
    """Files that were saved together, what they are part of, and when (epoch seconds)."""

    files: frozenset[Path]
    images: tuple[str, ...]
    charts: bool
    saved: float

    def __str__(self) -> str:
        return ", ".join(sorted(str(file.relative_to(ROOT)) for file in self.files))


def changes(known: dict[str, str], handle: Callable[[Change], None]) -> None:
    """Calls ``handle`` for each change that concerns an image or the charts, until it is interrupted.

    ``known`` are the :func:`digests` of what the cluster runs.
    """
    folders = [ROOT / name for name in WATCHED]
    # Ctrl-C may come while it watches and while a change is handled.
    with suppress(KeyboardInterrupt):
        for saved in watch(*folders, debounce=DEBOUNCE_MS, step=DEBOUNCE_MS // 3):
            change, known = compare({Path(file) for _, file in saved}, known)
            if change.images or change.charts:
                handle(change)


def digests() -> dict[str, str]:
    return {name: digest(name) for name in IMAGES}


def compare(files: Iterable[Path], known: dict[str, str]) -> tuple[Change, dict[str, str]]:
    """What saved files change against the images' digests, and the digests of now."""
    now, packed = digests(), {folder / "charts" for folder in CHARTS.iterdir()}
    saved = frozenset(file for file in files if packed.isdisjoint(file.parents))
    written = [file.stat().st_mtime for file in saved if file.exists()]
    images = tuple(name for name in IMAGES if now[name] != known[name])
    charts = any(CHARTS in file.parents for file in saved)
    return Change(saved, images, charts, max(written, default=time.time())), now


def restart(release: Release, change: Change) -> list[str]:
    """Restarts the workloads that run what has changed, as ``kubectl rollout restart`` does; their names."""
    apps = client.AppsV1Api(release.api)
    stamp = {"kubectl.kubernetes.io/restartedAt": datetime.now(UTC).isoformat()}
    body = {"spec": {"template": {"metadata": {"annotations": stamp}}}}
    restarted = []
    for items, patch in (
        (apps.list_namespaced_deployment, apps.patch_namespaced_deployment),
        (apps.list_namespaced_stateful_set, apps.patch_namespaced_stateful_set),
    ):
        for item in items(release.namespace, label_selector=release.selector).items:
            containers = item.spec.template.spec.containers
            if any(concerned(it.image, [*(it.command or []), *(it.args or [])], change) for it in containers):
                patch(item.metadata.name, release.namespace, body)
                restarted.append(item.metadata.name)
    return sorted(restarted + _resubmit(release, change, stamp))


def _resubmit(release: Release, change: Change, stamp: dict[str, str]) -> list[str]:
    """Changes the SparkApplications that run what has changed: their operator then runs them anew; their names."""
    api = client.CustomObjectsApi(release.api)
    place = ("sparkoperator.k8s.io", "v1beta2", release.namespace, "sparkapplications")
    try:
        found = api.list_namespaced_custom_object(*place, label_selector=release.selector)["items"]
    except ApiException as error:
        if error.status != 404:
            raise
        return []  # a cluster without the operator
    names = [
        item["metadata"]["name"]
        for item in found
        if concerned(item["spec"]["image"], [item["spec"]["mainApplicationFile"].removeprefix("local://")], change)
    ]
    for name in names:
        api.patch_namespaced_custom_object(*place, name, {"spec": {"driver": {"annotations": stamp}}})
    return names


def concerned(image: str, words: Sequence[str], change: Change) -> bool:
    """Whether a container runs what has changed: an image's programs, or of Spark's image the one that it starts.

    ``words`` are its command and arguments.
    """
    name = image.rpartition("/")[2].partition(":")[0]
    if name not in change.images:
        return False
    if name != "spark" or any(file.relative_to(ROOT).parts[0] not in PACKAGES for file in change.files):
        return True
    programs = [ROOT / word.removeprefix(f"{HOME}/") for word in words if word.startswith(f"{HOME}/")]
    return any(not change.files.isdisjoint(sources(program)) for program in programs)


@cache
def _imports(file: Path, modified: int) -> frozenset[Path]:
    """The files of :data:`PACKAGES` that a file names in its imports; ``modified`` is its time."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    found = set()
    for name in names:
        parts = name.split(".")
        if parts[0] in PACKAGES:
            folders = [ROOT.joinpath(*parts[: length + 1], "__init__.py") for length in range(len(parts))]
            found |= {path for path in (*folders, ROOT.joinpath(*parts).with_suffix(".py")) if path.is_file()}
    return frozenset(found)


def sources(program: Path) -> set[Path]:
    """A program's file and all files of ours that it imports. Raises ``SyntaxError`` where one is not Python."""
    found: set[Path] = set()
    waiting = {program}
    while waiting:
        file = waiting.pop()
        found.add(file)
        waiting |= _imports(file, file.stat().st_mtime_ns) - found
    return found


def summary(change: Change, restarted: Sequence[str]) -> str:
    """One line: what was done, and the seconds from saving to running."""
    did = [f"built {', '.join(change.images)}"] if change.images else []
    did += ["upgraded the release"] if change.charts else []
    did += [f"restarted {', '.join(restarted)}"] if restarted else []
    return f"{change}: {'; '.join(did)}; running {time.time() - change.saved:.1f} s after it was saved"

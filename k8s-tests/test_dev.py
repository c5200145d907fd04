"""The development loop on the cluster: a saved change to a job runs there, and only what it concerns is restarted."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, Queue

import pytest

from deploy import dev
from deploy.helm import CHARTS
from images.builder import image_name
from support.platform import HERE, NAME, NAMESPACE, Platform

ROOT = HERE.parent
JOB = "jobs/streaming/ingest.py"
MARK = "development-loop"
SECONDS = 600
"""For a change to run before the test gives up."""
AIM_SECONDS = 60.0
"""Seconds from saving to running that a developer waits for; what it took is printed beside them."""


class Loop:
    """``make dev`` on a copy of the sources: what it prints, and the copy's files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        command = [sys.executable, "-m", "deploy", "dev", "--release", NAME, "--namespace", NAMESPACE]
        environment = {"PYTHONPATH": str(folder)}
        self._process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **environment}, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
            # A shell's background jobs ignore Ctrl-C, and so would their children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        self._lines: Queue[str] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line)

    def until(self, pattern: str) -> re.Match[str]:
        """The first line that has ``pattern``; fails on an error of the loop, or after a while."""
        seen, deadline = [], time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            try:
                seen.append(self._lines.get(timeout=1))
            except Empty:
                assert self._process.poll() is None, f"it ended: {''.join(seen)}"
                continue
            assert not seen[-1].startswith("error:"), "".join(seen)
            if found := re.search(pattern, seen[-1]):
                return found
        pytest.fail(f"{pattern!r} is not in: {''.join(seen)}")

    def stop(self) -> int:
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(60)


@pytest.fixture
def loop(platform: Platform, tmp_path: Path) -> Iterator[Loop]:
    """The loop, watching; what was changed is taken back in the end, so that the cluster has the images of before."""
    folder = tmp_path / "sources"
    for name in (*dev.WATCHED, "deploy"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    running = Loop(folder)
    running.until("Watching")
    time.sleep(2)  # the line is printed just before it does
    yield running
    if (folder / JOB).read_text() != (ROOT / JOB).read_text():
        shutil.copyfile(ROOT / JOB, folder / JOB)
        running.until(r"running ([\d.]+) s after")
    assert running.stop() == 0


def components(platform: Platform) -> dict[str, str]:
    """The component of each pod of a server."""
    servers = [pod for pod in platform.release.pods() if not pod.metadata.labels.get("job-name")]
    return {pod.metadata.name: pod.metadata.labels["app.kubernetes.io/name"] for pod in servers}


def test_a_saved_job_runs_on_the_cluster(
    platform: Platform, loop: Loop, record_property: Callable[[str, object], None]
) -> None:
    before = components(platform)
    source = (loop.folder / JOB).read_text()
    marked = source.replace(
        '\n\nif __name__ == "__main__":', f'\n\nprint("{MARK}", flush=True)\nif __name__ == "__main__":'
    )
    assert marked != source
    (loop.folder / JOB).write_text(marked)
    done = loop.until(r"built (.+); restarted (\S+); running ([\d.]+) s after")
    assert set(done[1].split(", ")) == {"spark", "tasks"}
    assert done[2] == f"{NAME}-spark-ingest"
    (driver,) = platform.release.pods("spark-ingest")
    log = platform.release.core.read_namespaced_pod_log(driver.metadata.name, NAMESPACE, container="driver")
    assert MARK in log
    new = {component for pod, component in components(platform).items() if pod not in before}
    assert new <= {"spark-ingest", "spark-ingest-executor"}
    record_property(
        "a saved job, s until it runs", f"{done[3]}, {float(done[3]) / AIM_SECONDS:.2f} of the {AIM_SECONDS:g} aimed at"
    )


@pytest.mark.parametrize(
    ("file", "restarted"),
    [
        ("jobs/streaming/ingest.py", {"ingest"}),
        ("jobs/streaming/views.py", {"speed"}),
        ("jobs/streaming/query.py", {"ingest", "speed"}),
        ("contracts/topics.py", {"ingest", "speed"}),
        ("jobs/batch/tasks/revenue.py", set()),
        ("images/spark/entrypoint", {"ingest", "speed", "sql"}),
    ],
)
def test_only_what_imports_a_file_is_restarted(file: str, restarted: set[str]) -> None:
    change = dev.Change(frozenset({ROOT / file}), ("spark", "tasks"), charts=False, saved=0.0)
    servers = {
        "ingest": ("spark", ["submit", f"{dev.HOME}/jobs/streaming/ingest.py"]),
        "speed": ("spark", ["submit", f"{dev.HOME}/jobs/streaming/speed.py"]),
        "sql": ("spark", ["thriftserver"]),
        "generator": ("generator", ["--rate=1"]),
    }
    images = {name: f"registry.example.com/{image_name(image)}" for name, (image, _) in servers.items()}
    found = {name for name, (_, words) in servers.items() if dev.concerned(images[name], words, change)}
    assert found == restarted


def test_ctrl_c_while_a_change_is_handled_ends_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    handled = []

    def interrupted(change: dev.Change) -> None:
        handled.append(change.images)
        raise KeyboardInterrupt

    monkeypatch.setattr(dev, "watch", lambda *folders, **options: iter([{(1, str(ROOT / JOB))}] * 2))
    dev.changes(dev.digests() | {"spark": "before"}, interrupted)
    assert handled == [("spark",)]


def test_a_change_names_its_images_and_charts() -> None:
    known = dev.digests()
    chart = CHARTS / "kafka" / "values.yaml"
    change, now = dev.compare([chart, CHARTS / "kafka" / "charts" / "common-0.1.0.tgz"], known)
    assert (change.images, change.charts, now) == ((), True, known)
    assert change.saved == chart.stat().st_mtime
    change, _ = dev.compare([ROOT / "dags" / "new.py"], known | {"airflow": "before"})
    assert (change.images, change.charts) == (("airflow",), False)

"""The platform on a cluster: seconds from ``helm install`` to the first row in HBase, its real memory, and what high
availability adds to it.

It installs ``values-kind.yaml`` in a namespace of its own with the images loaded before, and removes it again. Memory
is what the kubelet's Summary API tells of the pods: the working set, as Kubernetes counts it against limits, and
resident pages alone. https://kubernetes.io/docs/reference/instrumentation/node-metrics/
"""

import json
import time
from pathlib import Path

import click

from bench.cluster import READY_SECONDS, target
from bench.measure import report
from contracts.command import run
from deploy import pods
from deploy.helm import UMBRELLA
from deploy.workloads import Release

FIRST_ROW_LIMIT_SECONDS = 480
MEMORY_LIMIT_MIB = 12 * 1024
HA_LIMIT_MIB = 2560
HIGHLY_AVAILABLE = UMBRELLA / "ci" / "values-ha.yaml"
WATCH_SECONDS = 180


def memory(release: Release) -> tuple[int, int]:
    """Working set and resident bytes of the release's pods, now."""
    working = resident = 0
    for node in release.core.list_node().items:
        answer = release.core.connect_get_node_proxy_with_path(
            node.metadata.name, "stats/summary", _preload_content=False
        )
        for pod in json.loads(answer.data)["pods"]:
            if pod["podRef"]["namespace"] == release.namespace:
                working += pod.get("memory", {}).get("workingSetBytes", 0)
                resident += pod.get("memory", {}).get("rssBytes", 0)
    return working, resident


def peak(release: Release, seconds: int) -> tuple[float, float]:
    """The highest working set and resident memory in MiB while ``seconds`` go by."""
    samples, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        samples.append(memory(release))
        time.sleep(5)
    return max(working for working, _ in samples) / 2**20, max(resident for _, resident in samples) / 2**20


@click.command()
@click.option("--seconds", default=WATCH_SECONDS, show_default=True, help="How long to watch memory once it is ready.")
def main(seconds: int) -> None:
    """Measure the platform on a cluster: seconds to the first row in HBase, and memory, without and with two of all."""
    with target() as cluster:
        began = time.monotonic()
        release = cluster.install()
        cluster.run("tasks", pods.program(Path(__file__).with_name("first_row.py")))
        first_row = time.monotonic() - began
        release.wait("Waiting for all of it", READY_SECONDS)
        ready = time.monotonic() - began
        working, resident = peak(release, seconds)
        cluster.remove()
        cluster.install(files=[HIGHLY_AVAILABLE]).wait("Installing it highly available", READY_SECONDS)
        with_ha, _ = peak(release, seconds)
    report(
        "kubernetes",
        {
            "cluster": cluster.provider.name,
            "install_to_first_row_seconds": round(first_row, 1),
            "ratio_first_row_to_limit": round(first_row / FIRST_ROW_LIMIT_SECONDS, 2),
            "install_to_all_ready_seconds": round(ready, 1),
            "peak_working_set_mib": round(working),
            "peak_resident_mib": round(resident),
            "ratio_working_set_to_limit": round(working / MEMORY_LIMIT_MIB, 2),
            "high_availability_adds_mib": round(with_ha - working),
            "ratio_high_availability_to_limit": round((with_ha - working) / HA_LIMIT_MIB, 2),
        },
    )


if __name__ == "__main__":
    run(main)

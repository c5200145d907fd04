"""How fast ingest drains a backlog on a cluster, beside the same backlog drained by the local stack in the same run.

Both have Kafka and HDFS and nothing else, the same shop day, the same records a batch and two cores: a driver with two
task threads on one machine; a driver and an executor of two cores on the cluster. Rates are records over the seconds
between the job's log lines ``started`` and ``stopped``.
"""

import json
import time
from datetime import datetime

import click
from kubernetes.client import ApiException

from bench.cluster import READY_SECONDS, Target, target
from bench.ingest import MAX_OFFSETS, drain, fill, play
from bench.measure import fresh_stack, report
from contracts.command import run
from contracts.errors import BrokenPromise, Failed, NotReady
from deploy.workloads import Release
from jobs import audit

OTHERS = ("zookeeper", "hbase", "hive-metastore", "sql", "generator", "airflow")
"""Parts of the umbrella chart that ingest does not need."""


def local(events: int) -> float:
    """Records/s of the local stack."""
    with fresh_stack({"kafka", "hdfs-datanode"}) as stack:
        fill(stack, events)
        records = sum(audit.end_offsets(stack.settings()).values())
        return records / drain(stack, "jobs.streaming.ingest", "--available-now")["seconds"]


def on_cluster(cluster: Target, events: int) -> float:
    """Records/s of the streaming job of the chart. Raises :class:`PlatformError` when a click landed twice."""
    without = {f"{part}.enabled": False for part in OTHERS}
    cluster.install({**without, "spark.enabled": False}).wait("Kafka and HDFS", READY_SECONDS)
    cluster.run("generator", ["python", "-m", *play(events)])
    job = {
        "spark.jobs.speed.enabled": False,
        "spark.jobs.ingest.environment": {
            "ECOMMERCE_INGEST_AVAILABLE_NOW": "true",
            "ECOMMERCE_INGEST_MAX_OFFSETS": MAX_OFFSETS,
        },
    }
    release = cluster.install({**without, **job})
    seconds = duration(release)
    counted = json.loads(cluster.run("tasks", ["python", "-m", "jobs.audit"]))
    clicks = counted["landed"]["clicks"]
    if clicks["rows"] != clicks["distinct"]:
        raise BrokenPromise(f"{clicks['rows']} rows for {clicks['distinct']} clicks")
    return float(counted["records"] / seconds)


def duration(release: Release) -> float:
    """Seconds between the log lines ``started`` and ``stopped`` of the job's driver, once it has ended.

    Raises :class:`Failed` when its only executor was lost on the way: another one, with another id, takes its place.
    """
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            (pod,) = release.pods("spark-ingest")
            answer = release.core.read_namespaced_pod_log(
                pod.metadata.name, release.namespace, container="driver", follow=True, _preload_content=False
            )
            times, executors = {}, set()
            for line in answer:
                if line.startswith(b"{"):
                    entry = json.loads(line)
                    times[entry["event"]] = datetime.fromisoformat(entry["timestamp"])
                executors |= {pod.metadata.labels["spark-exec-id"] for pod in release.pods("spark-ingest-executor")}
            if len(executors) > 1:
                raise Failed("an executor of spark-ingest was lost on the way: is its memory too small?")
            return (times["stopped"] - times["started"]).total_seconds()
        except (ApiException, ValueError):  # its container has not started yet
            time.sleep(1)
        except KeyError as error:
            raise NotReady(f"the driver of spark-ingest ended without the log line {error}") from error
    raise NotReady(f"spark-ingest has not drained its topics after {READY_SECONDS} s")


@click.command()
@click.option("--events", default=2_200_000, show_default=True, help="Events of the day; nine in ten are clicks.")
def main(events: int) -> None:
    """Measure ingest's rate on a cluster against the local one's."""
    here = local(events)
    with target() as cluster:
        there = on_cluster(cluster, events)
    report(
        "kubernetes_ingest",
        {
            "cluster": cluster.provider.name,
            "local_records_per_second": round(here),
            "cluster_records_per_second": round(there),
            "ratio": round(there / here, 2),
        },
    )


if __name__ == "__main__":
    run(main)

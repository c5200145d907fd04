"""A pod of each kind is deleted without grace while the shop goes on: all of it recovers, and the counts stay exact.

``make test-faults`` runs it; it takes too long for each change. The recovery times go to build/faults.json and, as a
table, to the terminal. A pod has recovered when every workload is ready, both streaming jobs have handled what is in
Kafka, and the SQL endpoint answers. Seconds, of one run; the aims are the project's own, and not asserted:
machines differ.
"""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client import ApiException
from rich import box
from rich.console import Console
from rich.table import Table

from clients.retry import until
from deploy.helm import UMBRELLA, Helm, arguments
from deploy.install import VALUES, install, remove_namespace
from support.airflow import Airflow
from support.platform import HERE, NAME, REGISTRY, Cluster, Platform, bean, exact, installed, kill_java, make_room
from support.shop import Shop

pytestmark = pytest.mark.faults

NAMESPACE = "ecommerce-faults"
FILES = (*VALUES, UMBRELLA / "ci" / "values-ha.yaml")
TASK = "revenue"
"""Of the daily DAG, whose pod is deleted."""
RATE = 50
"""Events/s of the shop."""
GIVE_UP_SECONDS = 600
LIMIT_SECONDS = 120
LIMITS = {"hbase-regionserver": 180}
WIDTH = 120
"""Of the printed table: a name on one line, as Markdown wants it."""
REPORT = HERE.parent / "build" / "faults.json"


def any_pod(component: str) -> Callable[[Platform], str]:
    return lambda platform: str(platform.release.pods(component)[0].metadata.name)


def by_bean(component: str, port: int, name: str, attribute: str, value: str) -> Callable[[Platform], str]:
    """The pod of a component whose bean has this value."""

    def choose(platform: Platform) -> str:
        for pod in platform.release.pods(component):
            if str(bean(platform, pod.metadata.name, port, name).get(attribute)) == value:
                return str(pod.metadata.name)
        raise AssertionError(f"no pod of {component} with {attribute}={value}")

    return choose


NAMENODE_STATE = ("hdfs-namenode", 9870, "Hadoop:service=NameNode,name=NameNodeStatus", "State")
MASTER_STATE = ("hbase-master", 16010, "Hadoop:service=HBase,name=Master,sub=Server", "tag.isActiveMaster")
PODS: dict[str, Callable[[Platform], str]] = {
    "kafka": any_pod("kafka"),
    "hdfs-namenode, active": by_bean(*NAMENODE_STATE, "active"),
    "hdfs-namenode, standby": by_bean(*NAMENODE_STATE, "standby"),
    "hdfs-journalnode": any_pod("hdfs-journalnode"),
    "hdfs-datanode": any_pod("hdfs-datanode"),
    "zookeeper": any_pod("zookeeper"),
    "hbase-master, active": by_bean(*MASTER_STATE, "true"),
    "hbase-regionserver": any_pod("hbase-regionserver"),
    "hbase-thrift": any_pod("hbase-thrift"),
    "hive-metastore": any_pod("hive-metastore"),
    "spark-ingest, driver": any_pod("spark-ingest"),
    "spark-speed, driver": any_pod("spark-speed"),
    "spark-ingest, executor": any_pod("spark-ingest-executor"),
    "spark-speed, executor": any_pod("spark-speed-executor"),
    "sql": any_pod("sql"),
    "airflow-scheduler": any_pod("airflow-scheduler"),
}


def of_the_namenode(platform: Platform, name: str) -> dict[str, Any]:
    """A bean of the active NameNode."""
    active = by_bean(*NAMENODE_STATE, "active")(platform)
    return bean(platform, active, NAMENODE_STATE[1], f"Hadoop:service=NameNode,name={name}")


@pytest.fixture(scope="module")
def highly_available(cluster: Cluster, images: None, charts: Path) -> Iterator[Platform]:
    """The platform with more than one of what must not be lost, in a namespace of its own."""
    make_room(cluster.api, NAMESPACE)
    yield installed(cluster, NAMESPACE, {"generator.rate": RATE}, FILES, 1200)
    remove_namespace(cluster.api, NAMESPACE)


@pytest.fixture(scope="module")
def shop_open(highly_available: Platform) -> Shop:
    return Shop(highly_available.release)


@pytest.fixture(scope="module")
def times() -> Iterator[dict[str, float]]:
    """Seconds to recover, by what was deleted; printed and kept in the end."""
    measured: dict[str, float] = {}
    yield measured
    table = Table("deleted", "recovered after, s", "aim, s", "ratio", box=box.MARKDOWN)
    for name, seconds in measured.items():
        limit = LIMITS.get(name, LIMIT_SECONDS)
        table.add_row(name, f"{seconds:.0f}", str(limit), f"{seconds / limit:.2f}")
    Console(width=WIDTH).print(table)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(measured, indent=1) + "\n")


def recovery(platform: Platform, began: float) -> float:
    """Seconds since ``began`` until all of it works again."""
    platform.release.wait("Waiting for all of it", GIVE_UP_SECONDS)
    platform.catch_up(GIVE_UP_SECONDS)
    return time.monotonic() - began


@pytest.mark.parametrize("name", PODS)
def test_a_deleted_pod_is_recovered_from(highly_available: Platform, times: dict[str, float], name: str) -> None:
    platform = highly_available
    pod = PODS[name](platform)
    began = time.monotonic()
    platform.release.core.delete_namespaced_pod(pod, platform.release.namespace, grace_period_seconds=0)
    times[name] = recovery(platform, began)


@pytest.mark.parametrize("job", ["ingest", "speed"])
def test_a_killed_driver_is_restarted_in_its_pod(highly_available: Platform, times: dict[str, float], job: str) -> None:
    """No init container runs again: the driver's own container waits for the servers."""
    release, name = highly_available.release, f"spark-{job}"
    pod = any_pod(name)(highly_available)
    before, began = release.restarts().get(f"{pod}/driver", 0), time.monotonic()
    kill_java(release, pod)
    until(lambda: release.restarts().get(f"{pod}/driver", 0), lambda restarts: restarts > before)
    times[f"{name}, driver's JVM killed"] = recovery(highly_available, began)
    log = release.core.read_namespaced_pod_log(pod, release.namespace, container="driver")
    assert '"part": "folders", "event": "there"' in log


def test_the_standby_takes_over_from_a_namenode_that_stays_away(
    highly_available: Platform, times: dict[str, float]
) -> None:
    """A pod that is deleted once is back before its ZooKeeper session has ended, and stays the active NameNode."""
    platform = highly_available
    active, standby = (by_bean(*NAMENODE_STATE, state)(platform) for state in ("active", "standby"))
    began = time.monotonic()
    while bean(platform, standby, *NAMENODE_STATE[1:3]).get("State") != "active":
        assert time.monotonic() - began < LIMIT_SECONDS, f"{standby} has not taken over from {active}"
        with suppress(ApiException):
            platform.release.core.delete_namespaced_pod(active, platform.release.namespace, grace_period_seconds=0)
        time.sleep(1)
    times["hdfs-namenode, active, until its standby took over"] = time.monotonic() - began
    times["hdfs-namenode, active, kept away until then"] = recovery(platform, began)


def test_a_deleted_task_pod_is_tried_again(highly_available: Platform, times: dict[str, float]) -> None:
    platform = highly_available
    airflow = Airflow(platform)
    run = airflow.trigger(time.strftime("%Y-%m-%d", time.gmtime()))
    pod = task_pod(platform, run)
    began = time.monotonic()
    platform.release.core.delete_namespaced_pod(pod, platform.release.namespace, grace_period_seconds=0)
    while (task := airflow.tasks(run)[TASK])["state"] != "success":
        assert time.monotonic() - began < GIVE_UP_SECONDS, f"the task is still {task['state']}"
        time.sleep(1)
    times["a task's pod, until its next attempt succeeded"] = time.monotonic() - began
    assert task["try_number"] == 2
    airflow.fail(run)  # its last task compares both layers, while the shop goes on


def task_pod(platform: Platform, run: str) -> str:
    """A pod in which a task of the run does its work."""

    def running() -> str:
        pods = platform.release.core.list_namespaced_pod(platform.release.namespace, label_selector="dag_id").items
        mine = [pod for pod in pods if pod.metadata.labels.get("task_id") == TASK and pod.status.phase == "Running"]
        return str(mine[0].metadata.name) if mine else ""

    return until(running, seconds=GIVE_UP_SECONDS, pause=0.3, what=f"a running pod of the task {TASK} of {run}")


def test_nothing_was_lost_and_nothing_counted_twice(highly_available: Platform, shop_open: Shop) -> None:
    exact(highly_available, shop_open)


def test_a_rolling_restart_of_the_brokers_keeps_every_partition_writable(highly_available: Platform) -> None:
    """Seen by a client each half second: never fewer copies in step than a record needs."""
    release = highly_available.release
    restart = {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": f"{datetime.now(UTC):%FT%TZ}"}}}
    before = {pod.metadata.uid for pod in release.pods("kafka")}
    with ThreadPoolExecutor(1) as pool:
        seen = pool.submit(highly_available.inside, "in_step", f"{GIVE_UP_SECONDS}", seconds=2 * GIVE_UP_SECONDS)
        apps = client.AppsV1Api(release.api)
        apps.patch_namespaced_stateful_set(f"{NAME}-kafka", release.namespace, {"spec": {"template": restart}})
        release.wait("Waiting for new brokers", GIVE_UP_SECONDS)
        assert not before & {pod.metadata.uid for pod in release.pods("kafka")}
        found = seen.result()
    assert found["asked"] > 20
    assert found["restarts"] == len(before)
    assert found["fewest"] >= 2


def test_a_datanode_is_decommissioned_before_it_goes(highly_available: Platform, shop_open: Shop) -> None:
    """What it had is copied to the other one first, while the shop goes on; all of it is there afterwards."""
    platform, release = highly_available, highly_available.release
    kubeconfig = platform.cluster.access.kubeconfig
    fewer = arguments(FILES, {"generator.rate": RATE, "hdfs.datanode.replicas": 1})
    place = ["--namespace", release.namespace, "--dry-run=server"]
    refused = Helm(kubeconfig).run("upgrade", NAME, str(UMBRELLA), *place, *fewer)
    assert "set hdfs.datanode.decommission to 1, and then the number" in refused.stderr

    def upgrade(**values: int) -> None:
        named = {f"hdfs.datanode.{name}": value for name, value in values.items()}
        install(kubeconfig, NAME, release.namespace, FILES, REGISTRY, **{"generator.rate": RATE, **named})
        release.wait("Waiting for all of it", GIVE_UP_SECONDS)

    def state() -> str:
        nodes = json.loads(of_the_namenode(platform, "NameNodeInfo")["LiveNodes"])
        (found,) = [node for name, node in nodes.items() if name.startswith(f"{NAME}-hdfs-datanode-1")]
        return str(found["adminState"])

    upgrade(decommission=1)
    until(state, lambda found: found == "Decommissioned", seconds=GIVE_UP_SECONDS, what="a decommissioned DataNode")
    upgrade(replicas=1)
    assert len(release.pods("hdfs-datanode")) == 1
    exact(platform, shop_open)
    assert of_the_namenode(platform, "FSNamesystem")["MissingBlocks"] == 0

"""The DAGs as Airflow itself reads them, in both runtimes, and what its operators do."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from clients.retry import until
from contracts import paths
from contracts.dag import COMPACTION_DAG_ID, DAG_ID
from contracts.hive import MARTS, RAW
from local.site import ROOT
from tests.support.running import ok, run

if TYPE_CHECKING:
    from airflow.sdk import DAG

DAGS = ROOT / "dags"
SQL = ROOT / "jobs" / "batch" / "tasks" / "sql"
MART_TASKS = ("revenue", "funnel", "affinity", "stock")
GRAPH = {
    "check_data": set(),
    "repair_partitions": {"check_data"},
    "revenue": {"repair_partitions"},
    "funnel": {"repair_partitions"},
    "affinity": {"repair_partitions"},
    "stock": {"repair_partitions"},
    "reconcile": {"revenue", "funnel", "affinity", "stock"},
    "export_csv": {"reconcile"},
    "retention": {"export_csv"},
}
POD_SETTINGS = {
    "ECOMMERCE_TASK_IMAGE": "registry.example/jobs:1",
    "ECOMMERCE_TASK_NAMESPACE": "shop",
    "ECOMMERCE_TASK_SERVICE_ACCOUNT": "tasks",
    "ECOMMERCE_TASK_CONFIGMAP": "settings",
    "ECOMMERCE_TASK_SECRET": "secrets",
    "ECOMMERCE_TASK_IMAGE_PULL_SECRETS": "one, two",
}


@pytest.fixture(scope="module", autouse=True)
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An Airflow of the tests' own. Set before the first import of airflow, which reads it then."""
    from local.airflow import environment

    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(tmp_path_factory.mktemp("airflow")).items():
            if name.startswith("AIRFLOW"):
                patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def load() -> Callable[..., "DAG"]:
    """A DAG for a runtime, from Airflow's own DagBag, which must find both and nothing to complain about."""

    def load(runtime: str, dag_id: str = DAG_ID) -> "DAG":
        from airflow.dag_processing.dagbag import DagBag

        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**POD_SETTINGS, "ECOMMERCE_TASK_RUNTIME": runtime}.items():
                patch.setenv(name, value)
            bag = DagBag(DAGS, bundle_path=DAGS, bundle_name="dags")
        assert bag.import_errors == {}
        assert set(bag.dags) == {DAG_ID, COMPACTION_DAG_ID}
        return bag.dags[dag_id]

    return load


@pytest.fixture(scope="module")
def pods(load: Callable[..., "DAG"]) -> "DAG":
    return load("kubernetes")


@pytest.fixture(scope="module")
def processes(load: Callable[..., "DAG"]) -> "DAG":
    return load("local")


def test_the_graph(pods: "DAG", processes: "DAG") -> None:
    for dag in (pods, processes):
        assert {task.task_id: task.upstream_task_ids for task in dag.tasks} == GRAPH


def test_the_dag(pods: "DAG") -> None:
    assert pods.catchup is False
    assert pods.max_active_runs == 1
    assert pods.tags == {"ecommerce", "batch-layer", "daily"}
    assert pods.doc_md
    assert all(task.owner == "data-engineering" and task.doc_md for task in pods.tasks)


def test_a_scheduled_run_takes_the_day_that_is_over(pods: "DAG") -> None:
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import TimeRestriction
    from pendulum import instance

    timetable = coerce_to_core_timetable(pods.timetable)
    earliest = instance(datetime(2026, 11, 22, tzinfo=UTC))
    run = timetable.next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(earliest, None, catchup=True)
    )
    assert run
    assert run.run_after == datetime(2026, 11, 23, 0, 30, tzinfo=UTC)
    assert run.logical_date
    assert run.logical_date.date().isoformat() == "2026-11-22"


def test_pods_are_tried_again_with_growing_delays(pods: "DAG") -> None:
    for task in pods.tasks:
        assert task.retries == 4
        assert task.retry_exponential_backoff == 2
        assert task.retry_delay == timedelta(seconds=30)
        assert task.max_retry_delay == timedelta(minutes=15)
        assert task.execution_timeout


def task_of(dag: "DAG", task_id: str) -> Any:
    """A task as the operator that it is, of which the DAG's type says nothing."""
    return dag.get_task(task_id)


def test_lineage_names_the_tables_that_the_statements_do(pods: "DAG", processes: "DAG") -> None:
    def names(tables: list[Any]) -> set[str]:
        return {table.name for table in tables}

    written: set[str] = set()
    for task_id in MART_TASKS:
        task = task_of(pods, task_id)
        statements = [(SQL / f"{name}.sql").read_text() for name in names(task.outlets)]
        found = {name for text in statements for name in re.findall(r"{(\w+)}", text)} & (RAW.keys() | MARTS.keys())
        assert names(task.inlets) == found & RAW.keys(), task_id
        assert names(task.outlets) == found & MARTS.keys(), task_id
        written |= names(task.outlets)
    assert written == {file.stem for file in SQL.glob("*.sql")}
    assert names(task_of(pods, "export_csv").inlets) == MARTS.keys()
    assert names(task_of(pods, "reconcile").outlets) | written == MARTS.keys()
    for task_id in GRAPH:
        assert names(task_of(processes, task_id).outlets) == names(task_of(pods, task_id).outlets)


def test_both_runtimes_run_the_same_modules_with_the_same_arguments(pods: "DAG", processes: "DAG") -> None:
    for task_id in GRAPH:
        pod, process = task_of(pods, task_id), task_of(processes, task_id)
        assert process.command == [sys.executable, *pod.arguments]
        assert pod.cmds == ["python"]
        of_the_run = ["--date", "{{ day(params, dag_run) }}", "--run", "{{ run_id }}"]
        daily = ["-m", f"jobs.batch.tasks.{task_id}", *of_the_run]
        assert pod.arguments == (["-m", "jobs.retention"] if task_id == "retention" else daily)
        assert (ROOT / pod.arguments[1].replace(".", "/")).with_suffix(".py").exists()
        assert process.execution_timeout == pod.execution_timeout


def test_the_compaction_is_a_dag_of_one_task_every_hour(load: Callable[..., "DAG"]) -> None:
    from airflow.serialization.encoders import coerce_to_core_timetable

    pods, processes = load("kubernetes", COMPACTION_DAG_ID), load("local", COMPACTION_DAG_ID)
    assert (pods.catchup, pods.max_active_runs) == (False, 1)
    [pod], [process] = pods.tasks, processes.tasks
    assert task_of(pods, pod.task_id).arguments == ["-m", "jobs.compaction"]
    assert task_of(processes, process.task_id).command == [sys.executable, "-m", "jobs.compaction"]
    assert coerce_to_core_timetable(pods.timetable).summary == "20 * * * *"
    assert task_of(processes, process.task_id).variables == {"ECOMMERCE_HDFS_USER": paths.OWNER}


@pytest.fixture
def in_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Building a pod's specification asks whether Airflow runs in the cluster; answered without one."""
    from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook

    monkeypatch.setattr(KubernetesHook, "is_in_cluster", True)


@pytest.mark.usefixtures("in_cluster")
def test_pods_pass_the_restricted_pod_security_standard(pods: "DAG") -> None:
    for task_id in GRAPH:
        spec = task_of(pods, task_id).build_pod_request_obj().spec
        assert spec.security_context.run_as_non_root is True
        assert spec.security_context.seccomp_profile.type == "RuntimeDefault"
        assert not spec.host_network
        assert not spec.init_containers
        assert all(volume.empty_dir for volume in spec.volumes)
        [container] = spec.containers
        assert container.security_context.allow_privilege_escalation is False
        assert container.security_context.capabilities.drop == ["ALL"]
        assert container.security_context.capabilities.add is None
        assert container.security_context.run_as_non_root is True
        assert container.security_context.privileged is None


@pytest.mark.usefixtures("in_cluster")
def test_pods_take_their_place_and_settings_from_the_environment(pods: "DAG") -> None:
    for task_id in GRAPH:
        task = task_of(pods, task_id)
        pod = task.build_pod_request_obj()
        [container] = pod.spec.containers
        assert pod.metadata.namespace == "shop"
        assert pod.spec.service_account_name == "tasks"
        assert pod.spec.automount_service_account_token is False
        assert [secret.name for secret in pod.spec.image_pull_secrets] == ["one", "two"]
        assert container.image == "registry.example/jobs:1"
        assert [source.config_map_ref.name for source in container.env_from if source.config_map_ref] == ["settings"]
        assert [source.secret_ref.name for source in container.env_from if source.secret_ref] == ["secrets"]
        assert container.resources.requests["memory"]
        assert container.resources.limits["memory"]
        assert task.on_finish_action == "delete_succeeded_pod"
        assert task.get_logs


@pytest.mark.usefixtures("in_cluster")
@pytest.mark.parametrize("login", [False, True])
def test_pods_have_what_sql_asks_for(load: Callable[..., "DAG"], monkeypatch: pytest.MonkeyPatch, login: bool) -> None:
    monkeypatch.setenv("ECOMMERCE_TASK_SQL_CA_SECRET", "ca")
    if login:
        monkeypatch.setenv("ECOMMERCE_TASK_SQL_LOGIN_SECRET", "login")
    secured = load("kubernetes")
    for task_id in GRAPH:
        spec = task_of(secured, task_id).build_pod_request_obj().spec
        [volume] = [volume for volume in spec.volumes if volume.name == "sql-client"]
        files = {
            source.secret.name: [(item.key, item.path) for item in source.secret.items]
            for source in volume.projected.sources
        }
        names = [("username", "username"), ("password", "password")]
        assert files == {"ca": [("ca.crt", "ca.crt")], **({"login": names} if login else {})}
        [container] = spec.containers
        [mount] = [mount for mount in container.volume_mounts if mount.name == "sql-client"]
        assert (mount.mount_path, mount.read_only) == ("/etc/sql-client", True)
        assert {item.name: item.value for item in container.env}["ECOMMERCE_SQL_CREDENTIALS"] == "/etc/sql-client"


@pytest.mark.usefixtures("in_cluster")
def test_only_what_removes_raw_data_is_its_owner(pods: "DAG", processes: "DAG") -> None:
    for task_id in GRAPH:
        user = paths.OWNER if task_id == "retention" else paths.BATCH
        [container] = task_of(pods, task_id).build_pod_request_obj().spec.containers
        assert {item.name: item.value for item in container.env}["ECOMMERCE_HDFS_USER"] == user
        assert task_of(processes, task_id).variables == {"ECOMMERCE_HDFS_USER": user}


def test_an_unknown_runtime_is_an_import_error() -> None:
    from airflow.dag_processing.dagbag import DagBag

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ECOMMERCE_TASK_RUNTIME", "moon")
        bag = DagBag(DAGS, bundle_path=DAGS, bundle_name="dags")
    assert "ECOMMERCE_TASK_RUNTIME is 'moon'; it must be one of kubernetes, local" in next(
        iter(bag.import_errors.values())
    )


@pytest.mark.parametrize(
    ("parameter", "logical_date", "interval_start", "expected"),
    [
        ("2026-11-20", datetime(2026, 11, 22, tzinfo=UTC), None, "2026-11-20"),
        (None, datetime(2026, 11, 22, 0, 30, tzinfo=UTC), None, "2026-11-22"),
        (None, None, datetime(2026, 11, 21, 0, 30, tzinfo=UTC), "2026-11-21"),
    ],
)
def test_the_day_of_a_run(
    processes: "DAG",
    parameter: str | None,
    logical_date: datetime | None,
    interval_start: datetime | None,
    expected: str,
) -> None:
    assert processes.user_defined_macros
    run = SimpleNamespace(logical_date=logical_date, data_interval_start=interval_start)
    context: Any = {"params": {"date": parameter}, "dag_run": run, "run_id": "one", **processes.user_defined_macros}
    task = task_of(processes, "revenue").prepare_for_execution()
    task.render_template_fields(context)
    assert task.command[-4:] == ["--date", expected, "--run", "one"]


def test_a_run_without_any_date_fails_clearly(processes: "DAG") -> None:
    assert processes.user_defined_macros
    day = processes.user_defined_macros["day"]
    with pytest.raises(
        ValueError, match=r"no logical date; trigger it with one, or with the parameter date=YYYY-MM-DD"
    ):
        day({"date": None}, SimpleNamespace(logical_date=None, data_interval_start=None))


def test_a_date_that_is_none_is_refused_at_the_trigger(processes: "DAG") -> None:
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        processes.params.get_param("date").resolve("22 November")


def operator(command: list[str], **arguments: Any) -> Any:
    """A ProcessOperator as a task of no DAG."""
    from dags.operators import ProcessOperator

    return ProcessOperator(task_id="t", command=command, cwd=str(ROOT), variables={}, **arguments)


def test_a_process_that_fails_fails_its_task_with_its_last_line() -> None:
    with pytest.raises(RuntimeError, match=r"exited with 3: error: no data"):
        operator(["sh", "-c", "echo first; echo error: no data >&2; exit 3"]).execute({})
    operator(["true"]).execute({})


@pytest.mark.parametrize("how", ["killed", "interrupted"])
def test_a_task_that_ends_takes_its_process_with_it(how: str, tmp_path: Path) -> None:
    """In a process of its own, as a task runs, so that a signal ends the task and not the test."""
    note = tmp_path / "pid"
    command = [sys.executable, "-m", "tests.support.dag_task", str(note)]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    quiet = subprocess.DEVNULL
    parent = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=quiet, stderr=quiet)
    try:
        child = psutil.Process(int(wait_for(note)))
        family = [child, *child.children()]
        if how == "killed":
            parent.terminate()
        else:
            parent.send_signal(2)
        assert parent.wait(20) != 0
        gone, alive = psutil.wait_procs(family, 10)
        assert not alive
        assert gone
    finally:
        parent.kill()


def wait_for(file: Path) -> str:
    return until(lambda: file.read_text().strip() if file.exists() else "", seconds=30, pause=0.05, what=str(file))


def test_parsing_for_local_tasks_imports_nothing_heavy() -> None:
    variables = {**os.environ, "PYTHONWARNINGS": "ignore", "ECOMMERCE_TASK_RUNTIME": "local"}
    shown = run("tests.support.loaded", "dags.ecommerce_daily_analytics", variables=variables)
    ok(shown)
    modules = set(json.loads(shown.stdout.splitlines()[-1]))
    assert not modules & {"pandas", "pyspark", "pyarrow", "impala", "happybase", "kubernetes", "jobs"}

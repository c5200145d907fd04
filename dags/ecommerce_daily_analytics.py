"""The daily DAG: checks the day's data, fills the marts, reconciles batch with speed and exports CSV files.

``TASKS`` is the whole graph. Each task is a module of ``jobs.batch.tasks`` with the day as its argument, and runs in
one of two places, chosen by ``ECOMMERCE_TASK_RUNTIME``: ``kubernetes`` (default), where it is a pod of its own, or
``local``, where the same module with the same arguments is a process beside Airflow.

The pods' image, namespace and so on come from the environment of Airflow's own containers:

ECOMMERCE_TASK_IMAGE              image; the Airflow Variable ``ecommerce_task_image`` wins over it
ECOMMERCE_TASK_IMAGE_PULL_POLICY  default IfNotPresent
ECOMMERCE_TASK_IMAGE_PULL_SECRETS names, separated by commas
ECOMMERCE_TASK_NAMESPACE          default: the namespace that Airflow runs in
ECOMMERCE_TASK_SERVICE_ACCOUNT    default: default
ECOMMERCE_TASK_CONFIGMAP          ConfigMap with the ``ECOMMERCE_…`` settings (contracts/settings.py)
ECOMMERCE_TASK_SECRET             Secret with settings that are secret
ECOMMERCE_DAG_START               first day of the scheduled runs, YYYY-MM-DD in UTC
"""

import os
import signal
import sys
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.sdk import DAG, BaseOperator, CronDataIntervalTimetable, Param

from contracts.dag import DAG_ID

if TYPE_CHECKING:
    from airflow.sdk import Context

REPOSITORY = Path(__file__).resolve().parent.parent
RUNTIMES = ("kubernetes", "local")
TASK_LABELS = {"app.kubernetes.io/name": "airflow-task", "app.kubernetes.io/part-of": "ecommerce-lambda"}
"""Of the tasks' pods: NetworkPolicies let them in by their name."""


@dataclass(frozen=True, slots=True)
class Task:
    """A task: the module ``jobs.batch.tasks.<id>`` with ``--date`` and further arguments, after its upstream tasks."""

    id: str
    upstream: tuple[str, ...]
    doc: str
    minutes: int = 30
    memory: str = "512Mi"
    arguments: tuple[str, ...] = ()

    @property
    def command(self) -> list[str]:
        """``-m jobs.batch.tasks.…`` with its arguments, for Python; the day is a template."""
        return ["-m", f"jobs.batch.tasks.{self.id}", "--date", "{{ day(params, dag_run) }}", *self.arguments]


MARTS = ("revenue", "funnel", "affinity", "stock")
TASKS = (
    Task("check_data", (), "Fails unless every stream has landed files of the day on HDFS.", minutes=10),
    Task("repair_partitions", ("check_data",), "Makes the landed partitions and files known to the SQL endpoint."),
    Task("revenue", ("repair_partitions",), "Fills `revenue_daily`, `revenue_hourly` and `revenue_minutely`."),
    Task("funnel", ("repair_partitions",), "Fills `conversion_funnel`: Home → Product → Purchase, by sessions."),
    Task(
        "affinity", ("repair_partitions",), "Fills `category_affinity` and `product_affinity`: viewed against bought."
    ),
    Task("stock", ("repair_partitions",), "Fills `stock_daily`: stock at the end of the day, and its movements."),
    Task(
        "reconcile",
        ("revenue",),
        "Fills `reconciliation` and fails with the difference when a minute's batch revenue is not the speed layer's, "
        "late purchases added.",
    ),
    Task("export_csv", (*MARTS, "reconcile"), "Writes a CSV of each mart to `/exports/ecommerce/date=…/` on HDFS."),
)


def day(params: Any, dag_run: Any) -> str:
    """The day that a run is about: its parameter ``date``, else the date of its logical date, else of its interval.

    Raises ``ValueError`` for a run that has none of them, such as one triggered without a logical date.
    """
    if params.get("date"):
        return date.fromisoformat(params["date"]).isoformat()
    moment: datetime | None = dag_run.logical_date or dag_run.data_interval_start
    if moment is None:
        raise ValueError("this run has no logical date; trigger it with one, or with the parameter date=YYYY-MM-DD")
    return moment.date().isoformat()


class ProcessOperator(BaseOperator):
    """Runs a command as a child process: its output in the task's log, its exit code the task's result.

    Raises ``RuntimeError`` with the last line of the output when the command exits non-zero. A task that is killed or
    times out takes its child's process group with it.
    """

    template_fields = ("command",)

    def __init__(self, *, command: list[str], cwd: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.command = command
        self.cwd = cwd
        self._hook: Any = None

    def execute(self, context: "Context") -> None:
        from airflow.providers.standard.hooks.subprocess import SubprocessHook

        self._hook = SubprocessHook()
        try:
            result = self._hook.run_command(self.command, cwd=self.cwd)
        except BaseException:
            self.on_kill()
            raise
        if result.exit_code:
            raise RuntimeError(f"{' '.join(self.command[1:])} exited with {result.exit_code}: {result.output}")

    def on_kill(self) -> None:
        process = self._hook and self._hook.sub_process
        if process and process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)


def process(task: Task) -> BaseOperator:
    """The task as a process of the Python that Airflow runs on."""
    return ProcessOperator(
        task_id=task.id,
        command=[sys.executable, *task.command],
        cwd=str(REPOSITORY),
        retries=1,
        retry_delay=timedelta(seconds=5),
        execution_timeout=timedelta(minutes=task.minutes),
        doc_md=task.doc,
    )


def pod(task: Task) -> BaseOperator:
    """The task as a pod that the Pod Security Standard ``restricted`` admits."""
    from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
    from kubernetes.client import models as k8s

    setting = os.environ.get
    image = setting("ECOMMERCE_TASK_IMAGE", "ecommerce-lambda/jobs:latest")
    config_map, secret = setting("ECOMMERCE_TASK_CONFIGMAP"), setting("ECOMMERCE_TASK_SECRET")
    sources = [k8s.V1EnvFromSource(config_map_ref=k8s.V1ConfigMapEnvSource(name=config_map))] if config_map else []
    sources += [k8s.V1EnvFromSource(secret_ref=k8s.V1SecretEnvSource(name=secret))] if secret else []
    pull_secrets = filter(None, setting("ECOMMERCE_TASK_IMAGE_PULL_SECRETS", "").split(","))
    return KubernetesPodOperator(
        task_id=task.id,
        name=f"daily-{task.id}".replace("_", "-"),
        namespace=setting("ECOMMERCE_TASK_NAMESPACE"),
        image="{{ var.value.get('ecommerce_task_image', '" + image + "') }}",
        image_pull_policy=setting("ECOMMERCE_TASK_IMAGE_PULL_POLICY", "IfNotPresent"),
        image_pull_secrets=[k8s.V1LocalObjectReference(name=name.strip()) for name in pull_secrets],
        cmds=["python"],
        arguments=task.command,
        env_from=sources,
        labels={**TASK_LABELS, "app.kubernetes.io/component": task.id},
        service_account_name=setting("ECOMMERCE_TASK_SERVICE_ACCOUNT", "default"),
        automount_service_account_token=False,
        container_resources=k8s.V1ResourceRequirements(
            requests={"cpu": "100m", "memory": "256Mi"}, limits={"cpu": "1", "memory": task.memory}
        ),
        security_context=k8s.V1PodSecurityContext(
            run_as_non_root=True, seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault")
        ),
        container_security_context=k8s.V1SecurityContext(
            run_as_non_root=True,
            allow_privilege_escalation=False,
            capabilities=k8s.V1Capabilities(drop=["ALL"]),
            read_only_root_filesystem=True,
        ),
        volumes=[k8s.V1Volume(name="tmp", empty_dir=k8s.V1EmptyDirVolumeSource(size_limit="256Mi"))],
        volume_mounts=[k8s.V1VolumeMount(name="tmp", mount_path="/tmp")],  # noqa: S108
        get_logs=True,
        log_events_on_failure=True,
        on_finish_action="delete_succeeded_pod",
        termination_grace_period=30,
        startup_timeout_seconds=600,
        active_deadline_seconds=task.minutes * 60,
        retries=4,
        retry_delay=timedelta(seconds=30),
        retry_exponential_backoff=2.0,
        max_retry_delay=timedelta(minutes=15),
        execution_timeout=timedelta(minutes=task.minutes),
        doc_md=task.doc,
    )


def build() -> DAG:
    """The DAG of ``TASKS`` for the chosen runtime. Raises ``ValueError`` for an unknown one."""
    runtime = os.environ.get("ECOMMERCE_TASK_RUNTIME", "kubernetes")
    if runtime not in RUNTIMES:
        raise ValueError(f"ECOMMERCE_TASK_RUNTIME is {runtime!r}; it must be one of {', '.join(RUNTIMES)}")
    operator = process if runtime == "local" else pod
    with DAG(
        DAG_ID,
        description="Daily marts of the shop: revenue, funnel, affinity, stock; reconciled with the speed layer.",
        # The interval's first day is the one that is over when the run starts; late events had half an hour by then.
        schedule=CronDataIntervalTimetable("30 0 * * *", timezone="UTC"),
        start_date=pendulum.from_format(os.environ.get("ECOMMERCE_DAG_START", "2026-01-01"), "YYYY-MM-DD", tz="UTC"),
        catchup=False,
        max_active_runs=1,
        params={
            "date": Param(
                None,
                type=["null", "string"],
                format="date",
                title="Day",
                description="The day to compute, by event time in UTC. Left empty: the run's logical date.",
            )
        },
        user_defined_macros={"day": day},
        default_args={"owner": "data-engineering", "depends_on_past": False},
        tags=["ecommerce", "batch-layer", "daily"],
        doc_md=DOC,
    ) as dag:
        operators = {task.id: operator(task) for task in TASKS}
        for task in TASKS:
            operators[task.id].set_upstream([operators[name] for name in task.upstream])
    return dag


DOC = """
# Daily analytics

Turns a day of landed events into the marts of the database `ecommerce`, makes sure that they agree with the speed layer
to the cent, and exports them as CSV files.

- **Which day?** A scheduled run takes the day that ended half an hour before. A run by hand takes the parameter `date`,
  else the date of its logical date; without either it fails.
- **Running it again** is safe: every task overwrites its own day only. A backfill of N days is N runs.
- **A task failed?** The last line of its log is one sentence that says why. `reconcile` names the minutes that differ;
  while the speed layer is still catching up, its retries pass.
"""

dag = build()

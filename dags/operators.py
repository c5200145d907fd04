"""What the DAGs are made of: a task is a module of this repository with arguments, and runs in one of two places.

``ECOMMERCE_TASK_RUNTIME`` chooses: ``kubernetes`` (default), where it is a pod of its own, or ``local``, where the same
module with the same arguments is a process beside Airflow.

The pods' image, namespace and so on come from the environment of Airflow's own containers:

ECOMMERCE_TASK_IMAGE              image
ECOMMERCE_TASK_IMAGE_PULL_POLICY  default IfNotPresent
ECOMMERCE_TASK_IMAGE_PULL_SECRETS names, separated by commas
ECOMMERCE_TASK_NAMESPACE          default: the namespace that Airflow runs in
ECOMMERCE_TASK_SERVICE_ACCOUNT    default: default
ECOMMERCE_TASK_CONFIGMAP          ConfigMap with the ``ECOMMERCE_…`` settings (contracts/settings.py)
ECOMMERCE_TASK_SECRET             Secret with settings that are secret
ECOMMERCE_TASK_SQL_CA_SECRET      Secret with ca.crt, the CA of the SQL endpoint's certificate, where that speaks TLS
ECOMMERCE_TASK_SQL_LOGIN_SECRET   Secret with username and password for it, where it asks for a login
ECOMMERCE_TASK_METASTORE          the Hive Metastore's host:port, for lineage alone; default localhost:9083
"""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from contracts.paths import BATCH
from contracts.settings import variable

if TYPE_CHECKING:
    from airflow.sdk import Context
    from kubernetes.client import models as k8s

REPOSITORY = Path(__file__).resolve().parent.parent
HDFS_USER = variable("hdfs_user")
SQL_CREDENTIALS = "/etc/sql-client"
TASK_LABELS = {"app.kubernetes.io/name": "airflow-task", "app.kubernetes.io/part-of": "ecommerce-lambda"}
"""Of the tasks' pods: NetworkPolicies let them in by their name."""


@dataclass(frozen=True, slots=True)
class Task:
    """A task: a module with arguments, which may be templates, after its upstream tasks."""

    id: str
    module: str
    arguments: tuple[str, ...]
    doc: str
    upstream: tuple[str, ...] = ()
    minutes: int = 30
    memory: str = "512Mi"
    hdfs_user: str = BATCH
    """Who it is on HDFS."""
    reads: tuple[str, ...] = ()
    """Tables of the database ``ecommerce``, for lineage."""
    writes: tuple[str, ...] = ()

    @property
    def command(self) -> list[str]:
        """For Python."""
        return ["-m", self.module, *self.arguments]


class ProcessOperator(BaseOperator):
    """Runs a command as a child process: its output in the task's log, its exit code the task's result.

    Raises ``RuntimeError`` with the last line of the output when the command exits non-zero. A task that is killed or
    times out takes its child's process group with it.
    """

    template_fields = ("command",)

    def __init__(self, *, command: list[str], cwd: str, variables: dict[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.command = command
        self.cwd = cwd
        self.variables = variables
        self._hook: Any = None

    def execute(self, context: "Context") -> None:
        from airflow.providers.standard.hooks.subprocess import SubprocessHook

        self._hook = SubprocessHook()
        try:
            result = self._hook.run_command(self.command, cwd=self.cwd, env={**os.environ, **self.variables})
        except BaseException:
            self.on_kill()
            raise
        if result.exit_code:
            raise RuntimeError(f"{' '.join(self.command[1:])} exited with {result.exit_code}: {result.output}")

    def on_kill(self) -> None:
        process = self._hook and self._hook.sub_process
        if process and process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)


def lineage(task: Task) -> dict[str, Any]:
    """What an operator is told of the tables that its task reads and writes; OpenLineage's provider pushes it.

    Named as https://openlineage.io/docs/spec/naming has it for Hive.
    """
    from airflow.providers.common.compat.lineage.entities import Table

    metastore = f"hive://{os.environ.get('ECOMMERCE_TASK_METASTORE', 'localhost:9083')}"
    return {
        kind: [Table(cluster=metastore, database="ecommerce", name=name) for name in names]
        for kind, names in (("inlets", task.reads), ("outlets", task.writes))
    }


def process(task: Task) -> BaseOperator:
    """The task as a process of the Python that Airflow runs on."""
    return ProcessOperator(
        task_id=task.id,
        command=[sys.executable, *task.command],
        cwd=str(REPOSITORY),
        variables={HDFS_USER: task.hdfs_user},
        retries=1,
        retry_delay=timedelta(seconds=5),
        execution_timeout=timedelta(minutes=task.minutes),
        doc_md=task.doc,
        **lineage(task),
    )


def pod(task: Task) -> BaseOperator:
    """The task as a pod that the Pod Security Standard ``restricted`` admits."""
    from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
    from kubernetes.client import models as k8s

    setting = os.environ.get
    config_map, secret = setting("ECOMMERCE_TASK_CONFIGMAP"), setting("ECOMMERCE_TASK_SECRET")
    sources = [k8s.V1EnvFromSource(config_map_ref=k8s.V1ConfigMapEnvSource(name=config_map))] if config_map else []
    sources += [k8s.V1EnvFromSource(secret_ref=k8s.V1SecretEnvSource(name=secret))] if secret else []
    environment = [k8s.V1EnvVar(name=HDFS_USER, value=task.hdfs_user)]
    volumes = [k8s.V1Volume(name="tmp", empty_dir=k8s.V1EmptyDirVolumeSource(size_limit="256Mi"))]
    mounts = [k8s.V1VolumeMount(name="tmp", mount_path="/tmp")]  # noqa: S108
    if credentials := _sql_credentials():
        environment.append(k8s.V1EnvVar(name="ECOMMERCE_SQL_CREDENTIALS", value=SQL_CREDENTIALS))
        volumes.append(credentials)
        mounts.append(k8s.V1VolumeMount(name=credentials.name, mount_path=SQL_CREDENTIALS, read_only=True))
    pull_secrets = filter(None, setting("ECOMMERCE_TASK_IMAGE_PULL_SECRETS", "").split(","))
    return KubernetesPodOperator(
        task_id=task.id,
        name=task.id.replace("_", "-"),
        namespace=setting("ECOMMERCE_TASK_NAMESPACE"),
        image=setting("ECOMMERCE_TASK_IMAGE", "ecommerce-lambda/jobs:latest"),
        image_pull_policy=setting("ECOMMERCE_TASK_IMAGE_PULL_POLICY", "IfNotPresent"),
        image_pull_secrets=[k8s.V1LocalObjectReference(name=name.strip()) for name in pull_secrets],
        cmds=["python"],
        arguments=task.command,
        env_from=sources,
        env_vars=environment,
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
        volumes=volumes,
        volume_mounts=mounts,
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
        **lineage(task),
    )


def _sql_credentials() -> "k8s.V1Volume | None":
    """What a task's pod has of the SQL endpoint's CA and login; None where the endpoint speaks plaintext."""
    from kubernetes.client import models as k8s

    files = {"ECOMMERCE_TASK_SQL_CA_SECRET": ("ca.crt",), "ECOMMERCE_TASK_SQL_LOGIN_SECRET": ("username", "password")}
    sources = [
        k8s.V1VolumeProjection(
            secret=k8s.V1SecretProjection(name=name, items=[k8s.V1KeyToPath(key=key, path=key) for key in keys])
        )
        for variable, keys in files.items()
        if (name := os.environ.get(variable))
    ]
    projected = k8s.V1ProjectedVolumeSource(default_mode=0o444, sources=sources)
    return k8s.V1Volume(name="sql-client", projected=projected) if sources else None


def operator() -> Callable[[Task], BaseOperator]:
    """What makes an operator of a task in the chosen runtime. Raises ``ValueError`` for an unknown one."""
    runtimes = {"kubernetes": pod, "local": process}
    runtime = os.environ.get("ECOMMERCE_TASK_RUNTIME", "kubernetes")
    if runtime not in runtimes:
        raise ValueError(f"ECOMMERCE_TASK_RUNTIME is {runtime!r}; it must be one of {', '.join(runtimes)}")
    return runtimes[runtime]

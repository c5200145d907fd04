"""Airflow and the metastore on a PostgreSQL of one's own with TLS, its dumps, and what is restored from them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from kubernetes import client

from clients.retry import until
from images.builder import image_name
from support.platform import (
    NAME,
    RATE,
    REGISTRY,
    RESTRICTED_CONTAINER,
    RESTRICTED_POD,
    Cluster,
    Platform,
    exact,
    installed,
    make_room,
    typed,
)
from support.shop import Shop

pytestmark = pytest.mark.faults

NAMESPACE = "ecommerce-databases"
OWN = "postgres"
PASSWORDS = {"flow": "p@ss/w:r d?&#%'$", "lake": "p@ss/w:rd?&#%$"}
"""By database; Hive's schema tool takes no blanks and no quotes."""
METASTORE = f"{NAME}-hive-metastore"
BACKUP = f"{METASTORE}-postgres-backup"
SECONDS = 300
EGRESS = "global.networkPolicies.egress.allow"


def external(database: str) -> dict[str, object]:
    """A part's values for a database on the server of this test, whose owner has its name."""
    tls = {"sslmode": "verify-full", "caSecret": OWN}
    return {"existingSecret": database, "external": {"host": OWN, "database": database, "user": database, **tls}}


def own_postgres(core: client.CoreV1Api) -> None:
    """A server that asks for TLS, with the databases flow and lake, under the name ``postgres``."""
    authority = trustme.CA()
    certificate = authority.issue_cert(OWN)
    for database, password in PASSWORDS.items():
        core.create_namespaced_secret(NAMESPACE, {"metadata": {"name": database}, "stringData": {"password": password}})
    secret = {
        "ca.crt": authority.cert_pem.bytes().decode(),
        "tls.crt": b"".join(blob.bytes() for blob in certificate.cert_chain_pems).decode(),
        "tls.key": certificate.private_key_pem.bytes().decode(),
    }
    core.create_namespaced_secret(NAMESPACE, {"metadata": {"name": OWN}, "stringData": secret})
    core.create_namespaced_service(
        NAMESPACE, {"metadata": {"name": OWN}, "spec": {"selector": {"app": OWN}, "ports": [{"port": 5432}]}}
    )
    container = {
        "name": OWN,
        "image": image_name("postgres", REGISTRY or "docker.io"),
        "args": [
            *("-c", "ssl=on", "-c", "ssl_cert_file=/etc/tls/tls.crt", "-c", "ssl_key_file=/etc/tls/tls.key"),
            *("-c", "unix_socket_directories=/tmp"),
        ],
        "env": [
            {"name": "POSTGRES_USER", "value": "flow"},
            {"name": "POSTGRES_DB", "value": "flow"},
            {"name": "POSTGRES_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "flow", "key": "password"}}},
        ],
        "securityContext": RESTRICTED_CONTAINER,
        "volumeMounts": [
            {"name": "tls", "mountPath": "/etc/tls"},
            {"name": "data", "mountPath": "/var/lib/postgresql/data"},
        ],
    }
    spec = {
        "containers": [container],
        "securityContext": {**RESTRICTED_POD, "runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001},
        "volumes": [
            {"name": "tls", "secret": {"secretName": OWN, "defaultMode": 0o440}},
            {"name": "data", "emptyDir": {}},
        ],
    }
    core.create_namespaced_pod(NAMESPACE, {"metadata": {"name": OWN, "labels": {"app": OWN}}, "spec": spec})
    until(lambda: sql(core, "flow", "SELECT 1").strip(), "1".__eq__, seconds=SECONDS, what="the database")
    assert "CREATE ROLE" in sql(core, "flow", f"CREATE ROLE lake LOGIN PASSWORD '{PASSWORDS['lake']}'")
    assert "CREATE DATABASE" in sql(core, "flow", "CREATE DATABASE lake OWNER lake")
    # Who does not ask by TLS is not let in.
    rules = "SELECT 'hostnossl all all all reject' UNION ALL SELECT 'hostssl all all all scram-sha-256'"
    sql(core, "flow", f"COPY ({rules}) TO '/var/lib/postgresql/data/pgdata/pg_hba.conf'")
    sql(core, "flow", "SELECT pg_reload_conf()")


def sql(core: client.CoreV1Api, database: str, statement: str) -> str:
    """What the server answers, asked in its own pod."""
    command = ["env", f"PGPASSWORD={PASSWORDS['flow']}", "psql", "-At", "-h", "localhost", "-U", "flow", database]
    try:
        return typed(core, NAMESPACE, OWN, [*command, "-c", statement])
    except client.ApiException as error:
        return str(error)


@pytest.fixture(scope="module")
def platform_on_it(cluster: Cluster, images: None, charts: Path) -> Iterator[Platform]:
    make_room(cluster.api, NAMESPACE)
    core = client.CoreV1Api(cluster.api)
    core.create_namespace({"metadata": {"name": NAMESPACE}})
    own_postgres(core)
    values = {
        "generator.rate": RATE,
        "airflow.postgres": external("flow"),
        "hive-metastore.postgres": {**external("lake"), "backup": {"enabled": True, "keep": 2}},
        EGRESS: [{"to": [{"podSelector": {"matchLabels": {"app": OWN}}}], "ports": [{"port": 5432}]}],
    }
    yield installed(cluster, NAMESPACE, values)
    make_room(cluster.api, NAMESPACE)


def job_of(platform: Platform, name: str, **environment: str) -> str:
    """Runs a Job made from the CronJob to its end; its log."""
    batch = client.BatchV1Api(platform.release.api)
    spec: Any = batch.read_namespaced_cron_job(BACKUP, NAMESPACE).spec.job_template.spec
    container = spec.template.spec.containers[0]
    container.env += [client.V1EnvVar(name=key, value=value) for key, value in environment.items()]
    batch.create_namespaced_job(NAMESPACE, client.V1Job(metadata=client.V1ObjectMeta(name=name), spec=spec))

    def ended() -> Any:
        return batch.read_namespaced_job(name, NAMESPACE).status

    status = until(ended, lambda found: found.succeeded or found.failed, seconds=SECONDS, what=f"the Job {name}")
    (pod,) = platform.release.core.list_namespaced_pod(NAMESPACE, label_selector=f"job-name={name}").items
    answer = platform.release.core.read_namespaced_pod_log(pod.metadata.name, NAMESPACE, _preload_content=False)
    log: str = answer.data.decode()
    assert status.succeeded, log
    return log


def scale_metastore(platform: Platform, replicas: int) -> None:
    apps = client.AppsV1Api(platform.release.api)
    apps.patch_namespaced_deployment_scale(METASTORE, NAMESPACE, {"spec": {"replicas": replicas}})
    until(
        lambda: apps.read_namespaced_deployment(METASTORE, NAMESPACE).status.ready_replicas or 0,
        replicas.__eq__,
        seconds=SECONDS,
        what=f"{replicas} metastores",
    )


def test_the_platform_works_on_databases_of_ones_own(platform_on_it: Platform) -> None:
    exact(platform_on_it, Shop(platform_on_it.release))
    core = platform_on_it.release.core
    assert int(sql(core, "lake", 'SELECT COUNT(*) FROM "PARTITIONS"')) > 0
    assert int(sql(core, "flow", "SELECT COUNT(*) FROM dag")) == 2
    assert sql(core, "flow", "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
        "WHERE client_addr IS NOT NULL AND client_addr <> '127.0.0.1'").split() == ["t"]  # fmt: skip
    there = {pod.metadata.labels["app.kubernetes.io/name"] for pod in platform_on_it.release.pods()}
    assert not {"airflow-postgres", "hive-metastore-postgres"} & there


def test_a_dump_brings_back_what_was_dropped(platform_on_it: Platform) -> None:
    core, count = platform_on_it.release.core, 'SELECT COUNT(*) FROM "PARTITIONS"'
    dumps = [line.split()[-1] for line in job_of(platform_on_it, "one").splitlines() if line.endswith(".dump")]
    assert len(dumps) == 1
    before = sql(core, "lake", count)
    scale_metastore(platform_on_it, 0)
    for table in ("PARTITIONS", "TBLS"):
        assert "DROP TABLE" in sql(core, "lake", f'DROP TABLE "{table}" CASCADE')
    job_of(platform_on_it, "back", RESTORE=dumps[0].rpartition("/")[2])
    assert sql(core, "lake", count) == before
    scale_metastore(platform_on_it, 1)
    tables = platform_on_it.run(
        "python", "-m", "jobs.prepare", "wait", "--for", "hive-tables", "--timeout", f"{SECONDS}"
    )
    assert "there" in tables


def test_the_newest_dumps_are_kept(platform_on_it: Platform) -> None:
    logs = [job_of(platform_on_it, name) for name in ("two", "three")]
    dumps = [[line.split()[-1] for line in log.splitlines() if line.endswith(".dump")] for log in logs]
    assert [len(names) for names in dumps] == [2, 2]
    assert dumps[0][1] == dumps[1][0]

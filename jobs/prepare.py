"""Creates what the contracts name and is not there yet: Kafka topics, folders on HDFS, HBase and Hive tables.

Everything here may run at any time and any number of times: what is there stays as it is, but the rights of Kafka's
clients, which are made to be those of the contracts. A server that does not answer yet is
waited for.
"""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click
import requests
import structlog
import tenacity
from hdfs import HdfsError
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from contracts import kafka, paths
from contracts.command import CommandError, run, with_settings
from contracts.kafka import CLIENTS, KAFKA_SETTINGS
from contracts.settings import Settings
from contracts.tables import DATABASE, HBASE_TABLES, MARTS, RAW, HBaseTable
from contracts.topics import TOPICS
from jobs import access, hbase, hdfs
from jobs.batch.create_tables import create_tables as create_hive
from jobs.batch.endpoint import SQL_SETTINGS, connect

SECONDS = 30
"""For one answer of a server."""
PASSING = (CommandError, HdfsError, KafkaError, requests.RequestException, *hbase.PASSING)
Result = TypeVar("Result")
log = structlog.get_logger()


class Missing(Exception):
    """What is waited for is not there yet."""


@dataclass(frozen=True, slots=True)
class Part:
    """A kind of thing to prepare: which of them are missing, and how they are made."""

    missing: Callable[[Settings], list[str]]
    create: Callable[[Settings, list[str]], None]


def _admin(settings: Settings) -> KafkaAdminClient:
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # it logs every try
    return KafkaAdminClient(**kafka.kafka_python(settings), request_timeout_ms=SECONDS * 1000)


def missing_topics(settings: Settings) -> list[str]:
    """The topics of ``contracts.topics`` that the broker does not list."""
    with closing(_admin(settings)) as admin:
        there = set(admin.list_topics())
    return [topic.name for topic in TOPICS if topic.name not in there]


def create_topics(settings: Settings, names: list[str], replication_factor: int = 1) -> None:
    """Creates these topics with the settings of the contract; ``replication_factor`` belongs to the cluster."""
    wanted = {
        topic.name: {
            "num_partitions": topic.partitions,
            "replication_factor": replication_factor,
            "configs": topic.config,
        }
        for topic in TOPICS
        if topic.name in names
    }
    with closing(_admin(settings)) as admin:
        admin.create_topics(wanted, timeout_ms=SECONDS * 1000, wait_for_metadata=True)


def permit_clients(settings: Settings, passwords: dict[str, str], prefix: str) -> list[str]:
    """Makes the users of Kafka's clients and their rights; ``passwords`` are by client. Returns the users' names."""
    with closing(_admin(settings)) as admin:
        return access.permit(admin, passwords, prefix)


def missing_folders(settings: Settings) -> list[str]:
    """The folders of ``contracts.paths`` that are not on HDFS."""
    client = hdfs.client(settings)
    return [folder for folder in paths.ALL if client.status(folder, strict=False) is None]


def create_folders(settings: Settings, folders: list[str]) -> None:
    """Makes these folders, owned by the HDFS user."""
    client = hdfs.client(settings)
    for folder in folders:
        client.makedirs(folder)


def missing_hbase_tables(settings: Settings) -> list[str]:
    """The tables of ``contracts.tables`` that HBase does not list."""
    with closing(hbase.connect(settings)) as connection:
        there = {name.decode() for name in connection.tables()}
    return [table.name for table in HBASE_TABLES if table.name not in there]


def create_hbase_tables(settings: Settings, names: list[str]) -> None:
    """Creates these tables side by side, because each takes HBase a second."""

    def create(table: HBaseTable) -> None:
        with closing(hbase.connect(settings)) as connection:
            connection.create_table(table.name, table.families)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(create, [table for table in HBASE_TABLES if table.name in names]))


def missing_hive_tables(settings: Settings) -> list[str]:
    """The tables of the database that the SQL endpoint does not list."""
    with connect(settings) as sql:
        if (DATABASE,) not in [row[:1] for row in sql.rows("SHOW DATABASES")]:
            return [*RAW, *MARTS]
        there = {name for row in sql.rows(f"SHOW TABLES IN {DATABASE}") for name in row}
    return [table.name for table in (*RAW.values(), *MARTS.values()) if table.name not in there]


def create_hive_tables(settings: Settings, names: list[str]) -> None:
    """The database, the external tables and the marts."""
    with connect(settings) as sql:
        create_hive(sql, settings.hdfs_uri)


PARTS = {
    "topics": Part(missing_topics, create_topics),
    "folders": Part(missing_folders, create_folders),
    "hbase-tables": Part(missing_hbase_tables, create_hbase_tables),
    "hive-tables": Part(missing_hive_tables, create_hive_tables),
}


def prepare(settings: Settings, name: str, create: Callable[[Settings, list[str]], None] | None = None) -> list[str]:
    """Creates what is missing of a part and returns its names; raises what its server's client raises."""
    part = PARTS[name]
    missing = part.missing(settings)
    if missing:
        (create or part.create)(settings, missing)
    return missing


def _persist(what: str, seconds: float, work: Callable[[], Result]) -> Result:
    """Repeats work while its server does not answer. Raises ``CommandError`` with the last reason in the end."""

    def waiting(state: tenacity.RetryCallState) -> None:
        if state.attempt_number % 5 == 1 and state.outcome:
            log.info("waiting", what=what, reason=str(state.outcome.exception())[:300])

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((*PASSING, Missing)),
        stop=tenacity.stop_after_delay(seconds),
        wait=tenacity.wait_fixed(2),
        before_sleep=waiting,
        reraise=True,
    )
    try:
        return retrying(work)
    except (*PASSING, Missing) as error:
        raise CommandError(f"{what}: gave up after {seconds:g} s: {error}") from error


timeout = click.option("--timeout", default=600.0, show_default=True, help="Seconds to wait for the server.")


@click.group()
def main() -> None:
    """Creates what the contracts name and is not there yet; waits for the servers. Safe to run again."""


@main.command()
@click.option("--replication-factor", type=click.IntRange(1), default=1, show_default=True)
@timeout
@with_settings(*KAFKA_SETTINGS)
def topics(settings: Settings, replication_factor: int, timeout: float) -> None:
    """Kafka topics."""

    def create(settings: Settings, names: list[str]) -> None:
        create_topics(settings, names, replication_factor)

    _create("topics", settings, timeout, create)


@main.command()
@click.option(
    "--passwords",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help=f"Folder with a file for each of {', '.join(client.name for client in CLIENTS)}, which holds its password.",
)
@click.option("--prefix", default="", help="Before each client's name in its user's name.")
@timeout
@with_settings(*KAFKA_SETTINGS)
def clients(settings: Settings, passwords: Path, prefix: str, timeout: float) -> None:
    """Kafka's users, and what each may read and write."""
    given = {client.name: (passwords / client.name).read_text() for client in CLIENTS}
    log.info(
        "prepared",
        part="clients",
        created=_persist("clients", timeout, lambda: permit_clients(settings, given, prefix)),
    )


@main.command()
@timeout
@with_settings("webhdfs_url", "hdfs_user")
def folders(settings: Settings, timeout: float) -> None:
    """Folders on HDFS."""
    _create("folders", settings, timeout)


@main.command()
@timeout
@with_settings("hbase_thrift_host", "hbase_thrift_port")
def hbase_tables(settings: Settings, timeout: float) -> None:
    """HBase tables."""
    _create("hbase-tables", settings, timeout)


@main.command()
@timeout
@with_settings("hdfs_uri", *SQL_SETTINGS)
def hive_tables(settings: Settings, timeout: float) -> None:
    """The database, its external tables and the marts."""
    _create("hive-tables", settings, timeout)


@main.command()
@click.option("--for", "names", multiple=True, required=True, type=click.Choice(list(PARTS)), help="Can be repeated.")
@timeout
@with_settings(*KAFKA_SETTINGS, "webhdfs_url", "hdfs_user", "hbase_thrift_host", "hbase_thrift_port", *SQL_SETTINGS)
def wait(settings: Settings, names: tuple[str, ...], timeout: float) -> None:
    """Waits until all of it is there; creates nothing."""

    def check(name: str) -> None:
        if missing := PARTS[name].missing(settings):
            raise Missing(f"{', '.join(missing)} not there yet")

    for name in names:
        _persist(name, timeout, lambda name=name: check(name))  # type: ignore[misc]
        log.info("there", part=name)


def _create(
    name: str, settings: Settings, seconds: float, create: Callable[[Settings, list[str]], None] | None = None
) -> None:
    created = _persist(name, seconds, lambda: prepare(settings, name, create))
    log.info("prepared", part=name, created=created)


if __name__ == "__main__":
    run(main)

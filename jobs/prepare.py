"""Creates what the contracts name and is not there yet: Kafka topics, folders on HDFS, HBase and Hive tables.

Everything here may run at any time and any number of times: what is there stays as it is, but the rights of Kafka's
clients, which are made to be those of the contracts. A server that does not answer yet is waited for; one that refuses
is not asked again.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from operator import not_
from pathlib import Path

import click
import structlog

from clients import hbase, hdfs, kafka, retry, sql
from clients.hbase import HBASE_SETTINGS
from clients.hdfs import HDFS_SETTINGS
from clients.kafka import KAFKA_SETTINGS
from clients.sql import SQL_SETTINGS
from contracts import paths
from contracts.acls import CLIENTS
from contracts.command import run, with_settings
from contracts.errors import NotReady, Refused
from contracts.hbase import HBASE_TABLES, HBaseTable
from contracts.hive import DATABASE, MARTS, RAW, Column, HiveTable
from contracts.settings import Settings
from contracts.topics import TOPICS
from jobs import acls

SECONDS = 30
"""For Kafka to make topics."""
PAUSE_SECONDS = 2.0
FOLDERS = (*paths.ALL, *(table.location for table in RAW.values()))
"""Those of the tables are there before the tables are made, by whoever may not make them."""
WRITERS = (paths.BATCH, paths.OWNER)
"""Of the folders of ``batch``: the owner may change what it makes there."""
Create = Callable[[Settings, list[str]], None]
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Part:
    """A kind of thing to prepare: which of them are missing, and how they are made."""

    missing: Callable[[Settings], list[str]]
    create: Create


def missing_topics(settings: Settings) -> list[str]:
    """The topics of ``contracts.topics`` that the broker does not list."""
    with kafka.admin(settings) as admin:
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
    with kafka.admin(settings) as admin:
        admin.create_topics(wanted, timeout_ms=SECONDS * 1000, wait_for_metadata=True)


def permit_clients(
    settings: Settings, passwords: dict[str, str], byte_rates: dict[str, float], prefix: str
) -> list[str]:
    """Makes the users of Kafka's clients, their rights and quotas (:func:`jobs.acls.permit`). Returns their names."""
    with kafka.admin(settings) as admin:
        return acls.permit(admin, passwords, byte_rates, prefix)


def missing_folders(settings: Settings) -> list[str]:
    """The folders of ``contracts.paths`` that are not on HDFS, or in which somebody may not write who should."""
    client = hdfs.client(settings)

    def ready(folder: str) -> bool:
        if not hdfs.exists(client, folder):
            return False
        if folder == paths.TEMPORARY:
            return hdfs.mode(client, folder) == hdfs.OPEN
        return folder not in paths.OF_BATCH or hdfs.may_write(client, folder, WRITERS)

    return [folder for folder in FOLDERS if not ready(folder)]


def create_folders(settings: Settings, folders: list[str]) -> None:
    """Makes these folders, owned by the HDFS user, and gives the rights of ``contracts.paths``."""
    client = hdfs.client(settings)
    for folder in folders:
        hdfs.make_folder(client, folder)
        if folder == paths.TEMPORARY:
            hdfs.open_to_all(client, folder)
        if folder in paths.OF_BATCH:
            hdfs.let_write(client, folder, WRITERS)


def missing_hbase_tables(settings: Settings) -> list[str]:
    """The tables of ``contracts.hbase`` that HBase does not list."""
    with hbase.connection(settings) as connection:
        there = {name.decode() for name in connection.tables()}
    return [table.name for table in HBASE_TABLES if table.name not in there]


def create_hbase_tables(settings: Settings, names: list[str]) -> None:
    """Creates these tables side by side, because each takes HBase a second."""

    def create(table: HBaseTable) -> None:
        with hbase.connection(settings) as connection:
            connection.create_table(table.name, table.families)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(create, [table for table in HBASE_TABLES if table.name in names]))


def missing_hive_tables(settings: Settings) -> list[str]:
    """The tables of the database that the SQL endpoint does not list, or that lack columns."""
    tables = (*RAW.values(), *MARTS.values())
    with sql.connect(settings) as session:
        if (DATABASE,) not in [row[:1] for row in session.rows("SHOW DATABASES")]:
            return [table.name for table in tables]
        there = {name for row in session.rows(f"SHOW TABLES IN {DATABASE}") for name in row}
        return [table.name for table in tables if table.name not in there or missing_columns(session, table)]


def missing_columns(session: sql.Sql, table: HiveTable) -> list[Column]:
    """The columns of the contract that a table of an earlier version lacks."""
    there = {row[0] for row in session.rows(f"DESCRIBE {table.qualified}")}
    return [column for column in table.columns if column.name not in there]


def add_columns(session: sql.Sql, table: HiveTable) -> None:
    """Adds them, at the table's end: Parquet is read by the columns' names, and files of before hold NULL there."""
    if added := missing_columns(session, table):
        columns = ", ".join(f"`{column.name}` {column.type}" for column in added)
        session.execute(f"ALTER TABLE {table.qualified} ADD COLUMNS ({columns})")


def create_hive_tables(settings: Settings, names: list[str]) -> None:
    """The database, and these of its tables with all columns: external ones, whose data belong to their folders."""
    with sql.connect(settings) as session:
        create_tables(session, names, settings.hdfs_uri)


def create_tables(session: sql.Sql, names: list[str], hdfs_uri: str) -> None:
    """The same in a session; the data are below ``hdfs_uri``."""
    session.execute(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
    for table in (*RAW.values(), *MARTS.values()):
        if table.name in names:
            session.execute(table.ddl(hdfs_uri))
            add_columns(session, table)


PARTS = {
    "topics": Part(missing_topics, create_topics),
    "folders": Part(missing_folders, create_folders),
    "hbase-tables": Part(missing_hbase_tables, create_hbase_tables),
    "hive-tables": Part(missing_hive_tables, create_hive_tables),
}


def prepare(settings: Settings, name: str, create: Create | None = None) -> list[str]:
    """Creates what is missing of a part and returns its names; raises what its server's client raises."""
    part = PARTS[name]
    missing = part.missing(settings)
    if missing:
        (create or part.create)(settings, missing)
    return missing


timeout = click.option("--timeout", default=600.0, show_default=True, help="Seconds to wait for the server.")


@click.group()
def main() -> None:
    """Create what the contracts name and is not there yet; wait for the servers. Safe to run again."""


@main.command()
@click.option("--replication-factor", type=click.IntRange(1), default=1, show_default=True)
@timeout
@with_settings(*KAFKA_SETTINGS)
def topics(settings: Settings, replication_factor: int, timeout: float) -> None:
    """Kafka topics."""
    _create("topics", settings, timeout, partial(create_topics, replication_factor=replication_factor))


@main.command()
@click.option(
    "--passwords",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help=f"Folder with a file for each of {', '.join(client.name for client in CLIENTS)}, which holds its password.",
)
@click.option("--prefix", default="", help="Before each client's name in its user's name.")
@click.option(
    "--producer-byte-rate",
    "byte_rates",
    type=(click.Choice([client.name for client in CLIENTS]), click.FloatRange(min=1)),
    multiple=True,
    metavar="CLIENT BYTES",
    help="Bytes/s that a client may write to each broker; without it as fast as it can. Can be repeated.",
)
@timeout
@with_settings(*KAFKA_SETTINGS)
def clients(
    settings: Settings, passwords: Path, prefix: str, byte_rates: tuple[tuple[str, float], ...], timeout: float
) -> None:
    """Kafka's users, what each may read and write, and how fast."""
    given = {client.name: (passwords / client.name).read_text() for client in CLIENTS}
    _report("clients", timeout, lambda: permit_clients(settings, given, dict(byte_rates), prefix))


@main.command()
@timeout
@with_settings(*HDFS_SETTINGS)
def folders(settings: Settings, timeout: float) -> None:
    """Folders on HDFS."""
    _create("folders", settings, timeout)


@main.command()
@timeout
@with_settings(*HBASE_SETTINGS)
def hbase_tables(settings: Settings, timeout: float) -> None:
    """HBase tables."""
    _create("hbase-tables", settings, timeout)


@main.command()
@timeout
@with_settings("hdfs_uri", *SQL_SETTINGS)
def hive_tables(settings: Settings, timeout: float) -> None:
    """The database, its external tables and the marts; columns that a table of an earlier version lacks."""
    _create("hive-tables", settings, timeout)


@main.command()
@click.option("--for", "names", multiple=True, required=True, type=click.Choice(list(PARTS)), help="Can be repeated.")
@timeout
@with_settings(*KAFKA_SETTINGS, *HDFS_SETTINGS, *HBASE_SETTINGS, *SQL_SETTINGS)
def wait(settings: Settings, names: tuple[str, ...], timeout: float) -> None:
    """Wait until all of it is there, the right to ask among it; create nothing."""
    for name in names:
        missing = partial(_missing, settings, name)
        retry.until(missing, not_, seconds=timeout, pause=PAUSE_SECONDS, what=f"the missing {name}")
        log.info("there", part=name)


def _missing(settings: Settings, name: str) -> list[str]:
    try:
        return PARTS[name].missing(settings)
    except Refused as error:
        raise NotReady(str(error)) from error


def _create(name: str, settings: Settings, seconds: float, create: Create | None = None) -> None:
    _report(name, seconds, lambda: prepare(settings, name, create))


def _report(name: str, seconds: float, work: Callable[[], list[str]]) -> None:
    """Does the work, for ``seconds`` again while its server does not answer, and logs what it made."""
    made = retry.until(work, lambda _: True, seconds=seconds, pause=PAUSE_SECONDS, what=name)
    log.info("prepared", part=name, created=made)


if __name__ == "__main__":
    run(main)

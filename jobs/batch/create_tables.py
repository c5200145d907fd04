"""The database and its tables: external ones over the landed streams, and the marts. Safe to run at any time."""

import click
import structlog

from contracts.command import run, with_settings
from contracts.settings import Settings
from contracts.tables import DATABASE, MARTS, RAW
from jobs.batch.endpoint import SQL_SETTINGS, Sql, connect

log = structlog.get_logger()


def create_tables(sql: Sql, hdfs_uri: str) -> None:
    """Creates what is missing; a table that is there stays as it is. The data belong to the folders, not the tables."""
    sql.execute(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
    for table in (*RAW.values(), *MARTS.values()):
        sql.execute(table.ddl(hdfs_uri))


@click.command()
@with_settings("hdfs_uri", *SQL_SETTINGS)
def main(settings: Settings) -> None:
    """Creates the database, the external tables of the raw streams and the marts, where they are missing."""
    with connect(settings) as sql:
        create_tables(sql, settings.hdfs_uri)
    log.info("created", database=DATABASE, tables=[*RAW, *MARTS])


if __name__ == "__main__":
    run(main)

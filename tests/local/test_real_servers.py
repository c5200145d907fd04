"""The real servers, once they run."""

from pathlib import Path

import psutil
import psycopg2
import pytest

from contracts.errors import PlatformError
from contracts.hbase import HBASE_TABLES
from contracts.topics import TOPICS
from local import postgres, ready
from local.ports import HOST, Ports
from local.servers import SERVERS
from local.site import Site
from local.stack import Stack


def test_everything_listens_on_loopback_only(local_stack: Stack) -> None:
    addresses = {
        connection.laddr.ip
        for server in local_stack.status()
        if server.pid
        for process in [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {HOST}


def test_the_readiness_checks_tell_a_dead_server(local_stack: Stack, tmp_path: Path) -> None:
    nobody = Site(tmp_path, Ports.free())
    for server in SERVERS:
        if not server.on_request:
            server.ready(local_stack.site)
            with pytest.raises((PlatformError, OSError, psycopg2.OperationalError), match=r"[Cc]onnection refused"):
                server.ready(nobody)


def test_the_stack_is_small(local_stack: Stack) -> None:
    servers = [server for server in local_stack.status() if not server.on_request]
    assert sum(server.rss_bytes for server in servers) < 5 * 2**30


def test_the_contracts_are_prepared_and_preparing_again_changes_nothing(local_stack: Stack) -> None:
    import happybase
    from confluent_kafka.admin import AdminClient

    local_stack.prepare()
    topics = AdminClient({"bootstrap.servers": local_stack.settings().kafka_bootstrap}).list_topics(timeout=10).topics
    assert {name for name in topics if not name.startswith("__")} == {topic.name for topic in TOPICS}
    assert all(len(topics[topic.name].partitions) >= topic.partitions for topic in TOPICS), "another test adds some"
    connection = happybase.Connection(HOST, local_stack.site.ports.hbase_thrift)
    assert {name.decode() for name in connection.tables()} == {table.name for table in HBASE_TABLES}
    connection.close()


def test_no_password_is_in_a_log_or_on_a_command_line(local_stack: Stack) -> None:
    site = local_stack.site
    secrets = [site.password(user) for user in (postgres.SUPERUSER, *postgres.DATABASES)]
    texts = [log.read_text(errors="replace") for log in site.logs.iterdir()]
    texts += [" ".join(psutil.Process(server.pid).cmdline()) for server in local_stack.status() if server.pid]
    texts.append((site.run / "supervisord.conf").read_text())
    assert not [secret for secret in secrets for text in texts if secret in text]


def test_the_database_asks_for_its_password(local_stack: Stack) -> None:
    ready.postgres(local_stack.site)
    address = {"host": HOST, "port": local_stack.site.ports.postgres}
    for password in ("", "metastore", "postgres"):
        with pytest.raises(psycopg2.OperationalError, match="password"):
            psycopg2.connect(dbname="metastore", user="metastore", password=password, **address)

"""Readiness checks: each asks the server for what it is there for, and raises while it does not answer."""

import json
import socket
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import closing
from typing import Any

from local.ports import HOST
from local.site import Site

SECONDS = 5.0
"""Longest wait for one answer; the checks are repeated until the server's own deadline."""


class NotReady(Exception):
    """The server answers, but not yet with what makes it ready."""


def kafka(site: Site) -> None:
    """The broker lists itself as a member of the cluster."""
    from confluent_kafka.admin import AdminClient

    _listening(site.ports.kafka)
    client = AdminClient({"bootstrap.servers": site.settings().kafka_bootstrap, "log_level": 0})
    if not client.list_topics(timeout=SECONDS).brokers:
        raise NotReady("no broker has registered")


def namenode(site: Site) -> None:
    """The NameNode is active; it may still wait for its DataNode."""
    status = _jmx(site.ports.namenode_ui, "Hadoop:service=NameNode,name=NameNodeStatus")
    if status["State"] != "active":
        raise NotReady(f"state {status['State']}")


def datanode(site: Site) -> None:
    """The NameNode has left safe mode and counts the DataNode as live."""
    state = _jmx(site.ports.namenode_ui, "Hadoop:service=NameNode,name=FSNamesystemState")
    if state["FSState"] != "Operational" or state["NumLiveDataNodes"] < 1:
        raise NotReady(f"{state['FSState']}, {state['NumLiveDataNodes']} live")


def zookeeper(site: Site) -> None:
    """The server answers its status word."""
    with socket.create_connection((HOST, site.ports.zookeeper), SECONDS) as connection:
        connection.sendall(b"srvr")
        answer = connection.makefile().read()
    if "Mode: " not in answer:
        raise NotReady(answer.strip() or "no answer")


def hbase_master(site: Site) -> None:
    """The master is active and has finished its initialisation (which needs a region server)."""
    server = _jmx(site.ports.hbase_master_ui, "Hadoop:service=HBase,name=Master,sub=Server")
    if server.get("tag.isActiveMaster") != "true" or not server.get("masterFinishedInitializationTime"):
        raise NotReady("initialising")


def hbase_regionserver(site: Site) -> None:
    """The region server serves regions."""
    server = _jmx(site.ports.hbase_regionserver_ui, "Hadoop:service=HBase,name=RegionServer,sub=Server")
    if not server.get("regionCount"):
        raise NotReady("no region yet")


def hbase_thrift(site: Site) -> None:
    """A client sees the list of tables."""
    import happybase

    _listening(site.ports.hbase_thrift)
    connection = happybase.Connection(HOST, site.ports.hbase_thrift, timeout=int(SECONDS * 1000))
    try:
        connection.tables()
    finally:
        connection.close()


def postgres(site: Site) -> None:
    """A superuser's query is answered."""
    from local.postgres import connect

    with connect(site, "postgres") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def metastore(site: Site) -> None:
    """A Thrift client sees the database ``default``."""
    from impala._thrift_gen.hive_metastore import ThriftHiveMetastore
    from thrift.protocol.TBinaryProtocol import TBinaryProtocol
    from thrift.transport.TSocket import TSocket
    from thrift.transport.TTransport import TBufferedTransport

    _listening(site.ports.metastore)
    transport_socket = TSocket(HOST, site.ports.metastore)
    transport_socket.setTimeout(SECONDS * 1000)
    transport = TBufferedTransport(transport_socket)
    transport.open()
    try:
        databases = ThriftHiveMetastore.Client(TBinaryProtocol(transport)).get_all_databases()
    finally:
        transport.close()
    if "default" not in databases:
        raise NotReady("no database yet")


def sql(site: Site) -> None:
    """``SELECT 1`` gives 1."""
    from impala.dbapi import connect

    _listening(site.ports.sql)
    settings = site.settings()
    connection = connect(
        settings.sql_host, settings.sql_port, auth_mechanism=settings.sql_auth, timeout=60, user=settings.hdfs_user
    )
    with closing(connection), closing(connection.cursor()) as cursor:
        cursor.execute("SELECT 1")
        if cursor.fetchall() != [(1,)]:
            raise NotReady("SELECT 1 did not give 1")


def spark_job(name: str) -> Callable[[Site], None]:
    """The check of a streaming job: its driver lists the application, and its query has started."""

    def check(site: Site) -> None:
        port = site.ports.as_dict()[f"{name}_ui"]
        with urllib.request.urlopen(f"http://{HOST}:{port}/StreamingQuery/", timeout=SECONDS) as answer:
            if f">{name}<" not in answer.read().decode():
                raise NotReady("its query has not started")

    return check


def _listening(port: int) -> None:
    """A cheap first question, so that clients with slow errors are only asked once something listens."""
    socket.create_connection((HOST, port), SECONDS).close()


def _jmx(port: int, bean: str) -> dict[str, Any]:
    query = urllib.parse.quote(bean, safe="")
    with urllib.request.urlopen(f"http://{HOST}:{port}/jmx?qry={query}", timeout=SECONDS) as answer:
        beans = json.load(answer)["beans"]
    if not beans:
        raise NotReady(f"{bean} is not there yet")
    found: dict[str, Any] = beans[0]
    return found

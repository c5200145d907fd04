"""Readiness checks: each asks a server of the stack for what it is there for, and raises while it does not serve."""

from collections.abc import Callable

from clients import hbase, probe
from clients import kafka as broker
from clients import metastore as hive
from clients import sql as endpoint
from local import postgres as database
from local.ports import HOST
from local.site import Site

Check = Callable[[Site], None]
SECONDS = 5.0
"""Longest wait for one answer; the checks are repeated until the server's own deadline."""


def kafka(site: Site) -> None:
    """The broker lists itself as a member of the cluster."""
    _listening(site.ports.kafka)
    broker.answers(site.settings())


def namenode(site: Site) -> None:
    """The NameNode is active; it may still wait for its DataNode."""
    probe.jmx(_at(site.ports.namenode_ui), "Hadoop:service=NameNode,name=NameNodeStatus", ["State=active"])


def datanode(site: Site) -> None:
    """The NameNode has left safe mode and counts the DataNode as live."""
    conditions = ["FSState=Operational", "NumLiveDataNodes>=1"]
    probe.jmx(_at(site.ports.namenode_ui), "Hadoop:service=NameNode,name=FSNamesystemState", conditions)


def zookeeper(site: Site) -> None:
    """The server answers its status word."""
    probe.zookeeper(_at(site.ports.zookeeper), "srvr")


def hbase_master(site: Site) -> None:
    """The master is active and has finished its initialisation (which needs a region server)."""
    conditions = ["tag.isActiveMaster=true", "masterFinishedInitializationTime>=1"]
    probe.jmx(_at(site.ports.hbase_master_ui), "Hadoop:service=HBase,name=Master,sub=Server", conditions)


def hbase_regionserver(site: Site) -> None:
    """The region server serves regions."""
    bean = "Hadoop:service=HBase,name=RegionServer,sub=Server"
    probe.jmx(_at(site.ports.hbase_regionserver_ui), bean, ["regionCount>=1"])


def hbase_thrift(site: Site) -> None:
    """A client sees the list of tables."""
    _listening(site.ports.hbase_thrift)
    hbase.answers(site.settings(), SECONDS)


def postgres(site: Site) -> None:
    """A superuser's query is answered."""
    with database.connect(site, "postgres") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def metastore(site: Site) -> None:
    """A Thrift client sees the database ``default``."""
    _listening(site.ports.metastore)
    hive.answers(site.settings())


def serving(site: Site) -> None:
    """The API answers."""
    probe.http(f"http://{_at(site.ports.serving)}/healthz")


def shop(site: Site) -> None:
    """The generator has sent events."""
    probe.page(f"http://{_at(site.ports.shop_metrics)}/metrics", "# HELP")


def sql(site: Site) -> None:
    """``SELECT 1`` gives 1."""
    endpoint.answers(site.settings())


def spark_job(name: str) -> Check:
    """The check of a streaming job: its driver lists the application, and its query has started."""

    def check(site: Site) -> None:
        probe.page(f"http://{_at(site.ports.as_dict()[f'{name}_ui'])}/StreamingQuery/", f">{name}<")

    return check


def _at(port: int) -> str:
    return f"{HOST}:{port}"


def _listening(port: int) -> None:
    """A cheap first question, so that clients with slow errors are only asked once something listens."""
    probe.tcp(_at(port))

"""The servers of the local stack. To add one: an entry here, its ports in ``ports.py``, a check in ``ready.py``,
its pom and configuration templates under ``local/servers/<name>/``."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Final
from uuid import uuid4

from contracts import paths
from contracts.errors import Mistake
from contracts.settings import variable
from jobs.prepare import prepare
from local import install, jobs, postgres, ready
from local.site import ROOT, Site
from local.supervision import Program
from local.tools import java, run_tool

Step = Callable[[Site], None]
SERVING: Final = "serving"
SHOP: Final = "shop"
"""The live generator."""


@dataclass(frozen=True)
class Server:
    """A server process: what runs, what it needs first, and how to tell that it serves."""

    name: str
    command: Callable[[Site], list[str]]
    conf: tuple[str, ...]
    """Template folders under ``local/servers``."""
    ports: tuple[str, ...]
    """Names of its ports; the first is its address."""
    ready: Step
    after: tuple[str, ...] = ()
    """Servers that must be ready before it starts."""
    beside: tuple[str, ...] = ()
    """Servers that it needs as well, but starts without: it waits for them itself."""
    before: Step | None = None
    """Runs before its start: formats, creates."""
    then: Step | None = None
    """Runs once it is ready, before those that wait for it start."""
    ui: str | None = None
    """The port of its web pages."""
    environment: Callable[[Site], dict[str, str]] = lambda _: {}
    on_request: bool = False
    """Starts only when it is named: a job of the platform, not a server."""
    stop_group: bool = True
    """The stop signal goes to the process's children too."""
    stop_signal: str = "TERM"
    stop_seconds: int = 10

    def program(self, site: Site) -> Program:
        """The process for the supervisor, with its configuration rendered."""
        conf = site.render(self.name, self.conf)
        environment = {
            "HADOOP_USER_NAME": site.settings().hdfs_user,
            "HADOOP_CONF_DIR": str(conf),
            **self.environment(site),
        }
        return Program(
            name=self.name,
            command=self.command(site),
            environment=environment,
            directory=site.run,
            log=site.log(self.name),
            stop_signal=self.stop_signal,
            stop_seconds=self.stop_seconds,
            stop_group=self.stop_group,
        )


def jvm(name: str, jars: str, main_class: str, arguments: str = "", heap: str = "128m") -> Callable[[Site], list[str]]:
    """The command of a Java server.

    ``jars`` is the folder of ``local/servers`` with its pom; in ``arguments`` (separated by spaces) ``{conf}`` is the
    configuration folder, ``{host}`` the address, ``{hive_client}`` the folder of Hive's client, and ``{kafka}`` … the
    ports.
    """

    def command(site: Site) -> list[str]:
        conf = site.conf(name)
        ports = {key: str(port) for key, port in site.ports.as_dict().items()}
        values = {"conf": str(conf), "host": "127.0.0.1", "hive_client": str(install.home("hive-client")), **ports}
        filled = [argument.format(**values) for argument in arguments.split()]
        own = [f"-Xmx{heap}", f"-Djava.io.tmpdir={site.tmp}"]
        return java(classpath(conf, jars), main_class, *filled, flags=own)

    return command


def classpath(conf: Path, jars: str) -> list[Path | str]:
    """The configuration folder, what the pom unpacked (web pages) or we compiled, and the jars."""
    if jars == "pyspark":
        return [conf, install.statement_guard(), f"{install.spark_home()}/jars/*"]
    return [conf, install.home(jars), f"{install.home(jars)}/lib/*"]


def once(name: str, initialise: Step) -> Step:
    """Runs a preparation unless it has once finished for the stack's data."""
    return lambda site: site.once(name, lambda: initialise(site))


def _format_kafka(site: Site) -> None:
    site.fresh_data("kafka")
    conf = site.conf("kafka")
    arguments = ["format", "--cluster-id", str(uuid4()), "--config", str(conf / "server.properties")]
    run_tool(site, "kafka", java(classpath(conf, "kafka"), "kafka.tools.StorageTool", *arguments))


def _format_namenode(site: Site) -> None:
    site.fresh_data("hdfs-namenode")
    rmtree(site.data("hdfs-datanode"), ignore_errors=True)  # it would refuse another cluster's blocks
    jars = classpath(site.conf("hdfs-namenode"), "hadoop")
    command = java(jars, f"{_HDFS}.namenode.NameNode", "-format", "-force", "-nonInteractive")
    run_tool(site, "hdfs-namenode", command, {"HADOOP_USER_NAME": site.settings().hdfs_user})


def _metastore_schema(site: Site) -> None:
    """Makes the schema; brings that of a data folder that was kept up to date, once for each release of the server."""
    kept = site.done("hive-metastore")
    change = _upgrade_schema if kept else once("hive-metastore", _create_schema)
    site.once(install.home("hive-metastore").name, lambda: change(site))


def _create_schema(site: Site) -> None:
    postgres.recreate_database(site, "metastore")
    _schema_tool(site, "-initSchema")


def _upgrade_schema(site: Site) -> None:
    _schema_tool(site, "-upgradeSchema")


def _schema_tool(site: Site, action: str) -> None:
    home = next(install.home("hive-metastore").glob("apache-hive-metastore-*"))
    jars = classpath(site.conf("hive-metastore"), "hive-metastore")
    command = java(jars, f"{_METASTORE}.tools.schematool.MetastoreSchemaTool", "-dbType", "postgres", action)
    run_tool(site, "hive-metastore", command, {"METASTORE_HOME": str(home)})


def prepared(part: str) -> Step:
    """Creates what is missing of a part of ``jobs.prepare``."""

    def step(site: Site) -> None:
        prepare(site.settings(), part)

    return step


def job(name: str, *needs: str) -> Server:
    """A streaming job as a server that starts on request; its page is Spark's own."""
    return Server(
        name=name,
        command=lambda _: [sys.executable, "-m", f"jobs.streaming.{name}"],
        conf=(),
        ports=(f"{name}_ui",),
        after=("kafka", "hdfs-datanode", *needs),
        ready=ready.spark_job(name),
        ui=f"{name}_ui",
        environment=lambda site: jobs.environment(site, ui_port=site.ports.as_dict()[f"{name}_ui"], long_running=True),
        on_request=True,
        stop_group=False,
        stop_seconds=30,
    )


def module(*command: str) -> Callable[[Site], list[str]]:
    """The command of a module of the platform; ``{serving}`` … are the ports."""
    return lambda site: [sys.executable, "-m", *(part.format(**site.ports.as_dict()) for part in command)]


def _variables(site: Site) -> dict[str, str]:
    return {**site.settings().as_environment(), "PYTHONPATH": str(ROOT)}


_HDFS = "org.apache.hadoop.hdfs.server"
_HBASE = "org.apache.hadoop.hbase"
_METASTORE = "org.apache.hadoop.hive.metastore"
_ZOOKEEPER = "org.apache.zookeeper.server.quorum"

SERVERS = (
    Server(
        name="postgres",
        command=postgres.command,
        conf=("postgres",),
        ports=("postgres",),
        before=postgres.initialise,
        ready=ready.postgres,
        then=postgres.create_databases,
        stop_signal="INT",
    ),
    Server(
        name="hdfs-namenode",
        command=jvm("hdfs-namenode", "hadoop", f"{_HDFS}.namenode.NameNode", heap="192m"),
        conf=("hadoop",),
        ports=("namenode", "namenode_ui"),
        before=once("hdfs-namenode", _format_namenode),
        ready=ready.namenode,
        ui="namenode_ui",
        environment=lambda _: {"HADOOP_USER_NAME": paths.SUPERUSER},
    ),
    Server(
        name="hdfs-datanode",
        command=jvm("hdfs-datanode", "hadoop", f"{_HDFS}.datanode.DataNode", heap="192m"),
        conf=("hadoop",),
        ports=("datanode", "datanode_ui", "datanode_ipc"),
        after=("hdfs-namenode",),
        ready=ready.datanode,
        then=prepared("folders"),
        ui="datanode_ui",
        environment=lambda _: {"HADOOP_USER_NAME": paths.SUPERUSER},
    ),
    Server(
        name="zookeeper",
        command=jvm("zookeeper", "hbase", f"{_ZOOKEEPER}.QuorumPeerMain", "{conf}/zoo.cfg", heap="64m"),
        conf=("zookeeper",),
        ports=("zookeeper",),
        ready=ready.zookeeper,
    ),
    Server(
        name="kafka",
        command=jvm("kafka", "kafka", "kafka.Kafka", "{conf}/server.properties", heap="512m"),
        conf=("kafka",),
        ports=("kafka", "kafka_controller"),
        before=once("kafka", _format_kafka),
        ready=ready.kafka,
        then=prepared("topics"),
    ),
    Server(
        name="hbase-master",
        command=jvm("hbase-master", "hbase", f"{_HBASE}.master.HMaster", "start", heap="192m"),
        conf=("hbase", "hadoop"),
        ports=("hbase_master", "hbase_master_ui"),
        after=("zookeeper", "hdfs-datanode"),
        beside=("hbase-regionserver",),
        ready=ready.hbase_master,
        ui="hbase_master_ui",
    ),
    Server(
        name="hbase-regionserver",
        command=jvm("hbase-regionserver", "hbase", f"{_HBASE}.regionserver.HRegionServer", "start", heap="768m"),
        conf=("hbase", "hadoop"),
        ports=("hbase_regionserver", "hbase_regionserver_ui"),
        after=("zookeeper", "hdfs-datanode"),
        beside=("hbase-master",),
        ready=ready.hbase_regionserver,
        ui="hbase_regionserver_ui",
    ),
    Server(
        name="hbase-thrift",
        command=jvm(
            "hbase-thrift",
            "hbase",
            f"{_HBASE}.thrift.ThriftServer",
            "-p {hbase_thrift} --bind {host} start",
            heap="192m",
        ),
        conf=("hbase", "hadoop"),
        ports=("hbase_thrift",),
        after=("zookeeper", "hdfs-datanode"),
        beside=("hbase-master", "hbase-regionserver"),
        ready=ready.hbase_thrift,
        then=prepared("hbase-tables"),
    ),
    Server(
        name="hive-metastore",
        command=jvm(
            "hive-metastore",
            "hive-metastore",
            f"{_METASTORE}.HiveMetaStore",
            "-p {metastore}",
            heap="192m",
        ),
        conf=("hive-metastore", "hadoop"),
        ports=("metastore",),
        after=("postgres", "hdfs-namenode"),
        before=_metastore_schema,
        ready=ready.metastore,
    ),
    Server(
        name="spark-thrift",
        command=jvm(
            "spark-thrift",
            "pyspark",
            "org.apache.spark.deploy.SparkSubmit",
            "--properties-file {conf}/spark-defaults.conf"
            " --conf spark.sql.hive.metastore.jars.path=file://{hive_client}/lib/*.jar"
            " --class org.apache.spark.sql.hive.thriftserver.HiveThriftServer2 spark-internal",
            heap="1g",
        ),
        conf=("spark-thrift", "hadoop"),
        ports=("sql", "sql_ui"),
        after=("hive-metastore", "hdfs-datanode"),
        ready=ready.sql,
        then=prepared("hive-tables"),
        ui="sql_ui",
        # What its web pages are bound to; and it writes the marts, and not the raw data.
        environment=lambda _: {"SPARK_LOCAL_IP": "127.0.0.1", "HADOOP_USER_NAME": paths.BATCH},
    ),
    Server(
        name=SERVING,
        # On loopback, as open as the servers behind it.
        command=module("serving.api", "--open", "--port", "{serving}"),
        conf=(),
        ports=("serving",),
        after=("hdfs-datanode", "hbase-thrift"),
        ready=ready.serving,
        ui="serving",
        environment=lambda site: {**_variables(site), variable("hdfs_user"): paths.READER},
    ),
    Server(
        name=SHOP,
        command=module("generator", "--rate", "50", "--metrics-port", "{shop_metrics}"),
        conf=(),
        ports=("shop_metrics",),
        after=("kafka",),
        ready=ready.shop,
        environment=_variables,
        on_request=True,
        stop_seconds=30,
    ),
    job(paths.INGEST),
    job(paths.SPEED, "hbase-thrift", "hbase-master", "hbase-regionserver"),
)


def with_dependencies(servers: Sequence[Server], names: set[str] | None) -> list[Server]:
    """Those of ``servers`` that are named and all that they need, in the same order.

    ``None`` names all but those that start on request. Raises :class:`PlatformError` for a name that is not known.
    """
    by_name = {server.name: server for server in servers}
    wanted: set[str] = set()
    queue = [server.name for server in servers if not server.on_request] if names is None else list(names)
    while queue:
        name = queue.pop()
        if name not in by_name:
            raise Mistake(f"unknown server {name!r}; known are {', '.join(by_name)}")
        if name not in wanted:
            wanted.add(name)
            queue += [*by_name[name].after, *by_name[name].beside]
    return [server for server in servers if server.name in wanted]

"""The servers are set up alike on a cluster and on one machine: what local/servers says, the charts say."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from local.site import TEMPLATES
from support.rendering import PLAIN, SIZES, of, render

FILES = {
    "hadoop/conf/core-site.xml": "lambda-hdfs",
    "hadoop/conf/hdfs-site.xml": "lambda-hdfs",
    "hadoop/conf/log4j.properties": "lambda-hdfs",
    "hbase/conf/hbase-site.xml": "lambda-hbase",
    "hbase/conf/hadoop-metrics2-hbase.properties": "lambda-hbase",
    "hbase/conf/log4j.properties": "lambda-hbase",
    "hive-metastore/conf/metastore-site.xml": "lambda-hive-metastore",
    "hive-metastore/conf/log4j2.properties": "lambda-hive-metastore",
    "kafka/conf/server.properties": "lambda-kafka",
    "kafka/conf/log4j2.properties": "lambda-kafka",
    "spark-thrift/conf/hive-site.xml": "lambda-sql",
    "spark-thrift/conf/spark-defaults.conf": "lambda-sql",
    "zookeeper/conf/zoo.cfg": "lambda-zookeeper",
}
"""Each file of local/servers, and the ConfigMap with the file of the same name."""
OTHERWISE = {
    "node.id",  # a broker's number is its pod's
    "hbase.master.wait.on.regionservers.maxtostart",  # the local region server is alone
    "log4j.logger.org.apache.zookeeper.server.command",  # quiets the readiness checks of the local servers
}


def settings(text: str, name: str) -> dict[str, str]:
    """Keys and values of a Hadoop XML file, of Java properties, or of Spark's defaults."""
    if name.endswith(".xml"):
        pairs = [(item.findtext("name", ""), item.findtext("value", "")) for item in ElementTree.fromstring(text)]  # noqa: S314
        # A variable of a pod in its place: what stands there where it is not set.
        return {key: re.sub(r"\$\{env\.\w+:-(.*)\}", r"\1", value) for key, value in pairs}
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(re.split(r"\s*=\s*|\s+", line, maxsplit=1) for line in lines)  # type: ignore[misc]


@pytest.mark.parametrize("file", FILES)
def test_a_chart_sets_what_the_local_server_is_set_to(charts: Path, file: str) -> None:
    # Kafka as the local one: without logins.
    config = of(render(SIZES["kind"], **PLAIN), "ConfigMap")[FILES[file]]["data"]
    name = file.rpartition("/")[2]
    local, chart = settings((TEMPLATES / file).read_text(), name), settings(config[name], name)
    # What a template fills in is a place, and places differ.
    shared = {key: value for key, value in local.items() if "{{" not in key + value and key not in OTHERWISE}
    assert shared
    assert {key: chart.get(key) for key in shared} == shared

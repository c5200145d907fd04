"""Creates what the contracts name and is not there yet: folders on HDFS, Kafka topics, HBase and Hive tables."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from contracts import paths
from contracts.tables import HBASE_TABLES, HBaseTable
from contracts.topics import TOPICS
from local.ports import HOST
from local.site import Site

SECONDS = 30


def create_folders(site: Site) -> None:
    """The folders of ``contracts.paths``, owned by the HDFS user."""
    from hdfs import InsecureClient

    settings = site.settings()
    client = InsecureClient(settings.webhdfs_url, user=settings.hdfs_user, timeout=SECONDS)
    for folder in paths.ALL:
        client.makedirs(folder)


def create_topics(site: Site) -> None:
    """The topics of ``contracts.topics``; a topic that is there is left as it is."""
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    client = AdminClient({"bootstrap.servers": site.settings().kafka_bootstrap, "log_level": 0})
    there = client.list_topics(timeout=SECONDS).topics
    wanted = [
        NewTopic(topic.name, num_partitions=topic.partitions, replication_factor=1, config=topic.config)
        for topic in TOPICS
        if topic.name not in there
    ]
    if wanted:
        for created in client.create_topics(wanted, operation_timeout=SECONDS).values():
            created.result(SECONDS)


def create_tables(site: Site) -> None:
    """The HBase tables of ``contracts.tables``, side by side because each takes HBase a second."""
    import happybase

    with closing(happybase.Connection(HOST, site.ports.hbase_thrift, timeout=SECONDS * 1000)) as connection:
        there = {name.decode() for name in connection.tables()}

    def create(table: HBaseTable) -> None:
        with closing(happybase.Connection(HOST, site.ports.hbase_thrift, timeout=SECONDS * 1000)) as connection:
            connection.create_table(table.name, table.families)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(create, [table for table in HBASE_TABLES if table.name not in there]))


def create_hive_tables(site: Site) -> None:
    """The database, the external tables and the marts."""
    from jobs.batch.create_tables import create_tables as create
    from jobs.batch.endpoint import connect

    with connect(site.settings()) as sql:
        create(sql, site.settings().hdfs_uri)

"""Counts what the platform holds, with readers that are not Spark: pyarrow over WebHDFS, kafka-python, happybase.

``python -m jobs.audit`` prints it as JSON: the figures that a ledger of what was sent can be held against.
"""

import io
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from time import monotonic, sleep
from typing import Any

import click
import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from contracts import kafka, paths, tables, topics
from contracts.command import CommandError, run, with_settings
from contracts.events import BY_NAME, STREAMS
from contracts.kafka import KAFKA_SETTINGS
from contracts.settings import Settings
from jobs import hbase
from jobs import hdfs as files
from jobs.serving import speed
from jobs.streaming.commits import Commit, CommitLog
from jobs.streaming.views import Progress, Revenue


class Landed(msgspec.Struct):
    """Parquet files of a stream, their rows, and how many distinct ``event_id`` those have."""

    files: int
    rows: int
    distinct: int


def parquet_files(settings: Settings, folder: str) -> Iterator[str]:
    """The files below a folder that Hive and Impala would read: names that begin with neither '_' nor '.'."""
    hdfs = files.client(settings)
    if not files.exists(hdfs, folder):
        return
    for parent, _, found in hdfs.walk(folder):
        for name in found:
            if not name.startswith(("_", ".")):
                yield f"{parent}/{name}"


def read_stream(settings: Settings, stream: str, columns: list[str]) -> tuple[int, pa.Table]:
    """How many files a stream has, and the named columns of all their rows."""
    hdfs = files.client(settings)

    def read(path: str) -> pa.Table:
        return pq.read_table(io.BytesIO(files.read(hdfs, path)), columns=columns, partitioning=None)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(read, parquet_files(settings, paths.stream_folder(stream))))
    empty = tables.arrow_schema(tables.RAW[stream].columns).empty_table().select(columns)
    return len(found), pa.concat_tables(found or [empty])


def landed(settings: Settings, stream: str) -> Landed:
    count, table = read_stream(settings, stream, ["event_id"])
    return Landed(count, table.num_rows, pc.count_distinct(table["event_id"]).as_py())


def committed(settings: Settings) -> Commit:
    """Ingest's newest commit: offsets by partition and totals by topic."""
    return CommitLog(files.client(settings), paths.INGEST).newest()


def keys(settings: Settings, topic: str) -> list[str]:
    """The keys of all records of a topic, in offset order, those sent twice as often as they are there."""
    return [record.key.decode() for record in _records(settings, topic)]


def dead_letters(settings: Settings) -> dict[str, int]:
    """Rejected records by source topic; one that a replay sent again counts once."""
    return dict(Counter(key.split("/")[0] for key in set(keys(settings, topics.DEAD_LETTERS))))


def _records(settings: Settings, topic: str) -> Iterator[Any]:
    consumer = KafkaConsumer(**kafka.kafka_python(settings), auto_offset_reset="earliest", enable_auto_commit=False)
    try:
        places = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(places)
        ends = consumer.end_offsets(places)
        while any(consumer.position(place) < ends[place] for place in places):
            for records in consumer.poll(timeout_ms=1000).values():
                yield from records
    finally:
        consumer.close()


def end_offsets(settings: Settings) -> dict[str, int]:
    """The end offset of each partition of the three streams, keyed ``topic/partition``."""
    consumer = KafkaConsumer(**kafka.kafka_python(settings))
    try:
        places = [
            TopicPartition(stream.topic, number)
            for stream in STREAMS
            for number in consumer.partitions_for_topic(stream.topic) or ()
        ]
        return {f"{place.topic}/{place.partition}": end for place, end in consumer.end_offsets(places).items()}
    finally:
        consumer.close()


def speed_offsets(settings: Settings) -> dict[str, int]:
    """The offset up to which the speed layer has counted each partition, keyed ``topic/partition``."""
    return {
        f"{row.decode()}/{column.decode().partition(':')[2]}": msgspec.json.decode(value, type=Progress).end
        for row, cells in _scan(settings, tables.SPEED_PROGRESS)
        for column, value in cells.items()
    }


def behind(ends: dict[str, int], done: dict[str, int]) -> int:
    """How many offsets are not handled yet."""
    return sum(max(0, end - done.get(place, 0)) for place, end in ends.items())


def ingest_offsets(settings: Settings) -> dict[str, int]:
    """The offset up to which readers find each partition's records in Parquet, keyed ``topic/partition``."""
    commit = CommitLog(files.client(settings), paths.INGEST).published()
    return {place: state.end for place, state in commit.partitions.items()}


def speed_revenue(settings: Settings, day: date) -> tuple[Revenue, Revenue]:
    """The speed layer's revenue (EUR) and purchases of a UTC day: on time, and late."""
    start = datetime.combine(day, time(), UTC)
    end = start + timedelta(days=1)
    return (
        _sum(speed.revenue(settings, start, end).values()),
        _sum(speed.late_revenue(settings, start, end).values()),
    )


def _sum(parts: Iterable[Revenue]) -> Revenue:
    found = list(parts)
    return Revenue(sum((part.amount for part in found), Decimal("0.00")), sum(part.orders for part in found))


def alerts(settings: Settings) -> int:
    """Critical-stock alerts in HBase."""
    return sum(1 for _ in _scan(settings, tables.STOCK_ALERTS))


def _scan(settings: Settings, table: tables.HBaseTable) -> list[tuple[bytes, dict[bytes, bytes]]]:
    return hbase.attempt(settings, lambda connection: list(connection.table(table.name).scan()))


@click.command()
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=0,
    metavar="SECONDS",
    help="Wait so long until every stream has rows in Parquet and the speed layer has counted purchases; fail without.",
)
@with_settings(*KAFKA_SETTINGS, "webhdfs_url", "hdfs_user", "hbase_thrift_host", "hbase_thrift_port")
def main(settings: Settings, wait: float) -> None:
    """Count what has landed, been rejected and been raised, and print it as JSON."""
    files.require(settings)
    deadline = monotonic() + wait
    try:
        counted = counts(settings)
        while wait and (empty := without_data(counted)):
            if monotonic() > deadline:
                raise CommandError(f"after {wait:g} s there is still no data in {', '.join(empty)}")
            sleep(5)
            counted = counts(settings)
    except (KafkaError, *hbase.PASSING) as error:
        raise CommandError(
            f"Kafka at {settings.kafka_bootstrap} or HBase Thrift at {settings.hbase_thrift_host}:"
            f"{settings.hbase_thrift_port} cannot be read ({error}); start them (make local-up)"
        ) from error
    click.echo(msgspec.json.format(msgspec.json.encode(counted)).decode())


def without_data(counted: dict[str, Any]) -> list[str]:
    """The streams without a row in Parquet, and ``the speed layer`` where it has counted no offset."""
    empty = [name for name, stream in counted["landed"].items() if not stream.rows]
    return empty if counted["speed_offsets"] else [*empty, "the speed layer"]


def counts(settings: Settings) -> dict[str, Any]:
    """All figures of this module, by name. What ``behind`` says is not behind is in the other figures."""
    ends, ingest_done, speed_done = end_offsets(settings), ingest_offsets(settings), speed_offsets(settings)
    return {
        "landed": {name: landed(settings, name) for name in BY_NAME},
        "ingest": committed(settings).totals,
        "dead_letters": dead_letters(settings),
        "alerts": alerts(settings),
        "behind": {
            "ingest": behind(ends, ingest_done),
            "speed": behind(ends, speed_done),
        },
        "speed_offsets": sum(speed_done.values()),
    }


if __name__ == "__main__":
    run(main)

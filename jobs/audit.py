"""Counts what the platform holds, with readers that are not Spark: pyarrow over WebHDFS, Kafka's clients, happybase.

``python -m jobs.audit`` prints it as JSON: the figures that a ledger of what was sent can be held against.
"""

import io
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import click
import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tenacity

from clients import hdfs as files
from clients import kafka, retry
from clients.commits import Commit, CommitLog
from clients.hbase import HBASE_SETTINGS
from clients.hdfs import HDFS_SETTINGS
from clients.kafka import KAFKA_SETTINGS
from contracts import hive, paths, topics
from contracts.command import run, with_settings
from contracts.errors import NotFound
from contracts.events import BY_NAME, PURCHASES, STREAMS
from contracts.hbase import NOTHING, Progress, Revenue, add_revenue
from contracts.settings import Settings
from jobs.batch.options import Day
from serving import speed


class Landed(msgspec.Struct):
    """Parquet files of a stream, their rows, and how many distinct ``event_id`` those have."""

    files: int
    rows: int
    distinct: int


def parquet_files(settings: Settings, folder: str) -> list[str]:
    """The files below a folder that Hive and Impala would read: names that begin with neither '_' nor '.'."""
    return [path for path in files.walk(files.client(settings), folder) if not files.hidden(path)]


def read_stream(settings: Settings, stream: str, columns: list[str]) -> tuple[int, pa.Table]:
    """How many files a stream has, and the named columns of all their rows.

    Read anew where a compaction took a file between its listing and its reading.
    """
    hdfs = files.client(settings)

    def read(path: str) -> pa.Table:
        return pq.read_table(io.BytesIO(files.read(hdfs, path)), columns=columns, partitioning=None)

    @tenacity.retry(retry=tenacity.retry_if_exception_type(NotFound), stop=tenacity.stop_after_attempt(5), reraise=True)
    def read_all() -> list[pa.Table]:
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(read, parquet_files(settings, paths.stream_folder(stream))))

    found = read_all()
    empty = hive.arrow_schema(hive.RAW[stream].columns).empty_table().select(columns)
    return len(found), pa.concat_tables(found or [empty])


def landed(settings: Settings, stream: str) -> Landed:
    count, table = read_stream(settings, stream, ["event_id"])
    return Landed(count, table.num_rows, pc.count_distinct(table["event_id"]).as_py())


def committed(settings: Settings) -> Commit:
    """Ingest's newest commit: offsets by partition and totals by topic."""
    return CommitLog(files.client(settings), paths.INGEST).newest()


def dead_letters(settings: Settings) -> dict[str, int]:
    """Rejected records by source topic; one that a replay sent again counts once."""
    places = kafka.ranges(settings, [topics.DEAD_LETTERS])
    keys = {record.key.decode() for record in kafka.read(settings, dict.fromkeys(places, 0))}
    return dict(Counter(key.split("/")[0] for key in keys))


def end_offsets(settings: Settings) -> dict[str, int]:
    """The end offset of each partition of the three streams, keyed ``topic/partition``."""
    return {place: end for place, (_, end) in kafka.ranges(settings, [stream.topic for stream in STREAMS]).items()}


def speed_offsets(settings: Settings) -> dict[str, int]:
    """The offset up to which the speed layer has counted each partition, keyed ``topic/partition``."""
    return {place: progress.end for place, progress in speed_progress(settings).items()}


def speed_progress(settings: Settings, below: int | None = None) -> dict[str, Progress]:
    """As ``serving.speed.progress``, with more patience."""
    return speed.progress(settings, below, retry.SECONDS)


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
        add_revenue(speed.revenue(settings, start, end).values()),
        add_revenue(speed.late_revenue(settings, start, end).values()),
    )


def batch_revenue(settings: Settings) -> Decimal:
    """Revenue (EUR) of all distinct purchases in the Parquet files."""
    _, purchases = read_stream(settings, PURCHASES.name, ["event_id", "total"])
    distinct = purchases.group_by("event_id").aggregate([("total", "max")])
    return pc.sum(distinct["total_max"]).as_py() or NOTHING


@click.command()
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=0,
    metavar="SECONDS",
    help="Wait so long until every stream has rows in Parquet and the speed layer has counted purchases; fail without.",
)
@click.option(
    "--caught-up",
    type=click.FloatRange(min=0),
    default=0,
    metavar="SECONDS",
    help="Wait so long until ingest and speed have handled all that is in Kafka now; fail where they have not.",
)
@click.option(
    "--revenue",
    "days",
    type=Day(),
    multiple=True,
    metavar="YYYY-MM-DD",
    help="Add the speed layer's revenue of this UTC day, and the batch layer's in all; can be repeated.",
)
@with_settings(*KAFKA_SETTINGS, *HDFS_SETTINGS, *HBASE_SETTINGS)
def main(settings: Settings, wait: float, caught_up: float, days: tuple[date, ...]) -> None:
    """Count what has landed, been rejected and been raised, and print it as JSON.

    Counted with readers that are not Spark; amounts are EUR.
    """
    retry.retrying(max(wait, caught_up))(files.answers, settings)
    if caught_up:
        wait_until_caught_up(settings, caught_up)
    counted = counts(settings)
    if wait:
        what = "data in every stream and in the speed layer"
        counted = retry.until(lambda: counts(settings), has_data, seconds=wait, pause=5, what=what)
    if days:
        counted["revenue"] = {"batch": batch_revenue(settings), **_speed_days(settings, days)}
    click.echo(msgspec.json.format(msgspec.json.encode(counted)).decode())


def wait_until_caught_up(settings: Settings, seconds: float) -> None:
    """Returns once both jobs have handled what Kafka holds now. Raises ``NotReady`` after ``seconds``."""
    ends = retry.retrying(seconds)(end_offsets, settings)

    def left() -> dict[str, int]:
        return {"ingest": behind(ends, ingest_offsets(settings)), "speed": behind(ends, speed_offsets(settings))}

    retry.until(left, lambda found: not any(found.values()), seconds=seconds, what="records not handled yet")


def _speed_days(settings: Settings, days: tuple[date, ...]) -> dict[str, Decimal]:
    parts = [speed_revenue(settings, day) for day in days]
    return {
        "speed": add_revenue(on_time for on_time, _ in parts).amount,
        "late": add_revenue(late for _, late in parts).amount,
    }


def has_data(counted: dict[str, Any]) -> bool:
    """Whether every stream has a row in Parquet, and the speed layer has counted an offset."""
    return bool(counted["speed_offsets"]) and all(stream.rows for stream in counted["landed"].values())


def counts(settings: Settings) -> dict[str, Any]:
    """All figures of this module, by name. What ``behind`` says is not behind is in the other figures."""
    ends, ingest_done, speed_done = end_offsets(settings), ingest_offsets(settings), speed_offsets(settings)
    commit = committed(settings)
    return {
        "landed": {name: landed(settings, name) for name in BY_NAME},
        "ingest": commit.totals,
        "gaps": commit.gaps,
        "dead_letters": dead_letters(settings),
        "alerts": len(speed.alerts(settings)),
        "behind": {
            "ingest": behind(ends, ingest_done),
            "speed": behind(ends, speed_done),
        },
        "records": sum(ends.values()),
        "speed_offsets": sum(speed_done.values()),
    }


if __name__ == "__main__":
    run(main)

"""Keeps HBase current with the three streams: minutes, stock, profiles and alerts (see ``views.py``)."""

from functools import partial

import click
import msgspec
import structlog
from pyspark.sql import DataFrame

from clients import hbase
from clients.hbase import HBASE_SETTINGS
from clients.hdfs import HDFS_SETTINGS
from clients.kafka import KAFKA_SETTINGS
from contracts.command import run, with_settings
from contracts.errors import NotFound
from contracts.events import STREAMS
from contracts.hbase import HBASE_TABLES
from contracts.paths import SPEED
from contracts.settings import Settings
from jobs import audit
from jobs.streaming.offsets import gaps, held
from jobs.streaming.query import Job, run_query
from jobs.streaming.settings import StreamingSettings, streaming_options
from jobs.streaming.views import Summary, Views

log = structlog.get_logger()
TOPICS = [stream.topic for stream in STREAMS]
OUTCOMES = ("events", "late", "duplicates", "alerts", "missed")
"""What a batch counts, each a field of a task's :class:`Summary`, and the records that Kafka no longer had."""


@click.command()
@with_settings(*KAFKA_SETTINGS, "hdfs_uri", *HDFS_SETTINGS, *HBASE_SETTINGS)
@streaming_options(SPEED)
def main(settings: Settings, streaming: StreamingSettings) -> None:
    """Keep HBase current: revenue, traffic and sales by minute, stock, user profiles, critical-stock alerts.

    Runs until it is stopped (SIGTERM ends it after the batch in hand). Purchases later than the watermark are left out
    of revenue_by_minute and recorded in revenue_late.
    """
    require_tables(settings)

    def update(views: Views, records: DataFrame, batch: int) -> dict[str, int]:
        rows = records.mapInArrow(views, "summary BINARY").collect()
        summaries = [msgspec.json.decode(bytes(row.summary), type=Summary) for row in rows]
        counts = {name: sum(getattr(summary, name) for summary in summaries) for name in OUTCOMES[:-1]}
        log.info("updated", batch=batch, **counts)
        return counts

    def job(_: str, topic_ids: dict[str, str]) -> Job:
        stands = audit.speed_progress(settings)
        done = {place: progress.end for place, progress in stands.items()}
        missed = gaps(held(settings, TOPICS, done), done)
        for gap in missed:
            log.error("records are gone", partition=gap.partition, first=gap.start, end=gap.end)
        generation = next((progress.generation for progress in stands.values()), "")
        views = Views(settings, streaming.delay, topic_ids, generation)
        return Job(partial(update, views), done, {"missed": sum(gap.end - gap.start for gap in missed)})

    run_query(SPEED, settings, streaming, TOPICS, OUTCOMES, job)


def require_tables(settings: Settings) -> None:
    """Raises where the HBase Thrift server does not answer, :class:`NotFound` where a table is missing."""
    present = hbase.attempt(settings, lambda connection: set(connection.tables()), seconds=20)
    if missing := [table.name for table in HBASE_TABLES if table.name.encode() not in present]:
        raise NotFound(f"HBase has no table {missing[0]}; create the tables first (python -m local prepare)")


if __name__ == "__main__":
    run(main)

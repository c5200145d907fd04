"""Keeps HBase current with the three streams: revenue by minute, stock, profiles and alerts (see ``views.py``)."""

from functools import partial

import click
import msgspec
import structlog
from pyspark.sql import DataFrame

from contracts.command import CommandError, run, with_settings
from contracts.events import STREAMS
from contracts.kafka import KAFKA_SETTINGS
from contracts.paths import SPEED
from contracts.settings import Settings
from contracts.tables import HBASE_TABLES
from jobs import hbase
from jobs.streaming.query import BatchHandler, run_query
from jobs.streaming.settings import StreamingSettings, streaming_options
from jobs.streaming.views import Summary, Views

log = structlog.get_logger()
OUTCOMES = ("events", "late", "duplicates", "alerts")
"""What a batch counts, each a field of a task's :class:`Summary`."""


@click.command()
@with_settings(*KAFKA_SETTINGS, "hdfs_uri", "hdfs_user", "hbase_thrift_host", "hbase_thrift_port")
@streaming_options(SPEED, trigger_seconds=0, max_offsets=100_000)
def main(settings: Settings, streaming: StreamingSettings) -> None:
    """Keep HBase current: revenue by minute, stock, user profiles, critical-stock alerts.

    Runs until it is stopped (SIGTERM ends it after the batch in hand). Purchases later than the watermark are left out
    of revenue_by_minute and recorded in revenue_late.
    """
    require_tables(settings)

    def update(views: Views, records: DataFrame, batch: int) -> dict[str, int]:
        rows = records.mapInArrow(views, "summary BINARY").collect()
        summaries = [msgspec.json.decode(bytes(row.summary), type=Summary) for row in rows]
        counts = {name: sum(getattr(summary, name) for summary in summaries) for name in OUTCOMES}
        log.info("updated", batch=batch, **counts)
        return counts

    def handler(_: str, topic_ids: dict[str, str]) -> BatchHandler:
        return partial(update, Views(settings, streaming.watermark, topic_ids))

    run_query(SPEED, settings, streaming, [stream.topic for stream in STREAMS], OUTCOMES, handler)


def require_tables(settings: Settings) -> None:
    """Raises :class:`CommandError` where the HBase Thrift server does not answer or a table is missing."""
    try:
        present = hbase.attempt(settings, lambda connection: set(connection.tables()), seconds=20)
    except hbase.BROKEN as error:
        raise CommandError(
            f"HBase Thrift at {settings.hbase_thrift_host}:{settings.hbase_thrift_port} cannot be reached ({error}); "
            "start it (make local-up) or set ECOMMERCE_HBASE_THRIFT_HOST and _PORT"
        ) from error
    if missing := [table.name for table in HBASE_TABLES if table.name.encode() not in present]:
        raise CommandError(f"HBase has no table {missing[0]}; create the tables first (python -m local prepare)")


if __name__ == "__main__":
    run(main)

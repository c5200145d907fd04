"""``python -m tests.support.failing_query WHERE``: the query of a streaming job whose second batch fails.

WHERE: ``driver`` with an error of ours, ``worker`` with one in Spark's Python worker, ``bug`` with another error,
``superseded`` with one whose checkpoint a later start has removed, ``alone`` where HDFS does not answer then. Spark is
the real one; its records are its own rows, so that it needs no server.
"""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from unittest.mock import patch

import click
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from clients import hdfs, kafka
from contracts.command import run
from contracts.errors import Fenced, Unreachable
from contracts.settings import Settings
from jobs.streaming import careful, query
from jobs.streaming.settings import StreamingSettings


def rows(spark: SparkSession, *_: object) -> DataFrame:
    return spark.readStream.format("rate").option("rowsPerSecond", 20).load()


def unreachable(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    list(batches)
    raise Unreachable("HBase cannot be reached; start it")
    yield


def fail(where: str, records: DataFrame) -> None:
    if where == "worker":
        records.mapInArrow(unreachable, "value LONG").collect()
    raise Fenced("another job goes on in its place") if where == "driver" else KeyError("a bug")


@click.command()
@click.argument("where")
def main(where: str) -> None:
    def handle(records: DataFrame, batch: int) -> dict[str, int]:
        assert batch < 2, "a batch after the one that failed"
        if batch:
            fail(where, records)
        return {}

    with tempfile.TemporaryDirectory() as folder, ExitStack() as patched:
        for module, name, value in (
            (kafka, "topic_ids", {}),
            (hdfs, "rpc_answers", None),
            (query, "held", {}),
            (careful, "is_needed", False),
            (query, "fresh_checkpoint", folder),
        ):
            patched.enter_context(patch.object(module, name, return_value=value))
        there = {"superseded": [False], "alone": Unreachable("HDFS is away")}.get(where, [True])
        patched.enter_context(patch.object(hdfs, "exists", side_effect=there))
        patched.enter_context(patch.object(query, "kafka_stream", rows))
        settings = Settings(hdfs_uri=f"file://{folder}")
        query.run_query("test", settings, StreamingSettings(), [], (), lambda *_: query.Job(handle, {}))


if __name__ == "__main__":
    run(main)

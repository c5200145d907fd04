"""The settings of a streaming job, as flags and environment variables, and its Spark session."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from clients import kafka
from contracts import paths
from contracts.command import options
from contracts.events import WATERMARK
from contracts.settings import PREFIX, Settings, setting
from contracts.topics import MAX_MESSAGE_BYTES

if TYPE_CHECKING:  # the settings are read where there is no Spark as well
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True, slots=True)
class StreamingSettings:
    """How a streaming job runs. Times in seconds."""

    watermark: int = setting(
        int(WATERMARK.total_seconds()),
        "Seconds behind its partition's newest event from which an event is late. Ingest and speed must agree on it.",
        click.IntRange(min=0),
        PREFIX + "WATERMARK",
    )
    trigger: float = setting(0.0, "Seconds between batches; 0 starts the next at once.", click.FloatRange(min=0))
    max_offsets: int = setting(
        100_000, "Most records a batch, over all topics (maxOffsetsPerTrigger).", click.IntRange(min=1)
    )
    checkpoint: str = setting(paths.CHECKPOINTS, "Folder on HDFS for the checkpoints of its runs.")
    available_now: bool = setting(False, "Drain what the topics hold now, then end.")
    metrics_host: str = setting("127.0.0.1", "Address to serve metrics at; 0.0.0.0 is every one.")
    metrics_port: int = setting(0, "Serve Prometheus metrics at this port; 0 serves none.", click.IntRange(0, 65535))

    @property
    def delay(self) -> timedelta:
        """The watermark."""
        return timedelta(seconds=self.watermark)


def streaming_options(
    job: str, names: tuple[str, ...] = (), **defaults: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The flags of a streaming job (``names``, or all), each with a variable ``ECOMMERCE_<JOB>_<NAME>``."""
    checkpoint = f"{paths.CHECKPOINTS}/{job}"
    prefix = f"{PREFIX}{job.upper()}_"
    return options(StreamingSettings, "streaming", names, prefix, checkpoint=checkpoint, **defaults)


def spark_session(app_name: str, settings: Settings) -> "SparkSession":
    """The session: ``--master``, jars and sizes come from spark-submit, spark-defaults or ``PYSPARK_SUBMIT_ARGS``."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("HADOOP_USER_NAME", settings.hdfs_user)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    session = (
        SparkSession.builder.appName(app_name)
        .config("spark.hadoop.fs.defaultFS", settings.hdfs_uri)
        # HDFS waits 400 ms by default before it asks again whether a file's last block is reported, longer than the
        # rest of a small batch takes; asked sooner and oftener it waits as long in all.
        .config("spark.hadoop.dfs.client.block.write.locateFollowingBlock.initial.delay.ms", "5")
        .config("spark.hadoop.dfs.client.block.write.locateFollowingBlock.retries", "12")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "10000")
        # As many large records must not become one batch in a task's memory.
        .config("spark.sql.execution.arrow.maxBytesPerBatch", str(16 * 1024 * 1024))
        # Neither job keeps state in Spark; an operator that does must not hold it on the heap.
        .config(
            "spark.sql.streaming.stateStore.providerClass",
            "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider",
        )
        .getOrCreate()
    )
    # `spark.log.level` alone is the driver's; set here, it goes to the executors (spark.executor.syncLogLevel.enabled).
    session.sparkContext.setLogLevel(session.conf.get("spark.log.level", None) or "WARN")
    return session


def kafka_stream(
    spark: "SparkSession", settings: Settings, topics: list[str], begin: str, max_offsets: int
) -> "DataFrame":
    """The topics' records as ``topic, partition, offset, timestamp, key, value``; a Kafka partition is one task.

    ``begin``: Spark's ``startingOffsets``. ``failOnDataLoss`` stays on: records that retention takes before they are
    read end the query, and the next start finds and records the gap.
    """
    return (
        spark.readStream.format("kafka")
        .options(**kafka.spark(settings))
        .option("subscribe", ",".join(topics))
        .option("startingOffsets", begin)
        .option("maxOffsetsPerTrigger", max_offsets)
        .option("kafka.max.poll.records", 10_000)
        .option("kafka.max.partition.fetch.bytes", MAX_MESSAGE_BYTES)
        .load()
        .select("topic", "partition", "offset", "timestamp", "key", "value")
    )

"""The settings of a streaming job, as flags and environment variables, and its Spark session."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import click
from pyspark.sql import DataFrame, SparkSession

from contracts import kafka, paths
from contracts.settings import Settings


@dataclass(frozen=True, slots=True)
class StreamingSettings:
    """How a streaming job runs. Times in seconds; ``max_offsets`` is records a batch over all its topics.

    ``metrics_port`` 0 serves no metrics.
    """

    watermark: timedelta
    trigger_seconds: float
    max_offsets: int
    checkpoint: str
    available_now: bool
    metrics_host: str
    metrics_port: int


def streaming_options(job: str, trigger_seconds: float, max_offsets: int) -> Callable[[Callable[..., Any]], Any]:
    """The flags of a streaming job, each with an environment variable ``ECOMMERCE_<JOB>_<NAME>``."""

    def variable(name: str) -> str:
        return f"ECOMMERCE_{job.upper()}_{name}"

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        def command(
            watermark: int,
            trigger: float,
            max_offsets: int,
            checkpoint: str,
            available_now: bool,
            metrics_host: str,
            metrics_port: int,
            **kwargs: Any,
        ) -> Any:
            streaming = StreamingSettings(
                timedelta(seconds=watermark),
                trigger,
                max_offsets,
                checkpoint,
                available_now,
                metrics_host,
                metrics_port,
            )
            return function(streaming=streaming, **kwargs)

        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__click_params__ = list(getattr(function, "__click_params__", []))  # type: ignore[attr-defined]
        for option in (
            click.option(
                "--metrics-port",
                envvar=variable("METRICS_PORT"),
                show_envvar=True,
                default=0,
                show_default=True,
                type=click.IntRange(0, 65535),
                help="Serve Prometheus metrics at this port; 0 serves none.",
            ),
            click.option(
                "--metrics-host",
                envvar=variable("METRICS_HOST"),
                show_envvar=True,
                default="127.0.0.1",
                show_default=True,
                help="Address to serve them at; 0.0.0.0 is every one.",
            ),
            click.option(
                "--available-now",
                envvar=variable("AVAILABLE_NOW"),
                show_envvar=True,
                is_flag=True,
                help="Drain what the topics hold now, then end.",
            ),
            click.option(
                "--checkpoint",
                envvar=variable("CHECKPOINT"),
                show_envvar=True,
                default=f"{paths.CHECKPOINTS}/{job}",
                show_default=True,
                help="Checkpoint folder on HDFS.",
            ),
            click.option(
                "--max-offsets",
                envvar=variable("MAX_OFFSETS"),
                show_envvar=True,
                default=max_offsets,
                show_default=True,
                type=click.IntRange(min=1),
                help="Most records a batch (maxOffsetsPerTrigger).",
            ),
            click.option(
                "--trigger",
                envvar=variable("TRIGGER"),
                show_envvar=True,
                default=trigger_seconds,
                show_default=True,
                type=click.FloatRange(min=0),
                help="Seconds between batches; 0 starts the next at once.",
            ),
            click.option(
                "--watermark",
                envvar="ECOMMERCE_WATERMARK",
                show_envvar=True,
                default=600,
                show_default=True,
                type=click.IntRange(min=0),
                help="Seconds behind its partition's newest event from which an event is late. Ingest and speed must "
                "agree on it.",
            ),
        ):
            command = option(command)
        return command

    return decorate


def spark_session(app_name: str, settings: Settings) -> SparkSession:
    """The session: ``--master``, jars and sizes come from spark-submit, spark-defaults or ``PYSPARK_SUBMIT_ARGS``."""
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


def kafka_stream(spark: SparkSession, settings: Settings, topics: list[str], max_offsets: int) -> DataFrame:
    """The topics' records as ``topic, partition, offset, timestamp, value``; a Kafka partition is one task.

    ``failOnDataLoss`` stays on: records that retention took before they were read end the query.
    """
    return (
        spark.readStream.format("kafka")
        .options(**kafka.spark(settings))
        .option("subscribe", ",".join(topics))
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", max_offsets)
        .option("kafka.max.poll.records", 10_000)
        .option("kafka.max.partition.fetch.bytes", 8 * 1024 * 1024)
        .load()
        .select("topic", "partition", "offset", "timestamp", "value")
    )

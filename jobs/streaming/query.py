"""Runs a streaming query until it fails, is stopped, or has drained its topics."""

import shutil
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from uuid import uuid4

import structlog
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame

from contracts import kafka
from contracts.command import CommandError
from contracts.settings import Settings
from jobs.streaming.metrics import Metrics
from jobs.streaming.settings import StreamingSettings, kafka_stream, spark_session
from jobs.streaming.window import local_folder

log = structlog.get_logger()
BatchHandler = Callable[[DataFrame, int], dict[str, int]]
"""Handles a micro-batch and returns what it did: records by outcome."""


def run_query(
    name: str,
    settings: Settings,
    streaming: StreamingSettings,
    topics: list[str],
    outcomes: tuple[str, ...],
    make_handler: Callable[[str, dict[str, str]], BatchHandler],
) -> None:
    """Feeds the topics' micro-batches to a handler. SIGTERM and Ctrl-C end it after the batch in hand.

    ``make_handler`` gets a name for this run and the topics' ids; its handler counts ``outcomes``. Raises
    :class:`CommandError` when a server cannot be reached or the query fails: an error swallowed here would end a driver
    as COMPLETED.
    """
    topic_ids = require_topics(settings, topics)
    require_hdfs(settings)
    run_id = uuid4().hex[:12]
    handler = make_handler(run_id, topic_ids)
    metrics = Metrics(name, outcomes)
    if streaming.metrics_port:
        metrics.serve(streaming.metrics_host, streaming.metrics_port)
    admin = AdminClient({**kafka.confluent(settings), "log_level": 0})
    spark = spark_session(f"ecommerce-{name}", settings)
    stopping = threading.Event()
    idle = threading.Lock()

    def guarded(records: DataFrame, batch: int) -> None:
        # Never waits once the query is being stopped: its thread waits for this very call.
        while not idle.acquire(timeout=0.1):
            if stopping.is_set():
                raise InterruptedError("stopped before the batch began")
        try:
            with metrics.batch():
                metrics.add(handler(records, batch))
        finally:
            idle.release()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    writer = kafka_stream(spark, settings, topics, streaming.max_offsets).writeStream.queryName(name)
    writer = writer.option("checkpointLocation", streaming.checkpoint).foreachBatch(guarded)
    if streaming.available_now:
        writer = writer.trigger(availableNow=True)
    else:
        writer = writer.trigger(processingTime=f"{streaming.trigger_seconds} seconds")
    try:
        query = writer.start()
        log.info("started", job=name, topics=topics, checkpoint=streaming.checkpoint, run=run_id)
        while not stopping.is_set() and not query.awaitTermination(1):
            if streaming.metrics_port and (progress := query.lastProgress):
                metrics.look(admin, progress.sources[0].endOffset)
        with idle:
            query.stop()
        log.info("stopped", job=name)
    except (PySparkException, Py4JError, OSError) as error:
        if not stopping.is_set():
            raise CommandError(f"the {name} query failed: {_cause(str(error))}") from error
    finally:
        shutil.rmtree(local_folder(run_id), ignore_errors=True)
        with suppress(Py4JError, OSError):  # the JVM may have had the same signal
            spark.stop()


def require_topics(settings: Settings, topics: list[str]) -> dict[str, str]:
    """The topics' ids, which tell a topic from one of the same name created later.

    Raises :class:`CommandError` where Kafka does not answer or a topic is missing.
    """
    try:
        admin = AdminClient({**kafka.confluent(settings), "log_level": 0})
        known = admin.list_topics(timeout=15).topics
        if missing := [topic for topic in topics if topic not in known]:
            raise CommandError(f"Kafka at {settings.kafka_bootstrap} has no topic {missing[0]}; create it first")
        described = admin.describe_topics(TopicCollection(topics), request_timeout=15)
        return {topic: str(future.result().topic_id) for topic, future in described.items()}
    except KafkaException as error:
        raise CommandError(
            f"Kafka at {settings.kafka_bootstrap} cannot be reached ({error.args[0].str()}); "
            "start it (make local-up) or set ECOMMERCE_KAFKA_BOOTSTRAP"
        ) from error


def require_hdfs(settings: Settings) -> None:
    """Raises :class:`CommandError` where the NameNode's RPC port does not answer."""
    host, _, port = settings.hdfs_uri.removeprefix("hdfs://").partition(":")
    try:
        if port:
            socket.create_connection((host, int(port)), timeout=15).close()
    except OSError as error:
        raise CommandError(
            f"HDFS at {settings.hdfs_uri} cannot be reached ({error}); start it (make local-up) or set "
            "ECOMMERCE_HDFS_URI"
        ) from error


def _cause(text: str) -> str:
    """The last line of a Python or Java error that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("at ")]
    errors = [line for line in lines if "Error" in line or "Exception" in line or "Writer" in line]
    return (errors or lines or ["no reason given"])[-1][:500]

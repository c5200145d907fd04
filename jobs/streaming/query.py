"""Runs a streaming query until it fails, is stopped, or has drained its topics."""

import json
import re
import shutil
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

import structlog
from prometheus_client.registry import Collector
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame

from clients import hdfs, kafka, retry
from contracts.errors import Failed, Fenced, NotReady, PlatformError, Unreachable
from contracts.settings import Settings
from jobs.streaming import careful
from jobs.streaming.metrics import Ends, Metrics
from jobs.streaming.offsets import held, spark_option, starting
from jobs.streaming.settings import StreamingSettings, kafka_stream, spark_session
from jobs.streaming.window import local_folder

OURS: Final = re.compile(rf"^{PlatformError.__module__}\.\w+: ")
"""How the last line of a traceback begins where the error is one of ``contracts.errors``."""
ASK_SECONDS: Final = 10.0
"""For HDFS to say whether the checkpoint is there."""
log = structlog.get_logger()
BatchHandler = Callable[[DataFrame, int], dict[str, int]]
"""Handles a micro-batch and returns what it did: records by outcome."""


@dataclass(frozen=True, slots=True)
class Job:
    """What handles the batches; up to which offset each partition is done; what it counted before the first batch.

    ``require_unfenced`` raises :class:`Fenced` where a later writer has started: it removes the checkpoint of this run,
    so that Spark may fail before a batch is refused. ``meanwhile`` is called each second in a thread beside the
    batches, and when the topics are drained. ``collector``: what it tells Prometheus beside.
    """

    handler: BatchHandler
    done: dict[str, int]
    counts: dict[str, int] = field(default_factory=dict)
    require_unfenced: Callable[[], None] = lambda: None
    meanwhile: Callable[[], None] = lambda: None
    collector: Collector | None = None


def run_query(
    name: str,
    settings: Settings,
    streaming: StreamingSettings,
    topics: list[str],
    outcomes: tuple[str, ...],
    make_handler: Callable[[str, dict[str, str]], "Job"],
) -> None:
    """Feeds the topics' micro-batches to a handler. SIGTERM and Ctrl-C end it after the batch in hand.

    ``make_handler`` gets a name for this run and the topics' ids; its handler counts ``outcomes``. Each run has a
    checkpoint of its own, below ``streaming.checkpoint``; those of earlier runs are removed. Raises
    :class:`PlatformError` when a server cannot be reached or the query fails: an error swallowed here would end a
    driver as COMPLETED.
    """
    topic_ids = kafka.topic_ids(settings, topics)
    hdfs.rpc_answers(settings)
    run_id = uuid4().hex[:12]
    job = make_handler(run_id, topic_ids)
    ranges = held(settings, topics, job.done)
    starts = starting(ranges, job.done)
    with_care = careful.is_needed(hdfs.client(settings), streaming.checkpoint, starts, ranges)
    metrics = Metrics(name, outcomes)
    metrics.add(job.counts)
    if job.collector:
        metrics.registry.register(job.collector)
    if streaming.metrics_port:
        metrics.serve(streaming.metrics_host, streaming.metrics_port)
    ends = Ends(settings)
    spark = spark_session(f"ecommerce-{name}", settings)
    metrics.spark_page = spark.sparkContext.uiWebUrl
    stopping = threading.Event()
    ended = threading.Event()
    idle = threading.Lock()
    failures: list[Exception] = []

    def guarded(records: DataFrame, batch: int) -> None:
        # Never waits once the query is being stopped: its thread waits for this very call. What is left undone here,
        # the next start begins with: Spark's checkpoint tells it nothing.
        while not idle.acquire(timeout=0.1):
            if stopping.is_set() or failures:
                return
        try:
            if not failures:
                with metrics.batch():
                    metrics.add(job.handler(records, batch))
        except Exception as error:
            failures.append(error)
            # Raised to Spark, it would be printed three times over, with a hundred lines of traceback.
            if not _is_ours(error):
                raise
        finally:
            idle.release()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    checkpoint = fresh_checkpoint(settings, streaming.checkpoint, run_id)
    try:
        if with_care:
            log.warning("the last starts ended in their first batch: its records are read with care", job=name)
            for chunk in careful.chunks(settings, dict(starts), ranges, streaming.max_offsets):
                if stopping.is_set():
                    break
                metrics.add(job.handler(spark.createDataFrame(chunk).coalesce(1), 0))
                topic, number, offset = (chunk[name][-1].as_py() for name in ("topic", "partition", "offset"))
                starts[f"{topic}/{number}"] = offset + 1
        begin = spark_option(starts)
        writer = kafka_stream(spark, settings, topics, begin, streaming.max_offsets).writeStream.queryName(name)
        writer = writer.option("checkpointLocation", checkpoint).foreachBatch(guarded)
        if streaming.available_now:
            writer = writer.trigger(availableNow=True)
        else:
            writer = writer.trigger(processingTime=f"{streaming.trigger} seconds")
        query = writer.start()
        log.info("started", job=name, topics=topics, checkpoint=checkpoint, run=run_id, offsets=json.loads(begin))
        threading.Thread(target=_each_second, args=(job.meanwhile, ended), daemon=True).start()
        while not (stopping.is_set() or failures) and not query.awaitTermination(1):
            if streaming.metrics_port and (progress := query.lastProgress):
                metrics.look(ends, progress.sources[0].endOffset)
        with idle:
            query.stop()
        if failures and not stopping.is_set():
            require_in_place(name, settings, job, checkpoint)
            raise _meaning(name, failures[0])
        ended.set()
        if not stopping.is_set():
            job.meanwhile()
        log.info("stopped", job=name)
    except (PySparkException, Py4JError, OSError) as error:
        if not stopping.is_set():
            require_in_place(name, settings, job, checkpoint)
            raise _meaning(name, failures[0] if failures else error) from error
    finally:
        ended.set()
        shutil.rmtree(local_folder(run_id), ignore_errors=True)
        with suppress(Py4JError, OSError):  # the JVM may have had the same signal
            spark.stop()


def _each_second(work: Callable[[], None], ended: threading.Event) -> None:
    while not ended.wait(1):
        work()


def fresh_checkpoint(settings: Settings, folder: str, run_id: str) -> str:
    """The checkpoint folder of a run, made; those of earlier runs, which nobody reads, are removed."""
    client = hdfs.client(settings)
    for old in hdfs.names(client, folder):
        if not old.startswith(careful.STARTS):
            hdfs.remove(client, f"{folder}/{old}")
    hdfs.make_folder(client, f"{folder}/{run_id}")
    return f"{folder}/{run_id}"


def require_in_place(name: str, settings: Settings, job: Job, checkpoint: str) -> None:
    """Raises :class:`Fenced` where a later start goes on in this one's place, which is why it failed.

    Where HDFS does not answer, nothing is known, and the failure stands.
    """
    job.require_unfenced()
    with suppress(Unreachable, NotReady), retry.hurry(ASK_SECONDS):
        if not hdfs.exists(hdfs.client(settings), checkpoint):
            raise Fenced(
                f"the {name} job was started again and goes on there: its start removed the checkpoint of this one, "
                f"{checkpoint}"
            )


def _meaning(name: str, error: Exception) -> PlatformError:
    """An error of a batch or of Spark itself as the job's own: what the batch raised, else what ended the query."""
    if isinstance(error, PlatformError):
        return error
    return Failed(f"the {name} query failed: {OURS.sub('', _last_line(str(error)))}")


def _is_ours(error: Exception) -> bool:
    """Whether an error is a sentence of its own: raised here, or in one of Spark's Python workers."""
    return isinstance(error, PlatformError) or OURS.match(_last_line(str(error))) is not None


def _last_line(text: str) -> str:
    """Where a Python traceback ends, which is its error; Java's frames follow it."""
    lines = [line.strip() for line in text.partition("\n\tat ")[0].splitlines() if line.strip()]
    return (lines or ["no reason given"])[-1][:500]

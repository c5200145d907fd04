"""Prometheus metrics of a streaming job, at http://HOST:PORT/metrics of its driver.

Spark commits no offsets to Kafka's consumer groups, so how far a job is behind is known to the job alone.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]
from prometheus_client import CollectorRegistry, Counter, Gauge, Summary, disable_created_metrics, start_http_server

from contracts.command import serving_metrics

LAG = "ecommerce_stream_lag_records"
"""The metric that autoscalers and alerts look at."""
LAG_SECONDS = 5.0
"""Between two looks at the topics' ends."""


class Metrics:
    """The metrics of the query ``name``; ``outcomes`` names what its handler counts."""

    def __init__(self, name: str, outcomes: tuple[str, ...]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        records = Counter(
            "ecommerce_stream_records",
            "Records handled by outcome; a late one counts as landed as well",
            ("query", "outcome"),
            registry=self.registry,
        )
        # All at 0 from the start: an increase from nothing is none to Prometheus.
        self._records = {outcome: records.labels(name, outcome) for outcome in outcomes}
        self._lag = Gauge(
            LAG,
            "Records in the topics that no finished batch has handled; NaN while it is not known",
            ("query",),
            registry=self.registry,
        ).labels(name)
        self._lag.set(float("nan"))
        self._finished = Gauge(
            "ecommerce_stream_last_batch_timestamp_seconds",
            "When the newest batch ended; until the first one, when the job started",
            ("query",),
            registry=self.registry,
        ).labels(name)
        self._finished.set_to_current_time()
        self._duration = Summary(
            "ecommerce_stream_batch_seconds", "What the batches took", ("query",), registry=self.registry
        ).labels(name)
        self._looked = float("-inf")

    def serve(self, host: str, port: int) -> None:
        """Raises :class:`Mistake` where the port is taken."""
        with serving_metrics(host, port):
            start_http_server(port, host, registry=self.registry)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Times the batch within; one that fails counts as none."""
        began = time.monotonic()
        yield
        self._duration.observe(time.monotonic() - began)
        self._finished.set_to_current_time()

    def add(self, counts: Mapping[str, int]) -> None:
        """Counts what a batch did, by outcome."""
        for outcome, count in counts.items():
            self._records[outcome].inc(count)

    def look(self, admin: AdminClient, handled: str | None) -> None:
        """Compares ``handled``, the offsets after the newest batch as Spark writes them, with the topics' ends.

        Asks Kafka every :data:`LAG_SECONDS` at most.
        """
        if time.monotonic() - self._looked < LAG_SECONDS:
            return
        self._looked = time.monotonic()
        offsets: Offsets | None = json.loads(handled or "null")
        if not offsets:
            return
        try:
            self._lag.set(lag(offsets, ends(admin, offsets)))
        except KafkaException:
            self._lag.set(float("nan"))


Offsets = dict[str, dict[str, int]]
"""By topic and partition number, as Spark writes them."""


def ends(admin: AdminClient, partitions: Offsets) -> Offsets:
    """The offsets after the newest records of these partitions. Raises ``KafkaException``."""
    asked = {
        TopicPartition(topic, int(number)): OffsetSpec.latest()  # type: ignore[no-untyped-call]
        for topic in partitions
        for number in partitions[topic]
    }
    found: Offsets = {topic: {} for topic in partitions}
    for partition, future in admin.list_offsets(asked, request_timeout=10).items():
        found[partition.topic][str(partition.partition)] = future.result().offset
    return found


def lag(handled: Offsets, ends: Offsets) -> int:
    """Records between ``handled`` and ``ends``, over all partitions."""
    return sum(max(0, ends[topic][number] - handled[topic][number]) for topic in handled for number in handled[topic])

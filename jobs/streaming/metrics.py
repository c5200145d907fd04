"""Prometheus metrics of a streaming job, at http://HOST:PORT/metrics of its driver, and Spark's own beside them.

Spark serves its metrics on the page that also ends jobs; who may read metrics need not reach that one.
Spark commits no offsets to Kafka's consumer groups, so how far a job is behind is known to the job alone.
"""

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]
from prometheus_client import CollectorRegistry, Counter, Gauge, Summary, disable_created_metrics, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from clients import kafka
from contracts.command import serving_metrics
from contracts.settings import Settings

LAG = "ecommerce_stream_lag_records"
"""The metric that autoscalers and alerts look at."""
LAG_SECONDS = 5.0
"""Between two looks at the topics' ends."""
SPARKS = ("/metrics/prometheus", "/metrics/executors/prometheus")
"""Paths of Spark's own metrics, on its page and here. Source: https://spark.apache.org/docs/latest/monitoring.html"""

Offsets = dict[str, dict[str, int]]
"""By topic and partition number, as Spark writes them."""


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
        self._own = make_wsgi_app(self.registry)
        self.spark_page: str | None = None
        """Address of Spark's page, once there is one."""

    def serve(self, host: str, port: int) -> None:
        """Raises :class:`Mistake` where the port is taken."""
        with serving_metrics(host, port):
            server = make_server(host, port, self._answer, ThreadingWSGIServer, handler_class=_Silent)
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if (path := environ["PATH_INFO"]) not in SPARKS:
            return self._own(environ, start_response)
        try:
            if self.spark_page is None:
                raise ConnectionError("Spark has not started yet, or serves no page")
            with urllib.request.urlopen(self.spark_page + path, timeout=5) as answer:  # noqa: S310
                body = answer.read()
        except OSError as error:
            start_response("502 Bad Gateway", [("Content-Type", "text/plain; charset=utf-8")])
            return [f"{error}\n".encode()]
        start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
        return [body]

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

    def look(self, ends: Callable[[Offsets], Offsets], handled: str | None) -> None:
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
            self._lag.set(lag(offsets, ends(offsets)))
        except KafkaException:
            self._lag.set(float("nan"))


class _Silent(WSGIRequestHandler):
    """Without a line on stderr for each question."""

    def log_message(self, format: str, *args: object) -> None:
        pass


class Ends:
    """Asks Kafka for the offsets after the newest records of partitions, with one client as long as it gets answers."""

    def __init__(self, settings: Settings) -> None:
        self._options = {**kafka.confluent(settings), "log_level": 0}
        self._admin: AdminClient | None = None

    def __call__(self, partitions: Offsets) -> Offsets:
        """Raises ``KafkaException``."""
        asked = {
            TopicPartition(topic, int(number)): OffsetSpec.latest()  # type: ignore[no-untyped-call]
            for topic in partitions
            for number in partitions[topic]
        }
        found: Offsets = {topic: {} for topic in partitions}
        self._admin = self._admin or AdminClient(self._options)
        try:
            for partition, future in self._admin.list_offsets(asked, request_timeout=10).items():
                found[partition.topic][str(partition.partition)] = future.result().offset
        except KafkaException:
            # After a restart of the leader it would ask with the epoch of before for good (FENCED_LEADER_EPOCH).
            self._admin = None
            raise
        return found


def lag(handled: Offsets, ends: Offsets) -> int:
    """Records between ``handled`` and ``ends``, over all partitions."""
    return sum(max(0, ends[topic][number] - handled[topic][number]) for topic in handled for number in handled[topic])

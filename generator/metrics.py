"""Prometheus metrics of a run, at http://HOST:PORT/metrics."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics, start_http_server

from contracts.command import serving_metrics
from contracts.events import STREAMS
from generator.records import Batch, Kind, count_kinds


class Metrics:
    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        records = Counter("ecommerce_generator_records", "Records sent", ("stream", "kind"), registry=self.registry)
        self._records = [[records.labels(stream.name, kind.label) for kind in Kind] for stream in STREAMS]
        self.rate = Gauge("ecommerce_generator_rate", "Records a second, of the last second", registry=self.registry)
        self.waiting = Gauge(
            "ecommerce_generator_queue_length", "Records not yet acknowledged by Kafka", registry=self.registry
        )
        self.failed = Gauge("ecommerce_generator_failed", "Records that Kafka did not take", registry=self.registry)
        self.held_back = Counter(
            "ecommerce_generator_held_back_seconds",
            "Live: how long the shop's clock was held back since the machine could not keep up with the rate",
            registry=self.registry,
        )
        self._since = time.monotonic()
        self._sent = 0

    def serve(self, host: str, port: int) -> None:
        with serving_metrics(host, port):
            start_http_server(port, host, registry=self.registry)

    def add(self, batch: Batch, start: int, stop: int) -> None:
        kinds = count_kinds(batch.facts[start:stop])
        for counters, counts in zip(self._records, kinds.tolist(), strict=True):
            for counter, count in zip(counters, counts, strict=True):
                if count:
                    counter.inc(count)
        self._sent += stop - start
        now = time.monotonic()
        if now - self._since >= 1:
            self.rate.set(self._sent / (now - self._since))
            self._since, self._sent = now, 0

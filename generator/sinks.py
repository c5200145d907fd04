"""Where records go: Kafka through confluent-kafka or kafka-python, or a file of JSON lines.

A record handed to a sink is delivered or reported: a sink collects what it could not deliver in ``failed``.
"""

import base64
import functools
import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Protocol

import confluent_kafka
import confluent_kafka.admin
import msgspec
from kafka import KafkaProducer
from kafka.errors import KafkaTimeoutError

from clients import kafka
from contracts.errors import Mistake
from contracts.events import BY_TOPIC, STREAMS, decoder
from contracts.products import CATALOG, Product
from contracts.settings import Settings
from generator.records import LABELS, Batch, Label, id_line, labels

DELIVERY_SECONDS: Final = 600
"""How long a record is tried again before it counts as failed: longer than a broker's restart takes."""
CLOSE_SECONDS: Final = 120
"""How long the last records are tried again when the shop closes."""
QUEUE_KBYTES: Final = 64 * 1024
QUEUE_RECORDS: Final = 200_000
LINGER_MS: Final = 30
_TOPICS: Final = [stream.topic for stream in STREAMS]


@dataclass(frozen=True, slots=True)
class Failure:
    """A record that was not delivered."""

    topic: str
    label: Label | None
    """None of a record of the catalogue."""
    value: bytes
    reason: str

    @property
    def id_line(self) -> str:
        """The line of ``--ledger-ids`` that must not be written; of an event."""
        stream = BY_TOPIC[self.topic]
        return id_line(stream, decoder(stream).decode(self.value).event_id)


class Sink(Protocol):
    failed: list[Failure]

    def send(self, batch: Batch, start: int, stop: int) -> None:
        """Takes the records ``start`` to ``stop``; waits where the sink cannot take more."""

    def publish(self, products: list[Product]) -> None:
        """Takes what is new of the catalogue."""

    def waiting(self) -> int:
        """Records taken and not yet delivered."""

    def settled(self, seconds: float) -> bool:
        """Whether all that was taken is delivered, or has failed, within so many seconds."""

    def close(self) -> None:
        """Returns when every record was delivered or has failed."""


class ConfluentSink:
    """librdkafka: idempotent, acknowledged by all replicas, retried for ``DELIVERY_SECONDS``."""

    def __init__(self, settings: Settings) -> None:
        kafka.topic_ids(settings, [*_TOPICS, CATALOG])
        self.failed: list[Failure] = []
        self._producer = confluent_kafka.Producer(
            {
                **kafka.confluent(settings),
                "client.id": "ecommerce-generator",
                "enable.idempotence": True,
                "acks": "all",
                "compression.type": "lz4",
                "linger.ms": LINGER_MS,
                "partitioner": "murmur2_random",  # that of every other client
                "delivery.timeout.ms": DELIVERY_SECONDS * 1000,
                "delivery.report.only.error": True,
                "queue.buffering.max.messages": QUEUE_RECORDS,
                "queue.buffering.max.kbytes": QUEUE_KBYTES,
            },
            logger=logging.getLogger("librdkafka"),
        )
        self._on_delivery = [functools.partial(self._delivered, label) for label in LABELS]

    def _delivered(self, label: Label | None, error: Any, message: Any) -> None:
        if error is not None:
            self.failed.append(Failure(message.topic(), label, message.value(), error.str()))

    def send(self, batch: Batch, start: int, stop: int) -> None:
        part = slice(start, stop)
        facts = batch.facts[part]
        produce, on_delivery = self._producer.produce, self._on_delivery
        for stream, label, key, value in zip(
            facts["stream"].tolist(), labels(facts).tolist(), batch.keys[part], batch.values[part], strict=True
        ):
            try:
                produce(_TOPICS[stream], value, key, kafka.BY_KEY, on_delivery[label])
            except BufferError:
                self._produce(_TOPICS[stream], value, key, on_delivery[label])
        self._producer.poll(0)

    def publish(self, products: list[Product]) -> None:
        for product in products:
            self._produce(
                CATALOG, msgspec.json.encode(product), product.product_id, functools.partial(self._delivered, None)
            )

    def _produce(self, topic: str, value: str | bytes, key: str, on_delivery: Callable[[Any, Any], None]) -> None:
        """Waits where the queue is full."""
        while True:
            try:
                self._producer.produce(topic, value, key, on_delivery=on_delivery)
                return
            except BufferError:
                self._producer.poll(0.05)
                self._give_up_after_failure()

    def waiting(self) -> int:
        return len(self._producer)

    def settled(self, seconds: float) -> bool:
        return self._producer.flush(seconds) == 0

    def close(self) -> None:
        self._give_up_after_failure()
        if self._producer.flush(CLOSE_SECONDS):
            self._producer.purge()
            self._producer.flush()

    def _give_up_after_failure(self) -> None:
        """Once a record has failed, those still queued fail too rather than each wait for its own time-out."""
        if self.failed:
            self._producer.purge(in_flight=False)


class KafkaPythonSink:
    """kafka-python: no native library, a twentieth of the rate."""

    def __init__(self, settings: Settings) -> None:
        kafka.topic_ids(settings, [*_TOPICS, CATALOG])
        self.failed: list[Failure] = []
        self._waiting = 0
        with kafka.typed(settings):
            self._producer = KafkaProducer(
                **kafka.kafka_python(settings),
                client_id="ecommerce-generator",
                enable_idempotence=True,
                acks="all",
                linger_ms=LINGER_MS,
                compression_type="gzip",
                delivery_timeout_ms=DELIVERY_SECONDS * 1000,
            )

    def _done(self, _metadata: object) -> None:
        self._waiting -= 1

    def _failed(self, topic: str, label: Label | None, value: bytes, error: BaseException) -> None:
        self._waiting -= 1
        self.failed.append(Failure(topic, label, value, str(error)))

    def send(self, batch: Batch, start: int, stop: int) -> None:
        facts = batch.facts[start:stop]
        for at, stream_index, label in zip(
            range(start, stop), facts["stream"].tolist(), labels(facts).tolist(), strict=True
        ):
            self._send(_TOPICS[stream_index], LABELS[label], batch.keys[at], _bytes(batch.values[at]))

    def publish(self, products: list[Product]) -> None:
        for product in products:
            self._send(CATALOG, None, product.product_id, msgspec.json.encode(product))

    def _send(self, topic: str, label: Label | None, key: str, value: bytes) -> None:
        self._waiting += 1
        failed = functools.partial(self._failed, topic, label, value)
        try:
            future = self._producer.send(topic, value, key.encode())
        except KafkaTimeoutError as error:
            failed(error)
            return
        future.add_callback(self._done)
        future.add_errback(failed)

    def waiting(self) -> int:
        return self._waiting

    def settled(self, seconds: float) -> bool:
        with suppress(KafkaTimeoutError):
            self._producer.flush(seconds)
        return self._waiting == 0

    def close(self) -> None:
        self._producer.close(CLOSE_SECONDS)


class JsonLinesSink:
    """One record a line: ``topic``, ``key`` and the event as ``value``, or a malformed value as base64 in ``raw``."""

    def __init__(self, path: str) -> None:
        self.failed: list[Failure] = []
        try:
            self._file: IO[bytes] = sys.stdout.buffer if path == "-" else Path(path).open("wb")  # noqa: SIM115
        except OSError as error:
            raise Mistake(f"cannot write {path}: {error.strerror}") from error
        self._heads = [f'{{"topic":"{topic}","key":"' for topic in _TOPICS]

    def send(self, batch: Batch, start: int, stop: int) -> None:
        part = slice(start, stop)
        facts = batch.facts[part]
        lines = []
        for stream, key, value in zip(facts["stream"].tolist(), batch.keys[part], batch.values[part], strict=True):
            if isinstance(value, bytes):
                raw = base64.b64encode(value).decode()
                lines.append(f'{self._heads[stream]}{key}","raw":"{raw}"}}\n')
            else:
                lines.append(f'{self._heads[stream]}{key}","value":{value}}}\n')
        self._file.write("".join(lines).encode())

    def publish(self, products: list[Product]) -> None:
        """Nothing: the file has the events alone, ``--catalogue`` writes one of the products."""

    def waiting(self) -> int:
        return 0

    def settled(self, seconds: float) -> bool:
        self._file.flush()
        return True

    def close(self) -> None:
        self._file.flush()
        if self._file is not sys.stdout.buffer:
            self._file.close()


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


CLIENTS: Final[dict[str, Callable[[Settings], Sink]]] = {"confluent": ConfluentSink, "kafka-python": KafkaPythonSink}

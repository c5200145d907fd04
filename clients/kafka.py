"""Kafka: how ``Settings`` are said to each library, and what the libraries' errors mean.

confluent-kafka (librdkafka) carries records; kafka-python administrates, reads for counting, and probes.

Without ``kafka_credentials`` a client speaks plaintext and has no name. With it, it speaks TLS and checks the broker's
certificate; with ``kafka_user`` it logs in by password (SCRAM-SHA-512), without by a certificate of its own. Passwords
and keys stay in files: no setting holds one, so that none is in a ConfigMap, a log or a task sent to an executor.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import confluent_kafka
import kafka.errors
from confluent_kafka import KafkaException, Producer, TopicCollection
from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin import AdminClient, OffsetSpec, TopicMetadata  # type: ignore[attr-defined]
from kafka import KafkaAdminClient, KafkaConsumer
from kafka.protocol.admin import AlterClientQuotasRequest

from contracts.errors import Mistake, NotFound, PlatformError, Refused, Unreachable
from contracts.settings import Settings

KAFKA_SETTINGS: Final = ("kafka_bootstrap", "kafka_user", "kafka_credentials")
MECHANISM: Final = "SCRAM-SHA-512"
CA, PASSWORD, CERTIFICATE, KEY = "ca.crt", "password", "tls.crt", "tls.key"
"""The files of the credentials' folder, named as Strimzi and cert-manager name them in their Secrets."""
SECONDS: Final = 15
"""For one answer of the broker."""
TURN_SECONDS: Final = 3
"""After which a refusal is looked for."""
DELIVERY_SECONDS: Final = 60
"""For a record of a :class:`Sender` to be acknowledged, tries included."""
QUEUE_KBYTES: Final = 64 * 1024
"""Of a :class:`Sender`'s records under way."""
BY_KEY: Final = -1
"""A partition for librdkafka to choose."""
REFUSALS: Final = frozenset(
    getattr(confluent_kafka.KafkaError, name)
    for name in (
        "_AUTHENTICATION",
        "_SSL",
        "SASL_AUTHENTICATION_FAILED",
        "TOPIC_AUTHORIZATION_FAILED",
        "GROUP_AUTHORIZATION_FAILED",
        "CLUSTER_AUTHORIZATION_FAILED",
        "_INVALID_ARG",
        "MSG_SIZE_TOO_LARGE",
        "_MSG_SIZE_TOO_LARGE",
    )
    if hasattr(confluent_kafka.KafkaError, name)
)
"""Codes that asking again does not change; librdkafka itself marks only some errors as retriable."""
_DIRECTORY: Final = "org.apache.kafka.common.config.provider.DirectoryConfigProvider"
LOGIN: Final = "org.apache.kafka.common.security.scram.ScramLoginModule"


def confluent(settings: Settings) -> dict[str, Any]:
    """Where and as whom to connect, for confluent-kafka. Raises :class:`Mistake` where the password cannot be read."""
    place = {"bootstrap.servers": settings.kafka_bootstrap}
    if not settings.kafka_credentials:
        return place
    place["ssl.ca.location"] = _file(settings, CA)
    if settings.kafka_user:
        return place | {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": MECHANISM,
            "sasl.username": settings.kafka_user,
            "sasl.password": _password(settings),
        }
    return place | {
        "security.protocol": "SSL",
        "ssl.certificate.location": _file(settings, CERTIFICATE),
        "ssl.key.location": _file(settings, KEY),
    }


def kafka_python(settings: Settings) -> dict[str, Any]:
    """The same for kafka-python."""
    place = {"bootstrap_servers": settings.kafka_bootstrap.split(",")}
    if not settings.kafka_credentials:
        return place
    if settings.kafka_user:
        login = {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": MECHANISM,
            "sasl_plain_username": settings.kafka_user,
            "sasl_plain_password": _password(settings),
        }
    else:
        login = {
            "security_protocol": "SSL",
            "ssl_certfile": _file(settings, CERTIFICATE),
            "ssl_keyfile": _file(settings, KEY),
        }
    return {**place, "ssl_cafile": _file(settings, CA), **login}


def spark(settings: Settings) -> dict[str, str]:
    """The same as options of Spark's Kafka source, by password alone: driver and executors read it from their files."""
    options = {"bootstrap.servers": settings.kafka_bootstrap}
    if settings.kafka_credentials:
        password = f"${{directory:{settings.kafka_credentials}:{PASSWORD}}}"
        options |= {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": MECHANISM,
            "sasl.jaas.config": f'{LOGIN} required username="{settings.kafka_user}" password="{password}";',
            "config.providers": "directory",
            "config.providers.directory.class": _DIRECTORY,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": _file(settings, CA),
        }
    return {f"kafka.{name}": value for name, value in options.items()}


@contextmanager
def admin(settings: Settings) -> Iterator[KafkaAdminClient]:
    """kafka-python's administration client, closed at the end; raises as :func:`typed`."""
    _log_in(settings)
    with (
        typed(settings),
        closing(KafkaAdminClient(**kafka_python(settings), request_timeout_ms=2 * SECONDS * 1000)) as client,
    ):
        yield client


def alter_quotas(admin: KafkaAdminClient, quotas: Mapping[str, Mapping[str, float | None]]) -> list[Any]:
    """Sets quotas (https://kafka.apache.org/documentation/#design_quotas) by user and name; None removes one.

    Returns the broker's errors, none where it took all of them.
    """
    request = AlterClientQuotasRequest(
        entries=[
            ([("user", user)], [(name, value or 0.0, value is None) for name, value in wanted.items()])
            for user, wanted in quotas.items()
        ],
        validate_only=False,
    )
    # kafka-python 3.0 knows the request and has no method for it.
    response = admin._manager.run(admin._manager.send, request)
    return [kafka.errors.for_code(it.error_code)(it.error_message) for it in response.entries if it.error_code]


@contextmanager
def consumer(settings: Settings, **options: Any) -> Iterator[KafkaConsumer]:
    """kafka-python's consumer, closed at the end; raises as :func:`typed`."""
    _log_in(settings)
    with typed(settings), closing(KafkaConsumer(**kafka_python(settings), **options)) as client:
        yield client


def read(settings: Settings, starts: Mapping[str, int], **options: Any) -> Iterator[Any]:
    """The records of partitions (``topic/number``) from these offsets on to the ends they have now.

    From where a partition begins, if that is later. As kafka-python gives them, with ``options`` of its consumer;
    raises as :func:`typed`.
    """
    with consumer(settings, auto_offset_reset="earliest", enable_auto_commit=False, **options) as client:
        places = {place: kafka.TopicPartition(*_place(place)) for place in starts}
        client.assign(list(places.values()))
        begins, ends = client.beginning_offsets(list(places.values())), client.end_offsets(list(places.values()))
        for name, place in places.items():
            client.seek(place, min(max(starts[name], begins[place]), ends[place]))
        while any(client.position(place) < ends[place] for place in ends):
            for records in client.poll(timeout_ms=1000).values():
                yield from records


@contextmanager
def typed(settings: Settings) -> Iterator[None]:
    """The errors of both libraries in the terms of ``contracts.errors``: unreachable, or refused with the reason."""
    try:
        yield
    except KafkaException as error:
        raise _meaning(settings, error.args[0].code() in REFUSALS, error.args[0].str()) from error
    except kafka.errors.KafkaError as error:
        raise _meaning(settings, not error.retriable, str(error)) from error


def answers(settings: Settings) -> None:
    """Raises unless the cluster lists a broker to this client."""
    topic_ids(settings, [])


def topic_ids(settings: Settings, topics: list[str]) -> dict[str, str]:
    """The topics' ids, which tell a topic from one of the same name created later.

    Raises :class:`Unreachable`, :class:`Refused`, or :class:`NotFound` where a topic is missing.
    """
    with typed(settings):
        client = _asking(settings)
        known = _topics(client)
        if missing := [topic for topic in topics if topic not in known]:
            raise NotFound(f"Kafka at {settings.kafka_bootstrap} has no topic {', '.join(missing)}; create it first")
        if not topics:
            return {}
        described = client.describe_topics(TopicCollection(topics), request_timeout=SECONDS)
        return {topic: str(future.result().topic_id) for topic, future in described.items()}


Ranges = dict[str, tuple[int, int]]
"""The first offset that a partition (``topic/number``) still has, and the one after its newest record."""


def ranges(settings: Settings, topics: list[str]) -> Ranges:
    """What Kafka holds of each partition of these topics now, of those that there are. Raises as :func:`typed`."""
    with typed(settings):
        client = _asking(settings)
        known = _topics(client)
        places = [(topic, number) for topic in topics if topic in known for number in known[topic].partitions]
        bounds = [
            {
                f"{place.topic}/{place.partition}": future.result().offset
                for place, future in client.list_offsets(
                    {Place(*place): spec for place in places}, request_timeout=SECONDS
                ).items()
            }
            for spec in (OffsetSpec.earliest(), OffsetSpec.latest())  # type: ignore[no-untyped-call]
        ]
    return {place: (bounds[0][place], bounds[1][place]) for place in bounds[0]}


Record = tuple[str, bytes | None, dict[str, str | bytes | None]]
"""Key, value and headers."""


class Sender:
    """Sends records to a topic in bounded memory; :meth:`close` returns once Kafka has acknowledged every one.

    ``options`` are librdkafka's, on top of an idempotent producer's. Raises :class:`Unreachable` or :class:`Refused`
    with the first reason when any was not taken; the others may have been.
    """

    def __init__(self, settings: Settings, topic: str, **options: Any) -> None:
        self._settings, self._topic = settings, topic
        self._failures: list[confluent_kafka.KafkaError] = []
        with typed(settings):
            self._producer = Producer(
                {
                    **confluent(settings),
                    "log_level": 0,
                    "error_cb": _refuse,
                    "enable.idempotence": True,
                    "queue.buffering.max.kbytes": QUEUE_KBYTES,
                    "delivery.timeout.ms": DELIVERY_SECONDS * 1000,
                    **options,
                }
            )

    def send(
        self,
        key: str | bytes | None,
        value: bytes | None,
        headers: dict[str, str | bytes | None],
        partition: int = BY_KEY,
    ) -> None:
        """Takes a record, for the partition that its key says if for none; waits while too many are under way."""
        with typed(self._settings):
            while True:
                self._raise_failure()
                try:
                    self._producer.produce(
                        self._topic, value, key, partition, headers=headers, on_delivery=self._delivered
                    )
                    break
                except BufferError:  # the queue is full until some are acknowledged
                    self._producer.poll(0.1)
            self._producer.poll(0)

    def close(self) -> None:
        """Waits for the acknowledgements, each record :data:`DELIVERY_SECONDS` at most."""
        deadline = time.monotonic() + DELIVERY_SECONDS + SECONDS
        with typed(self._settings):
            while (unsent := self._producer.flush(TURN_SECONDS)) and time.monotonic() < deadline:
                self._raise_failure()
        self._raise_failure()
        if unsent:
            raise Unreachable(
                f"Kafka at {self._settings.kafka_bootstrap} did not acknowledge {unsent} records of {self._topic}"
            )

    def _delivered(self, error: confluent_kafka.KafkaError | None, _: object) -> None:
        if error:
            self._failures.append(error)

    def _raise_failure(self) -> None:
        if self._failures:
            reason = self._failures[0]
            text = f"{self._topic} did not take {len(self._failures)} records: {reason}"
            raise _meaning(self._settings, reason.code() in REFUSALS, text)


def send_all(settings: Settings, topic: str, records: Iterable[Record], **options: Any) -> None:
    """Sends records with a :class:`Sender` of their own; raises as it does."""
    sender = Sender(settings, topic, **options)
    for record in records:
        sender.send(*record)
    sender.close()


def _asking(settings: Settings) -> AdminClient:
    return AdminClient({**confluent(settings), "log_level": 0, "error_cb": _refuse})  # type: ignore[dict-item]


def _topics(client: AdminClient) -> dict[str, TopicMetadata]:
    """The topics by name, asked for in short turns: a refusal is told between them, and by no call itself."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return client.list_topics(timeout=TURN_SECONDS).topics
        except KafkaException:
            client.poll(0)
            if time.monotonic() > deadline:
                raise


def _refuse(error: confluent_kafka.KafkaError) -> None:
    """librdkafka goes on trying whatever happens; raised from its callback, a refusal ends the call that polls."""
    if error.code() in REFUSALS:
        raise KafkaException(error)


def _log_in(settings: Settings) -> None:
    """Lets librdkafka log in first: of a login that failed kafka-python only says that nobody answered."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # it logs every try
    if settings.kafka_credentials:
        answers(settings)


def _meaning(settings: Settings, refused: bool, reason: str) -> PlatformError:
    if refused:
        return Refused(f"Kafka at {settings.kafka_bootstrap} refused {_who(settings)}: {reason}")
    return Unreachable(
        f"Kafka at {settings.kafka_bootstrap} cannot be reached ({reason}); start it (make local-up) or set "
        "ECOMMERCE_KAFKA_BOOTSTRAP"
    )


def _who(settings: Settings) -> str:
    return f"the user {settings.kafka_user}" if settings.kafka_user else "this client"


def _place(place: str) -> tuple[str, int]:
    topic, _, number = place.rpartition("/")
    return topic, int(number)


def _file(settings: Settings, name: str) -> str:
    return f"{settings.kafka_credentials}/{name}"


def _password(settings: Settings) -> str:
    path = Path(_file(settings, PASSWORD))
    try:
        return path.read_text()
    except OSError as error:
        raise Mistake(f"the password of {settings.kafka_user} cannot be read: {path}: {error.strerror}") from error

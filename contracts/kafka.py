"""Kafka's clients: what each may do, and how ``Settings`` are said to each library.

Without ``kafka_credentials`` a client speaks plaintext and has no name. With it, it speaks TLS and checks the broker's
certificate; with ``kafka_user`` it logs in by password (SCRAM-SHA-512), without by a certificate of its own. Passwords
and keys stay in files: no setting holds one, so that none is in a ConfigMap, a log or a task sent to an executor.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from contracts.command import CommandError
from contracts.events import STREAMS
from contracts.settings import Settings
from contracts.topics import ALERTS, DEAD_LETTERS, TOPICS

KAFKA_SETTINGS: Final = ("kafka_bootstrap", "kafka_user", "kafka_credentials")
MECHANISM: Final = "SCRAM-SHA-512"
CA, PASSWORD, CERTIFICATE, KEY = "ca.crt", "password", "tls.crt", "tls.key"
"""The files of the credentials' folder, named as Strimzi and cert-manager name them in their Secrets."""
_DIRECTORY: Final = "org.apache.kafka.common.config.provider.DirectoryConfigProvider"
_LOGIN: Final = "org.apache.kafka.common.security.scram.ScramLoginModule"


@dataclass(frozen=True, slots=True)
class Client:
    """A client of Kafka: the topics that it may read and write. It may describe all that the contracts name."""

    name: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


_STREAMS: Final = tuple(stream.topic for stream in STREAMS)
CLIENTS: Final = (
    Client("generator", writes=_STREAMS),
    Client("ingest", reads=_STREAMS, writes=(DEAD_LETTERS,)),
    Client("speed", reads=_STREAMS, writes=(ALERTS,)),
    Client("audit", reads=tuple(topic.name for topic in TOPICS)),
)


def confluent(settings: Settings) -> dict[str, Any]:
    """Where and as whom to connect, for confluent-kafka. Raises ``CommandError`` where the password cannot be read."""
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
            "sasl.jaas.config": f'{_LOGIN} required username="{settings.kafka_user}" password="{password}";',
            "config.providers": "directory",
            "config.providers.directory.class": _DIRECTORY,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": _file(settings, CA),
        }
    return {f"kafka.{name}": value for name, value in options.items()}


def _file(settings: Settings, name: str) -> str:
    return f"{settings.kafka_credentials}/{name}"


def _password(settings: Settings) -> str:
    path = Path(_file(settings, PASSWORD))
    try:
        return path.read_text()
    except OSError as error:
        raise CommandError(f"the password of {settings.kafka_user} cannot be read: {path}: {error.strerror}") from error

"""Kafka's clients and what each may do: the access control lists of a secured cluster."""

from dataclasses import dataclass
from typing import Final

from contracts.events import STREAMS
from contracts.products import CATALOG
from contracts.topics import ALERTS, DEAD_LETTERS, TOPICS


@dataclass(frozen=True, slots=True)
class Client:
    """A client of Kafka: the topics that it may read and write. It may describe all that the contracts name."""

    name: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


_STREAMS: Final = tuple(stream.topic for stream in STREAMS)
CLIENTS: Final = (
    Client("generator", writes=(*_STREAMS, CATALOG)),
    Client("ingest", reads=(*_STREAMS, CATALOG), writes=(DEAD_LETTERS,)),
    Client("speed", reads=_STREAMS, writes=(ALERTS,)),
    Client("audit", reads=tuple(topic.name for topic in TOPICS)),
    Client("replay", reads=(*_STREAMS, DEAD_LETTERS), writes=_STREAMS),
)

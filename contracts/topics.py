"""Kafka topics with their partitions and settings (names as in Kafka's topic configuration reference)."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from contracts.events import CLICKS, INVENTORY, PURCHASES
from contracts.products import CATALOG

RETENTION: Final = timedelta(days=7)
MAX_MESSAGE_BYTES: Final = 8 * 1024 * 1024
"""Well above the largest event, so that an oversized record is seen, counted and kept as a dead letter."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A Kafka topic; the replication factor belongs to the cluster, not to the contract."""

    name: str
    partitions: int
    config: dict[str, str]


def _topic(name: str, partitions: int, **config: str) -> Topic:
    common = {
        "retention.ms": str(int(RETENTION.total_seconds() * 1000)),
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(MAX_MESSAGE_BYTES),
    }
    return Topic(name, partitions, {**common, **{key.replace("_", "."): value for key, value in config.items()}})


ALERTS: Final = "ecommerce-alerts"
DEAD_LETTERS: Final = "ecommerce-dead-letters"
REPLAY_OF: Final = "replay-of"
"""A header of a record that was a dead letter: the letter's key."""
MAX_DEAD_LETTER_BYTES: Final = MAX_MESSAGE_BYTES + 64 * 1024
"""Of the dead letters' topic: room for the largest record with its reason."""

TOPICS: Final = (
    _topic(CLICKS.topic, 4),
    _topic(PURCHASES.topic, 2),
    _topic(INVENTORY.topic, 2),
    _topic(ALERTS, 1),
    _topic(CATALOG, 1, cleanup_policy="compact"),
    _topic(DEAD_LETTERS, 1, max_message_bytes=str(MAX_DEAD_LETTER_BYTES)),
)

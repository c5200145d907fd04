"""Records on their way to a sink: their kinds, and batches of them in the order in which they are sent."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np

from contracts.events import STREAMS


class Kind(IntEnum):
    """Numbers that stand in ``FACTS``; those of ``EVENTS`` are the only record of their event so far."""

    VALID = 0
    """An event sent within the watermark after it happened."""
    DELAYED = 1
    """An event sent longer than the watermark after it happened."""
    COPY = 2
    """The same bytes once more."""
    MALFORMED = 3
    """No event at all."""

    @property
    def label(self) -> str:
        return self.name.lower()


EVENTS: Final = (Kind.VALID, Kind.DELAYED)
FACTS: Final = np.dtype(
    [("send", "i8"), ("time", "i8"), ("stream", "u1"), ("kind", "u1"), ("cents", "i8"), ("critical", "?")]
)
"""What the ledger needs to know of a record. ``stream`` is an index of ``STREAMS``."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records in the order in which they are sent: facts, keys, values and event ids (empty for malformed ones)."""

    facts: np.ndarray
    keys: list[str]
    values: list[str | bytes]
    ids: list[str]

    def take(self, order: np.ndarray) -> "Batch":
        """The records of these numbers."""
        numbers = order.tolist()
        return Batch(
            self.facts[order],
            [self.keys[number] for number in numbers],
            [self.values[number] for number in numbers],
            [self.ids[number] for number in numbers],
        )

    def happened_before(self, now: int, start: int) -> "Batch":
        """The records from ``start`` on whose events happened before ``now`` (ms)."""
        return self.take(start + np.flatnonzero(self.facts["time"][start:] < now))

    def id_lines(self, start: int, stop: int) -> list[str]:
        """Stream, tab and event id of each event; not of copies and malformed records."""
        streams = self.facts["stream"][start:stop].tolist()
        kinds = self.facts["kind"][start:stop].tolist()
        return [
            f"{STREAMS[stream].name}\t{event_id}\n"
            for stream, kind, event_id in zip(streams, kinds, self.ids[start:stop], strict=True)
            if kind in EVENTS
        ]


def count_kinds(facts: np.ndarray) -> np.ndarray:
    """[stream, kind] → records."""
    numbers = facts["stream"].astype(np.int64) * len(Kind) + facts["kind"]
    return np.bincount(numbers, minlength=len(Kind) * len(STREAMS)).reshape(-1, len(Kind))

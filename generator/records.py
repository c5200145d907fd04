"""Records on their way to a sink: their kinds, and batches of them in the order in which they are sent."""

import itertools
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np

from contracts.events import STREAMS, Stream


class Kind(IntEnum):
    """Numbers that stand in ``FACTS``; those of ``EVENTS`` are the first record of their event."""

    VALID = 0
    """An event sent within the watermark after it happened."""
    DELAYED = 1
    """An event sent longer than the watermark after it happened."""
    COPY = 2
    """The same bytes once more, within the watermark after them."""
    MALFORMED = 3
    """No event at all."""
    STALE_COPY = 4
    """A copy sent longer than the watermark after the event."""

    @property
    def label(self) -> str:
        return self.name.lower()


WHEN: Final = [("send", "i8"), ("time", "i8"), ("skew", "i8")]
"""Fields of the rows that become records: sent, happened, and how much later they are dated (ms)."""
EVENTS: Final = (Kind.VALID, Kind.DELAYED)
FACTS: Final = np.dtype(
    [
        ("send", "i8"),
        ("happened", "i8"),
        ("time", "i8"),
        ("stream", "u1"),
        ("kind", "u1"),
        ("later_day", "?"),
        ("held", "?"),
        ("misdated", "?"),
        ("cents", "i8"),
        ("critical", "?"),
    ]
)
"""What the ledger needs to know of a record. ``stream`` is an index of ``STREAMS``; ``time`` is the event's own, from
which a wrong clock sets apart when it ``happened``; ``later_day``: sent on a later day than it happened."""


def joined(parts: list[np.ndarray]) -> np.ndarray:
    """Rows of one dtype, one after the other. NumPy copies rows field by field unless they are taken for mere bytes."""
    dtype = parts[0].dtype
    return np.concatenate([rows.view(f"V{dtype.itemsize}") for rows in parts]).view(dtype)


def id_line(stream: Stream, event_id: str) -> str:
    """A line of ``--ledger-ids``."""
    return f"{stream.name}\t{event_id}\n"


@dataclass(frozen=True, slots=True)
class Batch:
    """Records in the order in which they are sent: facts, keys, values and event ids (empty for malformed ones)."""

    facts: np.ndarray
    keys: list[str]
    values: list[str | bytes]
    ids: list[str]

    def take(self, order: np.ndarray) -> "Batch":
        """The records of these numbers."""
        keys, values, ids = (np.array(column, dtype=object)[order] for column in (self.keys, self.values, self.ids))
        return Batch(self.facts.take(order), keys.tolist(), values.tolist(), ids.tolist())

    def happened_before(self, now: int, start: int) -> "Batch":
        """The records from ``start`` on whose events happened before ``now`` (ms)."""
        return self.take(start + np.flatnonzero(self.facts["happened"][start:] < now))

    def id_lines(self, start: int, stop: int) -> list[str]:
        """Stream, tab and event id of each event; not of copies and malformed records."""
        streams = self.facts["stream"][start:stop].tolist()
        kinds = self.facts["kind"][start:stop].tolist()
        return [
            id_line(STREAMS[stream], event_id)
            for stream, kind, event_id in zip(streams, kinds, self.ids[start:stop], strict=True)
            if kind in EVENTS
        ]


class Label(NamedTuple):
    """What the ledger tells apart among the records of a stream."""

    kind: Kind
    later_day: bool
    held: bool
    misdated: bool


_FLAGS: Final = (False, True)
LABELS: Final = tuple(itertools.starmap(Label, itertools.product(Kind, _FLAGS, _FLAGS, _FLAGS)))
"""All there are, by number."""


def labels(facts: np.ndarray) -> np.ndarray:
    """The number of each record's label."""
    number = facts["kind"].astype(np.int64)
    for flag in ("later_day", "held", "misdated"):
        number = 2 * number + facts[flag]
    return number


def count_kinds(facts: np.ndarray) -> np.ndarray:
    """[stream, kind] → records."""
    numbers = facts["stream"].astype(np.int64) * len(Kind) + facts["kind"]
    return np.bincount(numbers, minlength=len(Kind) * len(STREAMS)).reshape(-1, len(Kind))

"""The account of what was truly sent, against which the pipeline's figures are checked."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from contracts.errors import Mistake
from contracts.events import STREAMS, Purchase, StockChange, Stream, decoder, timestamp
from generator.config import MINUTE_MS, Config
from generator.encode import money
from generator.records import EVENTS, Batch, Kind, count_kinds

MINUTES_KEPT: Final = 48 * 60
"""Revenue by minute is kept for the newest so many minutes; the total counts them all."""


@dataclass(slots=True)
class Count:
    """Of one stream."""

    produced: int = 0
    """Distinct valid events."""
    duplicates: int = 0
    """Additional copies of them."""
    delayed: int = 0
    """How many of ``produced`` were sent longer than the watermark after they happened."""
    malformed: int = 0
    """Records that are no event."""

    def add(self, kinds: Sequence[int]) -> None:
        """Counts records, given by kind."""
        self.produced += sum(kinds[kind] for kind in EVENTS)
        self.delayed += kinds[Kind.DELAYED]
        self.duplicates += kinds[Kind.COPY]
        self.malformed += kinds[Kind.MALFORMED]

    @property
    def sent(self) -> int:
        """Records in all."""
        return self.produced + self.duplicates + self.malformed


@dataclass(slots=True)
class Ledger:
    config: Config
    counts: dict[Stream, Count] = field(default_factory=lambda: {stream: Count() for stream in STREAMS})
    minutes: dict[int, int] = field(default_factory=dict)
    """Euro cents by minute since the epoch."""
    cents: int = 0
    alerts_expected: int = 0
    lost_sales: int = 0
    """Purchases that did not come about since no warehouse had the pieces."""
    first_ms: int | None = None
    last_ms: int | None = None

    def add(self, batch: Batch, start: int, stop: int) -> None:
        """Counts the records ``start`` to ``stop`` of a batch, which were handed to the sink."""
        facts = batch.facts[start:stop]
        for stream, kinds in zip(STREAMS, count_kinds(facts).tolist(), strict=True):
            self.counts[stream].add(kinds)
        events = facts[np.isin(facts["kind"], EVENTS)]
        if not len(events):
            return
        first, last = int(events["time"].min()), int(events["time"].max())
        self.first_ms = first if self.first_ms is None else min(first, self.first_ms)
        self.last_ms = last if self.last_ms is None else max(last, self.last_ms)
        self.alerts_expected += int(events["critical"].sum())
        paid = events[events["cents"] > 0]
        for minute, cents in zip((paid["time"] // MINUTE_MS).tolist(), paid["cents"].tolist(), strict=True):
            self.minutes[minute] = self.minutes.get(minute, 0) + cents
            self.cents += cents
        while len(self.minutes) > MINUTES_KEPT:
            del self.minutes[min(self.minutes)]

    def retract(self, stream: Stream, kind: Kind, value: bytes) -> None:
        """Takes back a record that the sink could not deliver after all."""
        self.counts[stream].add([-(kind == each) for each in Kind])
        if kind not in EVENTS:
            return
        event = decoder(stream).decode(value)
        if isinstance(event, Purchase):
            cents, minute = int(event.total * 100), int(event.event_time.timestamp()) // 60
            self.cents -= cents
            if minute in self.minutes:
                self.minutes[minute] -= cents
        if isinstance(event, StockChange):
            self.alerts_expected -= event.is_critical()

    @property
    def events(self) -> int:
        return sum(count.produced for count in self.counts.values())

    @property
    def records(self) -> int:
        return sum(count.sent for count in self.counts.values())

    def report(self) -> dict[str, Any]:
        config = self.config
        return {
            "seed": config.seed,
            "day": str(config.day) if config.day else None,
            "replica": config.share.name,
            "streams": {stream.name: {**asdict(count), "sent": count.sent} for stream, count in self.counts.items()},
            "revenue": {
                "total": money(self.cents),
                "by_minute": {
                    _utc(minute * MINUTE_MS)[:16]: money(cents) for minute, cents in sorted(self.minutes.items())
                },
            },
            "alerts_expected": self.alerts_expected,
            "lost_sales": self.lost_sales,
            "first_event_time": None if self.first_ms is None else _utc(self.first_ms),
            "last_event_time": None if self.last_ms is None else _utc(self.last_ms),
        }

    def summary(self) -> dict[str, Any]:
        """The report with the revenue as one figure: what a pod leaves in its log."""
        report = self.report()
        return {**report, "revenue": report["revenue"]["total"]}

    def write(self, path: Path) -> None:
        """Replaces the file at once, so that a reader never sees half of it."""
        draft = path.with_name(path.name + ".tmp")
        try:
            draft.write_text(json.dumps(self.report(), indent=1) + "\n")
            draft.replace(path)
        except OSError as error:
            raise Mistake(f"cannot write the ledger {path}: {error.strerror}") from error


def _utc(ms: int) -> str:
    return timestamp(datetime.fromtimestamp(ms / 1000, UTC))

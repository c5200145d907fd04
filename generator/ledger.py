"""The account of what was truly sent, against which the pipeline's figures are checked."""

import json
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from contracts.errors import Mistake
from contracts.events import STREAMS, Purchase, StockChange, Stream, decoder, epoch_ms, timestamp
from generator.config import DAY_MS, MINUTE_MS, Config
from generator.encode import money
from generator.records import EVENTS, LABELS, Batch, Kind, Label, labels

MINUTES_KEPT: Final = 48 * 60
"""Live, revenue by minute is kept for the newest so many minutes; the total counts them all."""
DAYS_KEPT: Final = 60
"""Live, figures by day are kept for the newest so many days."""


@dataclass(slots=True)
class Count:
    """Of one stream."""

    produced: int = 0
    """Distinct valid events."""
    duplicates: int = 0
    """Additional copies of them."""
    stale_duplicates: int = 0
    """How many of ``duplicates`` were sent longer than the watermark after the event."""
    delayed: int = 0
    """How many of ``produced`` were sent longer than the watermark after they happened."""
    later_day: int = 0
    """How many of ``produced`` were sent on a later day (UTC) than they happened."""
    held: int = 0
    """How many of ``produced`` an outage held back."""
    misdated: int = 0
    """How many of ``produced`` a wrong clock dated."""
    malformed: int = 0
    """Records that are no event."""

    def add(self, label: Label, count: int) -> None:
        """Counts records of a label; a negative count takes them back."""
        if label.kind in EVENTS:
            self.produced += count
            self.delayed += count * (label.kind is Kind.DELAYED)
            self.later_day += count * label.later_day
            self.held += count * label.held
            self.misdated += count * label.misdated
        elif label.kind is Kind.MALFORMED:
            self.malformed += count
        else:
            self.duplicates += count
            self.stale_duplicates += count * (label.kind is Kind.STALE_COPY)

    @property
    def sent(self) -> int:
        """Records in all."""
        return self.produced + self.duplicates + self.malformed


@dataclass(slots=True)
class Day:
    """Distinct valid events dated a day (UTC)."""

    produced: dict[Stream, int] = field(default_factory=lambda: dict.fromkeys(STREAMS, 0))
    later_day: dict[Stream, int] = field(default_factory=lambda: dict.fromkeys(STREAMS, 0))
    """How many of ``produced`` were sent on a later day than they happened."""
    cents: int = 0
    alerts_expected: int = 0

    def report(self) -> dict[str, Any]:
        return {
            "produced": {stream.name: count for stream, count in self.produced.items()},
            "later_day": {stream.name: count for stream, count in self.later_day.items()},
            "revenue": money(self.cents),
            "alerts_expected": self.alerts_expected,
        }


@dataclass(slots=True)
class Ledger:
    config: Config
    counts: dict[Stream, Count] = field(default_factory=lambda: {stream: Count() for stream in STREAMS})
    days: defaultdict[int, Day] = field(default_factory=lambda: defaultdict(Day))
    """By day since the epoch."""
    minutes: dict[int, int] = field(default_factory=dict)
    """Euro cents by minute since the epoch."""
    cents: int = 0
    alerts_expected: int = 0
    lost_sales: int = 0
    """Purchases that did not come about since no warehouse had the pieces."""
    products: int = 0
    """On sale."""
    changed: Counter[str] = field(default_factory=Counter)
    """Products launched, withdrawn, repriced while the shop was played."""
    first_ms: int | None = None
    last_ms: int | None = None

    def add(self, batch: Batch, start: int, stop: int) -> None:
        """Counts the records ``start`` to ``stop`` of a batch, which were handed to the sink."""
        facts = batch.facts[start:stop]
        counts = np.bincount(facts["stream"].astype(np.int64) * len(LABELS) + labels(facts))
        for number in np.flatnonzero(counts).tolist():
            stream, label = divmod(number, len(LABELS))
            self.counts[STREAMS[stream]].add(LABELS[label], int(counts[number]))
        events = facts.compress(np.isin(facts["kind"], EVENTS))
        if not len(events):
            return
        first, last = int(events["time"].min()), int(events["time"].max())
        self.first_ms = first if self.first_ms is None else min(first, self.first_ms)
        self.last_ms = last if self.last_ms is None else max(last, self.last_ms)
        days = events["time"] // DAY_MS
        for number in range(first // DAY_MS, last // DAY_MS + 1):
            if np.any(days == number):
                self._add_to_day(number, events.compress(days == number))
        paid = events.compress(events["cents"] > 0)
        for minute, cents in zip((paid["time"] // MINUTE_MS).tolist(), paid["cents"].tolist(), strict=True):
            self.minutes[minute] = self.minutes.get(minute, 0) + cents
        if self.config.day is None:
            _keep_newest(self.minutes, MINUTES_KEPT)
            _keep_newest(self.days, DAYS_KEPT)

    def _add_to_day(self, number: int, events: np.ndarray) -> None:
        day = self.days[number]
        later = np.bincount(events["stream"], weights=events["later_day"], minlength=len(STREAMS)).astype(int)
        produced = np.bincount(events["stream"], minlength=len(STREAMS))
        for index, stream in enumerate(STREAMS):
            day.produced[stream] += int(produced[index])
            day.later_day[stream] += int(later[index])
        cents, alerts = int(events["cents"].sum()), int(events["critical"].sum())
        day.cents += cents
        day.alerts_expected += alerts
        self.cents += cents
        self.alerts_expected += alerts

    def retract(self, stream: Stream, label: Label, value: bytes) -> None:
        """Takes back a record that the sink could not deliver after all."""
        self.counts[stream].add(label, -1)
        if label.kind not in EVENTS:
            return
        event = decoder(stream).decode(value)
        ms = epoch_ms(event.event_time)
        day = self.days[ms // DAY_MS]
        day.produced[stream] -= 1
        day.later_day[stream] -= label.later_day
        if isinstance(event, Purchase):
            cents, minute = int(event.total * 100), ms // MINUTE_MS
            self.cents -= cents
            day.cents -= cents
            if minute in self.minutes:
                self.minutes[minute] -= cents
        if isinstance(event, StockChange):
            self.alerts_expected -= event.is_critical()
            day.alerts_expected -= event.is_critical()

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
            "day": config.span,
            "replica": config.share.name,
            "streams": {stream.name: {**asdict(count), "sent": count.sent} for stream, count in self.counts.items()},
            "days": {_utc(number * DAY_MS)[:10]: day.report() for number, day in sorted(self.days.items())},
            "revenue": {
                "total": money(self.cents),
                "by_minute": {
                    _utc(minute * MINUTE_MS)[:16]: money(cents) for minute, cents in sorted(self.minutes.items())
                },
            },
            "alerts_expected": self.alerts_expected,
            "lost_sales": self.lost_sales,
            "catalogue": {
                "products": self.products,
                **{what: self.changed[what] for what in ("launched", "withdrawn", "repriced")},
            },
            "first_event_time": None if self.first_ms is None else _utc(self.first_ms),
            "last_event_time": None if self.last_ms is None else _utc(self.last_ms),
        }

    def summary(self) -> dict[str, Any]:
        """The report without days, and with the revenue as one figure: what a pod leaves in its log."""
        report = self.report()
        del report["days"]
        return {**report, "revenue": report["revenue"]["total"]}

    def write(self, path: Path) -> None:
        """Replaces the file at once, so that a reader never sees half of it."""
        draft = path.with_name(path.name + ".tmp")
        try:
            draft.write_text(json.dumps(self.report(), indent=1) + "\n")
            draft.replace(path)
        except OSError as error:
            raise Mistake(f"cannot write the ledger {path}: {error.strerror}") from error


def _keep_newest(figures: dict[int, Any], count: int) -> None:
    while len(figures) > count:
        del figures[min(figures)]


def _utc(ms: int) -> str:
    return timestamp(datetime.fromtimestamp(ms / 1000, UTC))

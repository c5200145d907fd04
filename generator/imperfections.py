"""What goes wrong on purpose between an event and its record: delayed, out of order, sent twice, malformed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec
import numpy as np

from contracts.events import BY_NAME, CLICKS, INVENTORY, PURCHASES, Click, Purchase, StockChange, Stream, decoder
from generator.config import DAY_MS, MINUTE_MS, Imperfections, cumulative

DELAY_MS: Final = (15 * MINUTE_MS, 180 * MINUTE_MS)
"""How much later a delayed event is sent; well beyond the watermark."""
LATER_DAYS: Final = (0.5, 0.25, 0.125, 0.0625, 0.0625)
"""Chances that an event of a later day is sent 1, 2, … days after its own, at any time of that day."""
JITTER_MS: Final = (50, 5_000)
"""How much later an event that is out of order is sent."""
COPY_MS: Final = (1_000, 180_000)
"""How long after an event its copy is sent; within the watermark."""
STALE_COPY_MS: Final = (15 * MINUTE_MS, 2 * DAY_MS)
"""How long after an event a stale copy is sent."""

AnyEvent = Click | Purchase | StockChange


def delays(rng: np.random.Generator, shares: Imperfections, time: np.ndarray, end: int | None) -> np.ndarray:
    """How long each event waits before it is sent, in ms.

    Of days that end at ``end`` the last 15 minutes are never delayed: no newer event would come before them, so the
    jobs could not see it.
    """
    chance = rng.random(len(time))
    result = np.zeros(len(time), dtype=np.int64)
    jittered = np.flatnonzero(chance < shares.out_of_order)
    result[jittered] = rng.integers(*JITTER_MS, len(jittered))
    may_wait = np.ones(len(time), dtype=bool) if end is None else time < end - DELAY_MS[0]
    delayed = np.flatnonzero(may_wait & (chance >= 1 - shares.delayed))
    result[delayed] = rng.integers(*DELAY_MS, len(delayed))
    if shares.later_day:
        waits = may_wait & (chance < 1 - shares.delayed) & (chance >= 1 - shares.delayed - shares.later_day)
        overdue = np.flatnonzero(waits)
        days = 1 + np.searchsorted(_LATER_DAYS, rng.random(len(overdue)), side="right")
        result[overdue] = days * DAY_MS - time[overdue] % DAY_MS + rng.integers(0, DAY_MS, len(overdue))
    return result


_LATER_DAYS: Final = cumulative(LATER_DAYS)
Spoil = Callable[[Any], AnyEvent | bytes]


@dataclass(frozen=True, slots=True)
class Defect:
    """A way to be malformed: how an event of some of the streams is spoilt into another or into plain bytes."""

    name: str
    spoil: Spoil
    streams: tuple[Stream, ...] = (CLICKS, PURCHASES, INVENTORY)


def _without_last_field(event: AnyEvent) -> bytes:
    fields = msgspec.to_builtins(event)
    fields.popitem()
    return msgspec.json.encode(fields)


def _with_number_for_key(event: AnyEvent) -> bytes:
    stream = next(stream for stream in BY_NAME.values() if isinstance(event, stream.event))
    return msgspec.json.encode({**msgspec.to_builtins(event), stream.key: 4711})


def _replace(**changes: Any) -> Spoil:
    """Replaces fields, by a value or by what a function makes of the event."""

    def spoil(event: AnyEvent) -> AnyEvent:
        values = {name: change(event) if callable(change) else change for name, change in changes.items()}
        return msgspec.structs.replace(event, **values)

    return spoil


DEFECTS: Final = (
    Defect("empty", lambda event: b""),
    Defect("not JSON", lambda event: b"GET /cart HTTP/1.1"),
    Defect("JSON, but no object", lambda event: msgspec.json.encode([event])),
    Defect("truncated", lambda event: (text := msgspec.json.encode(event))[: len(text) // 2]),
    Defect("not UTF-8", lambda event: msgspec.json.encode(event).replace(b"-", b"\xff", 1)),
    Defect("a field missing", _without_last_field),
    Defect("a number for the key", _with_number_for_key),
    Defect("event id is no UUID", _replace(event_id="41")),
    Defect("from 1970", _replace(event_time=datetime(1970, 1, 1, tzinfo=UTC))),
    Defect("from next year", _replace(event_time=lambda event: event.event_time + timedelta(days=366))),
    Defect("time without a zone", _replace(event_time=lambda event: event.event_time.replace(tzinfo=None))),
    Defect("unknown product", _replace(product_id="P00000")),
    Defect("unknown page", _replace(page="chekout"), (CLICKS,)),
    Defect("country is no code", _replace(country="Germany"), (CLICKS, PURCHASES)),
    Defect(
        "negative price",
        _replace(unit_price=lambda event: -event.unit_price, total=lambda event: -event.total),
        (PURCHASES,),
    ),
    Defect("wrong total", _replace(total=lambda event: event.total + Decimal("0.01")), (PURCHASES,)),
    Defect("three decimals", _replace(unit_price=Decimal("1.005"), quantity=2, total=Decimal("2.010")), (PURCHASES,)),
    Defect("nothing bought", _replace(quantity=0, total=Decimal("0.00")), (PURCHASES,)),
    Defect("unknown currency", _replace(currency="XXX"), (PURCHASES,)),
    Defect("negative stock", _replace(stock_level=-1), (INVENTORY,)),
    Defect("stock below its change", _replace(stock_level=1, change=2), (INVENTORY,)),
)
DEFECTS_OF: Final = {stream: [defect for defect in DEFECTS if stream in defect.streams] for stream in BY_NAME.values()}
_DECODERS: Final = {stream: decoder(stream) for stream in BY_NAME.values()}


def malformed(defect: Defect, stream: Stream, value: str, event_id: str) -> bytes:
    """A malformed record made of a valid event's JSON, under an event id of its own."""
    event = msgspec.structs.replace(_DECODERS[stream].decode(value), event_id=event_id)
    spoilt = defect.spoil(event)
    return spoilt if isinstance(spoilt, bytes) else msgspec.json.encode(spoilt)

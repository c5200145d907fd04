"""Raw Kafka records to typed events, or to the reason why a record is none.

Whatever the bytes, a record is one or the other: nothing that a record holds raises out of :meth:`Reader.read`. From
here on event times are UTC in whole milliseconds, whatever offset and precision the producer wrote.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from contracts.events import (
    BY_TOPIC,
    MAX_CLOCK_SKEW,
    MAX_EVENT_AGE,
    MAX_EVENT_BYTES,
    BadEvent,
    Click,
    Purchase,
    StockChange,
    check_time,
    decoder,
    epoch_ms,
    from_epoch_ms,
    unknown_fields,
)

Event = Click | Purchase | StockChange
REASON_CHARACTERS: Final = 1000
"""Of a reason kept with a dead letter: some quote the value, which may be long."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record for the dead letters."""

    offset: int
    value: bytes | None
    reason: str
    key: bytes | None = None


class Reader:
    """Reads the records of one Kafka partition in offset order and tells late ones from those on time.

    An event is late when its time lies more than ``delay`` before the newest event time seen earlier in its partition.
    This makes lateness a property of the log: every job and every replay draws the same line, wherever its batches
    begin. ``newest`` is that running maximum (None before the first event) and carries over to the next batch.
    ``unknown``: by offset, the fields of events read so far that this version does not know, as JSON: what a producer
    ahead of the jobs sends.
    """

    def __init__(self, topic: str, newest: datetime | None, delay: timedelta) -> None:
        self.newest = newest
        self.unknown: dict[int, str] = {}
        self._delay = delay
        self._stream = BY_TOPIC[topic]
        self._decode = decoder(self._stream).decode
        self._decode_ahead = decoder(self._stream, ahead=True).decode

    def read(self, records: pa.RecordBatch) -> Iterator[tuple[int, Event, bool] | Rejected]:
        """Yields ``(offset, event, late)`` or :class:`Rejected` for each record (offset, timestamp, key, value)."""
        appended = records["timestamp"]
        bounds = pc.min_max(appended).as_py()
        if bounds["min"] is None:
            return
        # Whatever lies between these is possible for every record of the batch.
        oldest, youngest = bounds["max"] - MAX_EVENT_AGE, bounds["min"] + MAX_CLOCK_SKEW
        offsets, values = records["offset"].to_pylist(), records["value"].to_pylist()
        for index, (offset, value) in enumerate(zip(offsets, values, strict=True)):
            try:
                event = self._event(offset, value)
                moment = event.event_time
                if not oldest <= moment <= youngest:
                    check_time(moment, appended[index].as_py())
                if moment.tzinfo is not UTC or moment.microsecond % 1000:
                    event.event_time = moment = from_epoch_ms(epoch_ms(moment))
            except MemoryError:
                raise
            except Exception as error:
                yield Rejected(offset, value, reason(error), records["key"][index].as_py())
                continue
            if self.newest is None or moment > self.newest:
                self.newest = moment
            yield offset, event, self.newest - moment > self._delay

    def _event(self, offset: int, value: bytes | None) -> Event:
        if value is None:
            raise BadEvent("the record has no value")
        if len(value) > MAX_EVENT_BYTES:
            raise BadEvent(f"{len(value)} bytes are over the limit of {MAX_EVENT_BYTES}")
        try:
            event = self._decode(value)
        except msgspec.ValidationError:
            event = self._event_ahead(offset, value)
        if problem := event.problem():
            raise BadEvent(problem)
        return event

    def _event_ahead(self, offset: int, value: bytes) -> Event:
        """An event with fields that this version does not know; raises for what is no event without them either."""
        event = self._decode_ahead(value)
        self.unknown[offset] = unknown_fields(self._stream, value)
        return self._stream.event(**{name: getattr(event, name) for name in event.__struct_fields__})


def reason(error: Exception) -> str:
    """Why a record is no event, in a line of bounded length; an error that nobody foresaw comes with its type."""
    text = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    return text[:REASON_CHARACTERS]

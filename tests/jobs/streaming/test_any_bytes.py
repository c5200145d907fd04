"""No record can stop a job: whatever the bytes, it is an event or a dead letter with its reason."""

import json
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import hypothesis.strategies as st
import msgspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from contracts.events import CLICKS, STREAMS, WATERMARK, Stream, epoch_ms
from contracts.hive import RAW, arrow_schema
from generator import strange
from jobs.streaming.records import REASON_CHARACTERS, Reader, Rejected
from tests.support import samples
from tests.support.judging import judge, records

NOW = datetime(2026, 11, 25, 10, tzinfo=UTC)
BATCH = 2500
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
MOMENTS = st.datetimes(timezones=st.timezones() | st.just(timezone(timedelta(hours=14))))


def sound(stream: Stream, values: list[bytes | None]) -> int:
    """Fails unless each value has one outcome that can be stored; returns how many are events."""
    outcomes = list(Reader(stream.topic, None, WATERMARK).read(records(values, NOW)))
    assert len(outcomes) == len(values)
    events = [outcome[1] for outcome in outcomes if not isinstance(outcome, Rejected)]
    for rejected in (outcome for outcome in outcomes if isinstance(outcome, Rejected)):
        assert 0 < len(rejected.reason) <= REASON_CHARACTERS
        assert rejected.value == values[rejected.offset]
        rejected.reason.encode(errors="replace")
    for field in arrow_schema(RAW[stream.name].columns):
        if field.name in type(events[0]).__struct_fields__ if events else False:
            pa.array([getattr(event, field.name) for event in events], field.type)
    for event in events:
        assert event.event_time.tzinfo is UTC
        assert event.event_time.microsecond % 1000 == 0
        msgspec.json.encode(event)
        getattr(event, stream.key).encode()
    return len(events)


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
@pytest.mark.parametrize("seed", range(2))
def test_strange_records_are_events_or_dead_letters(stream: Stream, seed: int) -> None:
    found = sound(stream, strange.records(seed, stream, BATCH, NOW))
    assert BATCH / 10 < found < BATCH * 9 / 10, "the attack makes both"


@settings(max_examples=1500, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_field_may_hold_anything(data: st.DataObject) -> None:
    stream, make = data.draw(st.sampled_from(list(samples.BY_STREAM.items())))
    event: dict[str, Any] = make()
    event[data.draw(st.sampled_from([*event, "another"]))] = data.draw(JSON)
    sound(stream, [json.dumps(event, ensure_ascii=data.draw(st.booleans())).encode(errors="surrogatepass")])


@settings(max_examples=1000)
@given(st.binary(max_size=200), st.sampled_from(STREAMS))
def test_a_record_may_hold_any_bytes(value: bytes, stream: Stream) -> None:
    sound(stream, [value])


@settings(max_examples=1500)
@given(MOMENTS)
def test_any_time_of_any_offset_is_told(moment: datetime) -> None:
    (outcome,) = judge(CLICKS, [samples.encode({**samples.click(), "event_time": moment.isoformat()})], NOW)
    possible = timedelta(days=-30) <= moment - NOW <= timedelta(minutes=5)
    assert isinstance(outcome, str) != possible or not 1 <= moment.year <= 9999


def test_the_time_is_the_same_instant_in_utc_milliseconds() -> None:
    spellings = ["2026-11-25T11:59:59.999999+02:00", "2026-11-25T09:59:59.999Z", "2026-11-25T04:29:59.9990004-05:30"]
    events = judge(CLICKS, [samples.encode({**samples.click(), "event_time": at}) for at in spellings], NOW)
    assert {event if isinstance(event, str) else event.event_time for event in events} == {
        datetime(2026, 11, 25, 9, 59, 59, 999_000, tzinfo=UTC)
    }


@settings(max_examples=300)
@given(st.lists(st.integers(0, 3_600_000_000), min_size=1, max_size=40), st.lists(st.integers(1, 39), max_size=6))
def test_lateness_does_not_depend_on_where_batches_begin(ages_us: list[int], cuts: list[int]) -> None:
    values = [
        samples.encode({**samples.click(), "event_time": (NOW - timedelta(microseconds=age)).isoformat()})
        for age in ages_us
    ]
    whole = [late for _, _, late in Reader(CLICKS.topic, None, WATERMARK).read(records(values, NOW))]  # type: ignore[misc]
    newest, apart = None, []
    edges = [0, *sorted({cut for cut in cuts if cut < len(values)}), len(values)]
    for start, end in pairwise(edges):
        # What is carried over is what a commit keeps: whole milliseconds.
        reader = Reader(CLICKS.topic, newest, WATERMARK)
        apart += [late for _, _, late in reader.read(records(values[start:end], NOW, start))]  # type: ignore[misc]
        newest = reader.newest
        assert newest is None or newest.microsecond % 1000 == 0
        assert newest is None or epoch_ms(newest) * 1000 == round(newest.timestamp() * 1_000_000)
    assert apart == whole

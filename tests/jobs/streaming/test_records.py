"""What is an event, what is rejected and why, and when an event is late."""

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pyarrow as pa
import pytest

from contracts.events import CLICKS, MAX_CLOCK_SKEW, MAX_EVENT_AGE, MAX_EVENT_BYTES, PURCHASES, Click, Stream
from jobs.streaming.records import Event, Reader, Rejected
from tests.support import samples
from tests.support.judging import judge, records

NOW = datetime(2026, 11, 25, 12, 0, 0, 123_000, tzinfo=UTC)
DELAY = timedelta(minutes=10)
MINUTE = timedelta(minutes=1)
MILLISECOND = timedelta(milliseconds=1)


def click_at(moment: datetime) -> bytes:
    return samples.encode(samples.click(event_time=moment))


def outcome(stream: Stream, value: bytes | None) -> Event | str:
    """The event that a record is, or why it is none."""
    [found] = judge(stream, [value], NOW)
    return found


def test_an_event_of_another_stream_is_rejected() -> None:
    assert "missing required field" in str(outcome(PURCHASES, samples.encode(samples.click(event_time=NOW))))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "the record has no value"),
        (b"", "Input data was truncated"),
        (b"{", "Input data was truncated"),
        (b"null", "Expected `object`, got `null`"),
        (samples.encode(samples.click(user_id=None)), "Expected `str`, got `null`"),
    ],
)
def test_what_is_no_event_is_rejected_with_the_reason(value: bytes | None, reason: str) -> None:
    assert reason in str(outcome(CLICKS, value))


def test_a_record_may_have_the_size_of_the_limit_and_no_byte_more() -> None:
    event = samples.encode(samples.click(event_time=NOW))
    assert isinstance(outcome(CLICKS, event.ljust(MAX_EVENT_BYTES)), Click)
    assert outcome(CLICKS, event.ljust(MAX_EVENT_BYTES + 1)) == (
        f"{MAX_EVENT_BYTES + 1} bytes are over the limit of {MAX_EVENT_BYTES}"
    )


def test_fields_of_a_later_version_are_kept_apart() -> None:
    """Whatever is in them; the event is what it is without them."""
    event = samples.click(event_time=NOW)
    plain = samples.encode(event)
    deep = b"[" * 200 + b"]" * 200
    ahead = plain[:-1] + b',"campaign":"autumn","nested":{"a":[1,2.50,null]},"raw":"\xff","deep":' + deep + b"}"
    reader = Reader(CLICKS.topic, None, DELAY)
    found = [one[1] for one in reader.read(records([plain, ahead], NOW)) if not isinstance(one, Rejected)]
    assert found == [Click(**msgspec.structs.asdict(found[0]))] * 2
    assert list(reader.unknown) == [1]
    kept = json.loads(reader.unknown[1])
    assert set(kept) == {"campaign", "nested", "raw", "deep"}
    assert (kept["campaign"], kept["nested"], kept["raw"]) == ("autumn", {"a": [1, 2.5, None]}, "\ufffd")
    assert "Expected `str`, got `int`" in str(outcome(CLICKS, plain[:-1] + b',"new":1,"user_id":7}'))


@pytest.mark.parametrize(
    ("age", "reason"),
    [
        (MAX_EVENT_AGE, None),
        (MAX_EVENT_AGE + MILLISECOND, "days old"),
        (-MAX_CLOCK_SKEW, None),
        (-MAX_CLOCK_SKEW - MILLISECOND, "is after its append"),
    ],
)
def test_the_broker_s_time_bounds_what_is_possible(age: timedelta, reason: str | None) -> None:
    found = outcome(CLICKS, click_at(NOW - age))
    assert isinstance(found, Click) if reason is None else reason in str(found)


def test_each_record_is_judged_by_its_own_append_time() -> None:
    """In a batch that spans more than any event may be old."""
    month = MAX_EVENT_AGE + MINUTE
    batch = records([click_at(NOW)] * 2 + [click_at(NOW + month)] * 2, [NOW, NOW + month, NOW, NOW + month])
    found = list(Reader(CLICKS.topic, None, DELAY).read(batch))
    assert [isinstance(one, Rejected) for one in found] == [False, True, True, False]


def test_a_rejected_record_keeps_its_place_and_bytes_and_spoils_no_other() -> None:
    batch = records([click_at(NOW), b"\xff", click_at(NOW)], NOW, first=70)
    first, bad, last = Reader(CLICKS.topic, None, DELAY).read(batch)
    assert isinstance(bad, Rejected)
    assert (bad.offset, bad.value) == (71, b"\xff")
    assert not isinstance(first, Rejected)
    assert not isinstance(last, Rejected)
    assert (first[0], last[0]) == (70, 72)


def lateness(reader: Reader, *ages: timedelta) -> list[bool]:
    """Whether clicks so much older than NOW are late, read one after the other."""
    found = reader.read(records([click_at(NOW - age) for age in ages], NOW))
    return [one[2] for one in found if not isinstance(one, Rejected)]


def test_an_event_is_late_when_it_is_further_behind_the_newest_than_the_delay() -> None:
    reader = Reader(CLICKS.topic, None, DELAY)
    ages = (timedelta(0), DELAY, DELAY + MILLISECOND, timedelta(0))
    assert lateness(reader, *ages) == [False, False, True, False]


def test_an_event_is_late_by_what_came_before_it_alone() -> None:
    assert lateness(Reader(CLICKS.topic, None, DELAY), 60 * MINUTE, timedelta(0), 60 * MINUTE) == [False, False, True]


def test_the_newest_time_is_carried_over_to_the_next_batch() -> None:
    first = Reader(CLICKS.topic, None, DELAY)
    assert lateness(first, timedelta(0), 5 * MINUTE) == [False, False]
    assert first.newest == NOW
    assert lateness(Reader(CLICKS.topic, first.newest, DELAY), 11 * MINUTE) == [True]


def test_a_rejected_event_makes_no_other_late() -> None:
    reader = Reader(CLICKS.topic, None, DELAY)
    ahead = samples.encode(samples.click(event_time=NOW + 4 * MINUTE, product_id="P00000"))
    list(reader.read(records([ahead], NOW)))
    assert reader.newest is None
    assert lateness(reader, 10 * MINUTE) == [False]


def test_no_records_are_no_events() -> None:
    empty = records([], NOW)
    assert isinstance(empty, pa.RecordBatch)
    assert list(Reader(CLICKS.topic, NOW, DELAY).read(empty)) == []

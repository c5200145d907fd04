"""What goes wrong on purpose."""

from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from contracts.events import CLICKS, Stream, decoder
from generator.imperfections import DEFECTS_OF, Defect, malformed
from tests.support.account import Account
from tests.support.judging import judge
from tests.support.shop import play, read_lines


def test_events_are_sent_out_of_order_and_copies_are_equal(tmp_path: Path) -> None:
    play(tmp_path, "--events=20000", "--out-of-order-share=0.2", "--delayed-share=0", "--duplicate-share=0.05")
    by_id: defaultdict[str, list[bytes]] = defaultdict(list)
    times = []
    for stream, _, value in read_lines(tmp_path / "records.jsonl"):
        try:
            event = decoder(stream).decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        by_id[event.event_id].append(value)
        if stream is CLICKS and len(by_id[event.event_id]) == 1:
            times.append(event.event_time)
    assert any(later < earlier for earlier, later in pairwise(times))
    copies = [values for values in by_id.values() if len(values) > 1]
    assert copies
    assert all(len(set(values)) == 1 and len(values) == 2 for values in copies)


@pytest.mark.parametrize(
    ("stream", "defect"),
    [
        pytest.param(stream, defect, id=f"{stream.name}: {defect.name}")
        for stream, defects in DEFECTS_OF.items()
        for defect in defects
    ],
)
def test_every_malformed_record_is_refused(account: Account, stream: Stream, defect: Defect) -> None:
    whole = account.events[stream][:50]
    assert judge(stream, [msgspec.json.encode(event) for event in whole]) == whole
    spoilt = [malformed(defect, stream, msgspec.json.encode(event).decode(), event.event_id) for event in whole]
    reasons = judge(stream, [value if isinstance(value, bytes) else value.encode() for value in spoilt])
    assert [reason for reason in reasons if not isinstance(reason, str)] == []

"""What a user's clicks amount to does not depend on where batches begin."""

import random
from datetime import UTC, datetime, timedelta
from functools import reduce

import msgspec

from contracts.hbase import Visit
from jobs.streaming.views import _add_visit

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_clicks_amount_to_the_same_however_they_are_batched() -> None:
    drawn = random.Random(3)
    for _ in range(500):
        clicks = [
            Visit(drawn.choice(["home", "cart"]), drawn.choice([None, "toys", "books"]), "mobile", "DE", at)
            for at in (NOON + timedelta(seconds=drawn.randrange(6)) for _ in range(6))
        ]
        cut = drawn.randrange(1, 6)
        first, second = reduce(_add_visit, clicks[:cut]), reduce(_add_visit, clicks[cut:])
        stored = msgspec.json.decode(msgspec.json.encode(first), type=Visit)
        assert _add_visit(stored, second) == reduce(_add_visit, clicks)

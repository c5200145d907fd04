"""The generator scaled as a user scales it: the rate follows, the shops are disjoint, nothing is lost on the way."""

import json
from itertools import combinations
from typing import Any

import pytest
from conftest import Platform
from shop import Shop, landed, produced

SECONDS = 30
"""For which the rate is measured."""
RATE = f"""
import time
from contracts.settings import Settings
from jobs import audit
settings = Settings.from_environment()
before, began = sum(audit.end_offsets(settings).values()), time.monotonic()
time.sleep({SECONDS})
print((sum(audit.end_offsets(settings).values()) - before) / (time.monotonic() - began))
"""
# Event ids begin with 32 bits that name the pod's run.
USERS = """
import json
from contracts.settings import Settings
from jobs import audit
_, clicks = audit.read_stream(Settings.from_environment(), "clicks", ["event_id", "user_id"])
users = {}
for event, user in zip(clicks["event_id"].to_pylist(), clicks["user_id"].to_pylist(), strict=True):
    users.setdefault(event[:8], set()).add(user)
print(json.dumps({run: sorted(found) for run, found in users.items()}))
"""


def rate(platform: Platform) -> float:
    """Records/s that reach Kafka."""
    return float(platform.run("python", "-c", RATE).splitlines()[-1])


@pytest.fixture(scope="module")
def rates(platform: Platform, shop: Shop, found: dict[str, Any]) -> list[float]:
    """The rates with one, three and one pod; in the end the shop is stopped."""
    measured = []
    for replicas in (1, 3, 1):
        shop.scale(replicas)
        measured.append(rate(platform))
    shop.scale(0)
    return measured


def test_the_rate_follows_the_number_of_pods(rates: list[float]) -> None:
    one, three, again = rates
    assert 2 < three / one < 4.5
    assert 0.5 < again / one < 2


def test_counts_are_exact_over_all_pods(platform: Platform, shop: Shop, rates: list[float]) -> None:
    ledger = shop.ledger()
    assert landed(platform.count(ledger)) == produced(ledger)


def test_no_two_pods_share_a_visitor(platform: Platform, shop: Shop, rates: list[float]) -> None:
    users = {run: set(ids) for run, ids in json.loads(platform.run("python", "-c", USERS).splitlines()[-1]).items()}
    assert len(users) == len(shop.ledgers)
    assert [pair for pair in combinations(users, 2) if users[pair[0]] & users[pair[1]]] == []

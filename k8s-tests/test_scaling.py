"""The generator scaled as a user scales it: the rate follows, the shops are disjoint, nothing is lost on the way."""

from itertools import combinations
from typing import Any

import pytest

from support.platform import Platform
from support.shop import Shop, landed, produced

SECONDS = 15
"""For which the rate is measured."""


def rate(platform: Platform) -> float:
    """Records/s that reach Kafka."""
    return float(platform.inside("rate", str(SECONDS)))


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
    users = {run: set(ids) for run, ids in platform.inside("users").items()}
    assert len(users) == len(shop.ledgers)
    assert [pair for pair in combinations(users, 2) if users[pair[0]] & users[pair[1]]] == []

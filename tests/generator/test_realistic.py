"""The preset ``realistic`` against the figures that generator/README.md states for it, with fixed seeds."""

from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.events import CLICKS, INVENTORY, PURCHASES
from generator import arrivals, stock, walk
from generator.catalogue import FIRST_PRODUCTS
from generator.config import DAY_MS, ONE_DAY, rng_for
from generator.presets import REALISTIC
from generator.stock import Stock
from tests.support.account import Account
from tests.support.shop import DAY, FLAWLESS_FLAGS, play


@pytest.fixture(scope="module")
def realistic(tmp_path_factory: pytest.TempPathFactory) -> Account:
    folder = tmp_path_factory.mktemp("realistic")
    account, ledger = play(folder, "--preset=realistic", "--events=300000", "--seed=7", *FLAWLESS_FLAGS)
    assert account.differences(ledger) == []
    return account


@pytest.fixture(scope="module")
def people(realistic: Account) -> dict[str, list[Any]]:
    """The clicks of each session that is no bot's."""
    sessions = defaultdict(list)
    for click in realistic.events[CLICKS]:
        if not click.user_id.startswith("bot-"):
            sessions[click.session_id].append(click)
    return sessions


@pytest.fixture(scope="module")
def buyers(realistic: Account) -> set[str]:
    return {purchase.session_id for purchase in realistic.events[PURCHASES]}


def share(sessions: list[list[Any]], is_so: Any) -> float:
    return sum(map(is_so, sessions)) / len(sessions)


def of_device(people: dict[str, list[Any]], device: str) -> list[list[Any]]:
    return [clicks for clicks in people.values() if clicks[0].device == device]


def test_devices_and_what_they_buy(people: dict[str, list[Any]], buyers: set[str]) -> None:
    devices = Counter(clicks[0].device for clicks in people.values())
    assert [devices[name] / len(people) for name in ("mobile", "desktop", "tablet")] == pytest.approx(
        [0.65, 0.32, 0.03], abs=0.01
    )
    for device, expected in (("desktop", 0.038), ("tablet", 0.031), ("mobile", 0.024)):
        sessions = of_device(people, device)
        error = 4.5 * (expected / len(sessions)) ** 0.5
        assert share(sessions, lambda clicks: clicks[0].session_id in buyers) == pytest.approx(expected, abs=error)
    assert 0.023 < len(buyers) / len(people) < 0.032


def test_carts(realistic: Account, people: dict[str, list[Any]], buyers: set[str]) -> None:
    with_cart = {name for name, clicks in people.items() if any(click.page == "cart" for click in clicks)}
    assert len(with_cart) / len(people) == pytest.approx(0.128, abs=0.01)
    assert 0.70 < 1 - len(buyers) / len(with_cart) < 0.80
    pages = Counter(click.page for clicks in people.values() for click in clicks)
    assert pages["removal"] / pages["cart"] == pytest.approx(1 / 3, abs=0.02)
    units = sum(purchase.quantity for purchase in realistic.events[PURCHASES])
    assert units / len(buyers) == pytest.approx(2.9, abs=0.25)


def test_what_was_taken_out_is_not_bought(realistic: Account, people: dict[str, list[Any]]) -> None:
    bought = defaultdict(set)
    for purchase in realistic.events[PURCHASES]:
        bought[purchase.session_id].add(purchase.product_id)
    for session, products in bought.items():
        in_cart = set()
        for click in people[session]:
            if click.page == "cart":
                in_cart.add(click.product_id)
            if click.page == "removal":
                in_cart.remove(click.product_id)
        assert products == in_cart


def test_half_of_the_mobile_sessions_see_one_page(people: dict[str, list[Any]]) -> None:
    for device, expected in (("mobile", 0.50), ("desktop", 0.42)):
        assert share(of_device(people, device), lambda clicks: len(clicks) == 1) == pytest.approx(expected, abs=0.015)


def test_sessions_enter_on_many_pages_and_referrers_differ(people: dict[str, list[Any]], buyers: set[str]) -> None:
    first = Counter(clicks[0].page for clicks in people.values())
    found = {page: count / len(people) for page, count in first.items()}
    assert found == pytest.approx({"home": 0.37, "product": 0.37, "category": 0.21, "search": 0.03}, abs=0.03)
    sessions, bought = Counter[str](), Counter[str]()
    for name, clicks in people.items():
        sessions[clicks[0].referrer] += 1
        bought[clicks[0].referrer] += name in buyers
    rate = {name: bought[name] / sessions[name] for name in sessions}
    assert rate["email"] > 1.3 * rate["search"] > 1.5 * rate["social"]


def test_bots_see_half_of_the_pages_and_many_visitors_are_anonymous(
    realistic: Account, people: dict[str, list[Any]], tmp_path: Path
) -> None:
    clicks = realistic.events[CLICKS]
    assert sum(click.user_id.startswith("bot-") for click in clicks) / len(clicks) == pytest.approx(0.5, abs=0.02)
    assert not any(purchase.user_id.startswith("bot-") for purchase in realistic.events[PURCHASES])
    anonymous = [each for each in people.values() if each[0].user_id.startswith("anonymous-")]
    assert len(anonymous) / len(people) == pytest.approx(0.5, abs=0.02)
    sessions = Counter(each[0].user_id for each in anonymous)
    assert share([[count] for count in sessions.values()], lambda found: found[0] == 1) > 0.9, "known again at a return"
    assert all(each[0].user_id == click.user_id for each in people.values() for click in each)
    without, _ = play(tmp_path, "--preset=realistic", "--bot-share=0", "--events=3000")
    assert not any(click.user_id.startswith("bot-") for click in without.events[CLICKS])


def test_peaks_at_10_and_20_in_the_shop_s_own_time_zone() -> None:
    rhythm = arrivals.Rhythm(REALISTIC, ())
    for day, ahead in ((datetime(2026, 10, 24, tzinfo=UTC), 2), (datetime(2026, 10, 26, tzinfo=UTC), 1)):
        by_hour = rhythm.base(int(day.timestamp()) // 60 + np.arange(1440))[::60]
        local = np.roll(by_hour, ahead)
        assert [hour for hour in range(1, 23) if local[hour - 1] < local[hour] > local[hour + 1]] == [10, 20]


def test_a_fifth_of_the_sales_comes_back_days_later(tmp_path: Path) -> None:
    shelves = Stock(rng_for("returns"), np.full(2 * FIRST_PRODUCTS, 500.0), 0, 0, 0, 0.0, REALISTIC.returned)
    sales = np.zeros(2_000, dtype=walk.PURCHASE_ROW)
    sales["time"], sales["quantity"] = np.arange(1, 2_001), 2
    first = np.arange(2_000) % FIRST_PRODUCTS
    changes, _ = shelves.play(sales, first, 0, 15 * DAY_MS)
    returns = changes[changes["reason"] == stock.RETURN]
    assert len(returns) / len(sales) == pytest.approx(0.2, abs=0.04)
    assert set(returns["change"]) == {2}
    assert 3 * DAY_MS < returns["time"].min() < 4 * DAY_MS
    assert 13 * DAY_MS < returns["time"].max() < 14 * DAY_MS + 3_000
    days = f"--days={DAY - 13 * ONE_DAY}..{DAY}"
    played, _ = play(tmp_path, "--preset=realistic", days, "--events=4000", *FLAWLESS_FLAGS)
    reasons = Counter(change.reason for change in played.events[INVENTORY])
    assert 0.05 < reasons["return"] / reasons["sale"] < 0.2

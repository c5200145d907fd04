"""A month of 300,000 events a day with each preset, a tenth of the visitors, against generator/README.md's figures."""

import re
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

import generator
from generator.config import Config, Imperfections, Share
from generator.describe import Description
from generator.presets import DEMO, PRESETS, REALISTIC
from tests.support.shop import DAY

README = Path(generator.__file__).with_name("README.md").read_text(encoding="utf-8")
MONTH = 30


def month(name: str, bots: float) -> Description:
    return Description.of(
        Config(
            7,
            Share(10),
            Imperfections(),
            day=DAY - timedelta(days=MONTH - 1),
            days=MONTH,
            events=300_000,
            preset=PRESETS[name],
            bots=bots,
        )
    )


@pytest.fixture(scope="module")
def demo() -> Description:
    return month(DEMO.name, 0.0)


@pytest.fixture(scope="module")
def realistic() -> Description:
    return month(REALISTIC.name, 0.5)


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text.replace(",", ""))]


def stated(row: str) -> list[float]:
    """Our figures of a row in the README's table of the preset ``realistic``."""
    (found,) = re.findall(rf"^\| {re.escape(row)} \| ([^|]*) \|", README, re.MULTILINE)
    return numbers(found)


def percent(part: float, of: float) -> float:
    return 100 * part / of


def test_demo(demo: Description) -> None:
    (text,) = re.findall(r"^That makes (.*?)\n\n", README, re.MULTILINE | re.DOTALL)
    everyone, orders = len(demo.sessions), demo.orders
    lines = sum(order.purchases for order in orders)
    counts = list(demo.ledger.counts.values())
    produced = sum(count.produced for count in counts)
    # Stock changes are more on a single day, which opens all shelves.
    assert numbers(text)[:9] == pytest.approx(
        [
            sum(session.pages.total() for session in demo.sessions.values()) / everyone,
            *(percent(demo.depth(page), everyone) for page in ("product", "cart", "checkout", "purchase")),
            lines / len(orders),
            sum(order.units for order in orders) / lines,
            *(percent(count.produced, produced) for count in counts[:2]),
        ],
        rel=0.05,
    )


def test_realistic_sessions(realistic: Description) -> None:
    everyone = len(realistic.sessions)
    devices = {name: realistic.on(name) for name in ("mobile", "desktop", "tablet")}
    assert [percent(len(on), everyone) for on in devices.values()] == pytest.approx(
        stated("sessions by device, mobile / desktop / tablet"), abs=2.5
    ), "of 10,000 visitors, of whom few come often"
    one_page = [percent(sum(s.pages.total() == 1 for s in devices[name]), len(devices[name])) for name in devices]
    assert one_page[:2] == pytest.approx(stated("sessions with one page"), abs=1)
    others = [session.pages.total() for session in realistic.sessions.values() if session.pages.total() > 1]
    assert [sum(others) / len(others)] == pytest.approx(stated("pages of the other sessions"), rel=0.03)
    hours = Counter(session.hour for session in realistic.sessions.values())
    peaks = [max(half, key=hours.__getitem__) for half in (range(14), range(14, 24))]
    (row,) = re.findall(r"^\| busiest hours.*? \| (\d+):00 and (\d+):00 \|", README, re.MULTILINE)
    assert [int(hour) - peak for hour, peak in zip(row, peaks, strict=True)] in ([0, 0], [0, 1]), (
        "19 h ends where 20 h begins"
    )


def test_realistic_buyers(realistic: Description) -> None:
    everyone, orders, carts = len(realistic.sessions), realistic.orders, realistic.depth("cart")
    bought = []
    for name in ("desktop", "tablet", "mobile"):
        on = realistic.on(name)
        bought.append(percent(sum(session.units > 0 for session in on), len(on)))
    expected = stated("conversion, desktop / tablet / mobile")
    assert bought[::2] == pytest.approx(expected[:3:2], rel=0.08)
    assert bought[1] == pytest.approx(expected[1], rel=0.3), "few come with a tablet"
    assert percent(len(orders), everyone) == pytest.approx(expected[3], rel=0.05)
    assert [percent(carts, everyone)] == pytest.approx(stated("sessions with a cart"), rel=0.04)
    assert [percent(carts - len(orders), carts)] == pytest.approx(stated("carts abandoned"), abs=1.5)
    assert [sum(order.units for order in orders) / len(orders)] == pytest.approx(stated("units an order"), rel=0.05)


def test_realistic_visitors(realistic: Description) -> None:
    assert [percent(realistic.bot_clicks, realistic.clicks)] == pytest.approx(stated("bots"), abs=1)
    pages = sum((session.pages for session in realistic.sessions.values()), Counter[str]())
    assert pages["cart"] / pages["removal"] == pytest.approx(stated("taken out of the cart again")[1], rel=0.05)
    anonymous = sum(session.user.startswith("anonymous-") for session in realistic.sessions.values())
    assert [percent(anonymous, len(realistic.sessions))] == pytest.approx(
        stated("visitors without an account (`anonymous-…`)"), abs=2
    )
    events = sorted(realistic.by_visitor().values())
    row = "events of a visitor in a month of 300,000 a day, median / 99th percentile"
    assert [events[len(events) // 2], events[99 * len(events) // 100]] == pytest.approx(stated(row), rel=0.06)

"""What the live page shows: what changed, over midnight, and while a server is away."""

import io
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console

import serving.now
from clients.retry import until
from contracts.errors import Unreachable
from contracts.hbase import Bought, Revenue, Sold, Stock, Traffic
from serving.__main__ import picture
from serving.now import Now
from tests.support.known_layers import KnownLayers

ONE_OF_DE = (Decimal("1.00"), 1, 1, {"DE": Bought(Decimal("1.00"), 1, 1)})
NOON = datetime(2026, 11, 24, 12, 34, 56, 789_000, tzinfo=UTC)


@pytest.fixture
def layers() -> KnownLayers:
    known = KnownLayers()
    known.on_time = {NOON.replace(minute=30, second=0, microsecond=0): Revenue(Decimal("5.00"), 1)}
    known.late = {NOON.replace(hour=3, minute=0, second=0, microsecond=0): Revenue(Decimal("0.50"), 1)}
    known.levels = {("P00001", "north"): Stock(3, 5, NOON), ("P00002", "south"): Stock(50, 5, NOON)}
    known.newest = NOON
    return known


def state_of(now: Now) -> dict[str, Any]:
    now.look()
    return now.state


def test_the_state_says_what_changed(layers: KnownLayers) -> None:
    clock = [NOON]
    now = Now(layers, lambda: clock[0])
    first = now.look()
    assert set(first) == {"revenue", "traffic", "sales", "alerts", "before", "stock", "fresh", "clock"}
    assert (str(first["revenue"]["revenue"]), first["revenue"]["purchases"]) == ("5.50", 2)
    assert len(first["revenue"]["minutes"]) == 60
    assert set(now.look()) == {"clock"}
    layers.on_time[NOON.replace(minute=34, second=0, microsecond=0)] = Revenue(Decimal("1.00"), 1)
    assert str(now.look()["revenue"]["revenue"]) == "6.50"


def test_the_last_hour_is_added_up(layers: KnownLayers) -> None:
    for minutes, visitors in ((0, 3), (59, 2), (60, 50)):
        minute = NOON.replace(second=0, microsecond=0) - timedelta(minutes=minutes)
        layers.visited[minute] = Traffic(visitors, {"home": 2, "product": 1}, {"toys": 1}, {"DE": visitors})
        layers.sold[minute] = {"toys": Sold(Decimal("1.50"), 2, 1), "books": Sold(Decimal("9.00"), 1, 1)}
    traffic = state_of(Now(layers, lambda: NOON))["traffic"]
    assert [visitors for _, visitors in traffic["minutes"]] == [2, *[0] * 58, 3]
    assert traffic["pages"] == {"home": 4, "product": 2}
    assert traffic["countries"] == {"DE": 5}
    assert traffic["purchases"] == 4
    assert [tuple(map(str, row.values())) for row in traffic["categories"]] == [
        ("books", "0", "2", "18.00", "None"),
        ("toys", "2", "4", "3.00", "0.6667"),
    ]


def test_todays_purchases_are_added_up_by_country(layers: KnownLayers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving.now, "EVERY_SALE_SECONDS", 0.5)
    this, early, yesterday = (NOON.replace(second=0, microsecond=0) - timedelta(hours=hours) for hours in (0, 12, 13))
    one = Bought(Decimal("1.50"), 2, 1)
    for minute in (this, early, yesterday):
        layers.sold[minute] = {"toys": Sold(Decimal("3.00"), 4, 2, {"DE": one}), "books": Sold(*ONE_OF_DE)}
    clock = [NOON]
    now = Now(layers, lambda: clock[0])
    assert state_of(now)["sales"]["countries"] == {
        "DE": {"revenue": Decimal("5.00"), "units": 6, "purchases": 4},
        "unknown": {"revenue": Decimal("3.00"), "units": 4, "purchases": 2},
    }
    assert "bought today by country: DE 5.00 EUR (4), unknown 3.00 EUR (2)" in shown(now)
    layers.sold[early]["toys"].add(one)  # came late, twelve hours after it happened
    now._due["sales"] = 0
    time.sleep(0.6)
    assert state_of(now)["sales"]["countries"]["unknown"]["purchases"] == 3
    clock[0] += timedelta(days=1)
    layers.sold.clear()
    assert state_of(now)["sales"]["countries"] == {}


def test_the_state_goes_over_midnight(layers: KnownLayers) -> None:
    before_midnight = datetime(2026, 11, 24, 23, 59, 59, tzinfo=UTC)
    layers.on_time, layers.late = {before_midnight.replace(second=0): Revenue(Decimal("2.00"), 1)}, {}
    clock = [before_midnight]
    now = Now(layers, lambda: clock[0])
    assert str(state_of(now)["revenue"]["revenue"]) == "2.00"
    clock[0] += timedelta(seconds=2)
    after = state_of(now)
    assert (after["clock"]["day"], str(after["revenue"]["revenue"])) == ("2026-11-25", "0.00")
    assert [str(revenue) for _, revenue, _ in after["revenue"]["minutes"]][-2:] == ["2.00", "0.00"]


def test_the_state_outlives_a_server(layers: KnownLayers) -> None:
    now = Now(layers, lambda: NOON)
    now.look()

    def fail(what: str) -> None:
        if what in ("revenue", "late", "alerts", "stocks", "progress"):
            raise Unreachable("HBase is away")

    layers.failing = fail
    now.look()
    assert set(now.state["clock"]["away"]) >= {"revenue", "alerts"}
    assert str(now.state["revenue"]["revenue"]) == "5.50"
    layers.failing = lambda _: None
    now.look()
    assert now.state["clock"]["away"] == {}


def test_what_sql_answers_late_holds_up_nothing(layers: KnownLayers) -> None:
    go_on = threading.Event()
    layers.failing = lambda what: go_on.wait(20) if what == "closed" and len(layers.asked) > 2 else None
    now = Now(layers, lambda: NOON)
    began = time.monotonic()
    now.look()
    assert time.monotonic() - began < 10
    assert {"revenue", "alerts", "stock"} <= set(now.state)
    assert "before" not in now.state
    go_on.set()
    until(lambda: now.look().get("before"), seconds=20, pause=0.1)


def test_the_terminal_shows_the_same_figures(layers: KnownLayers) -> None:
    now = Now(layers, lambda: NOON)
    assert "shop" not in shown(now)
    now.look()
    for figure in ("5.50 EUR from 2 purchases", "2026-11-24", "Critical stock: 1", "P00001", "live"):
        assert figure in shown(now)

    def fail(_: str) -> None:
        raise Unreachable("away")

    layers.failing = fail
    now.look()
    assert "not answered: revenue since 12:34:56" in shown(now)


def shown(now: Now) -> str:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(picture(now.state))
    return console.export_text()

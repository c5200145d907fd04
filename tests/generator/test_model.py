"""The simulated shop against its stated model (generator/README.md), with fixed seeds."""

import json
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from contracts.catalog import CATEGORIES
from contracts.events import CLICKS, INVENTORY, PURCHASES, STREAMS, StockChange, decoder
from generator import arrivals, presets, stock, walk
from generator.catalogue import FIRST_PRODUCTS, TRADE, Catalogue
from generator.config import DAY_MS, MINUTE_MS, Config, FlashSale, Share, rng_for
from generator.encode import Encoder, EventIds, Lines, times
from generator.presets import DEMO
from generator.stock import Stock
from generator.visitors import PLACES, RETURN_RATE, Visitors
from tests.support.account import Account
from tests.support.shop import DAY, EVENTS, FLAWLESS

EPOCH_MS = int(datetime(2026, 11, 20, tzinfo=UTC).timestamp()) * 1000


def chi_square(counted: np.ndarray, expected: np.ndarray) -> float:
    """Per degree of freedom; with 23 of them it is above 2.16 once in a thousand."""
    return float(((counted - expected) ** 2 / expected).sum() / (len(expected) - 1))


def test_about_as_many_events_as_asked_for_in_the_stated_mix(account: Account) -> None:
    counts = {stream: len(account.events[stream]) for stream in STREAMS}
    total = sum(counts.values())
    assert total == pytest.approx(EVENTS, rel=0.02)
    assert counts[CLICKS] / total == pytest.approx(0.918, abs=0.005)
    assert counts[PURCHASES] / total == pytest.approx(0.033, abs=0.002)
    assert counts[INVENTORY] / total == pytest.approx(0.049, abs=0.003)


def test_every_event_is_of_the_day_played(account: Account) -> None:
    assert {event.event_time.date() for stream in STREAMS for event in account.events[stream]} == {DAY}


def test_sessions_begin_in_the_rhythm_of_the_day(account: Account) -> None:
    begins = Counter(event.event_time.hour for event in account.events[CLICKS] if event.page == "home")
    counted = np.array([begins[hour] for hour in range(24)])
    expected = arrivals.daily(DEMO.hours).reshape(24, 60).mean(axis=1) / 24 * counted.sum()
    assert chi_square(counted, expected) < 2.16


def test_the_week_has_a_rhythm() -> None:
    monday = int(datetime(2026, 11, 16, tzinfo=UTC).timestamp() * 1000)
    shop = arrivals.Arrivals(arrivals.Rhythm(DEMO, ()), 70_000 / (7 * DAY_MS))
    times, _ = shop.draw(rng_for("week"), monday, monday + 7 * DAY_MS)
    counted = np.bincount((times - monday) // DAY_MS, minlength=7)
    assert chi_square(counted, arrivals.WEEKLY / arrivals.WEEKLY.sum() * 70_000) < 3.75  # 6 degrees, one in a thousand


def test_arrivals_are_the_same_process_whatever_the_steps() -> None:
    """Poisson: the counts of minutes vary as much as they average, in steps of a second as in one of an hour."""
    steady = arrivals.Arrivals(arrivals.Rhythm(None, ()), 50 / MINUTE_MS)
    rng = rng_for("steps")
    for step in (1_000, 60 * MINUTE_MS):
        times = np.concatenate([steady.draw(rng, at, at + step)[0] for at in range(0, 600 * MINUTE_MS, step)])
        counts = np.bincount(times // MINUTE_MS, minlength=600)
        assert counts.mean() == pytest.approx(50, rel=0.02)
        assert counts.var() == pytest.approx(50, rel=0.2)


def test_a_flash_sale_multiplies_arrivals_and_draws_them_to_its_category() -> None:
    sale = FlashSale.parse("20:00/30/5/toys")
    shop = arrivals.Arrivals(arrivals.Rhythm(None, (sale,)), 100 / MINUTE_MS)
    times, wanted = shop.draw(rng_for("sale"), 0, DAY_MS)
    per_minute = np.bincount(times // MINUTE_MS, minlength=1440)
    during = slice(20 * 60, 20 * 60 + 30)
    assert per_minute[during].mean() == pytest.approx(500, rel=0.03)
    assert np.delete(per_minute, np.r_[during]).mean() == pytest.approx(100, rel=0.01)
    assert (wanted >= 0).sum() / per_minute[during].sum() == pytest.approx(0.8, abs=0.02)
    assert set(wanted) == {-1, CATEGORIES.index("toys")}


def test_the_funnel_drops_off_as_stated(sessions: dict[str, list[Any]]) -> None:
    """Every transition of the table, for each category, within 4.5 standard errors."""
    steps: Counter[tuple[str, str | None, str]] = Counter()
    for events in sessions.values():
        category = None
        for event, following in [*pairwise(events), (events[-1], None)]:
            page = getattr(event, "page", None)
            if page is None:
                continue
            category = event.category or category
            steps[page, category, "exit" if following is None else getattr(following, "page", "purchase")] += 1

    returning = RETURN_RATE[0] / sum(RETURN_RATE)
    chances = {page: [chance or 0.0 for chance in row] for page, row in DEMO.chances.items()}
    homes = [chances[page][:2] for page in (presets.HOME, presets.HOME_RETURNING)]
    home = np.average(homes, axis=0, weights=[1 - returning, returning])
    expected: dict[tuple[str, str | None, str], float] = {
        ("home", None, "category"): home[0],
        ("home", None, "product"): home[1],
    }
    for name, trade in TRADE.items():
        expected |= {
            ("product", name, "category"): chances[presets.PRODUCT][0],
            ("product", name, "product"): chances[presets.PRODUCT][1],
            ("product", name, "cart"): trade.to_cart,
            ("category", name, "category"): chances[presets.CATEGORY][0],
            ("category", name, "product"): chances[presets.CATEGORY][1],
            ("cart", name, "product"): chances[presets.CART][1],
            ("cart", name, "checkout"): chances[presets.CART][2],
            ("checkout", name, "purchase"): trade.to_purchase,
        }
    totals: Counter[tuple[str, str | None]] = Counter()
    for (page, category, _), count in steps.items():
        totals[page, category] += count
    assert {step for step in steps if step[2] != "exit"} == set(expected), "steps that the model does not have"
    for (page, category, to), chance in expected.items():
        total = totals[page, category]
        error = (chance * (1 - chance) / total) ** 0.5
        assert abs(steps[page, category, to] / total - chance) < 4.5 * error, (page, category, to, chance, total)


def test_popularity_follows_zipf(account: Account, catalogue: Catalogue) -> None:
    views = Counter(event.product_id for event in account.events[CLICKS] if event.page == "product")
    ranked = np.array([[views[catalogue.ids[product]] for product in products] for products in catalogue.by_rank]).sum(
        axis=0
    )
    ranks = np.arange(1, 51)
    slope, _ = np.polyfit(np.log(ranks), np.log(ranked[:50]), 1)
    assert slope == pytest.approx(-1.0, abs=0.03)


def test_prices_are_log_normal(catalogue: Catalogue) -> None:
    for index, name in enumerate(CATEGORIES):
        logs = np.sort(np.log(catalogue.cents[catalogue.category == index] / 100))
        trade = TRADE[name]
        assert np.exp(np.median(logs)) == pytest.approx(
            trade.median_price, rel=5 * trade.price_sigma / len(logs) ** 0.5
        )
        assert logs.std() == pytest.approx(trade.price_sigma, rel=0.2)
        skew = (((logs - logs.mean()) / logs.std()) ** 3).mean()
        assert abs(skew) < 4 * (6 / len(logs)) ** 0.5


def test_prices_are_those_of_the_catalogue(account: Account, catalogue: Catalogue) -> None:
    prices = dict(zip(catalogue.ids, catalogue.cents.tolist(), strict=True))
    assert all(event.unit_price * 100 == prices[event.product_id] for event in account.events[PURCHASES])


def test_a_purchase_names_the_country_of_its_visit(account: Account) -> None:
    visits = {(event.user_id, event.session_id): event.country for event in account.events[CLICKS]}
    purchases = account.events[PURCHASES]
    assert all(visits[event.user_id, event.session_id] == event.country for event in purchases)
    assert {event.country for event in purchases} == set(PLACES)


def test_visitors_return(account: Account) -> None:
    """A few visitors come often: the busiest hundredth has several times its share of the sessions."""
    sessions = Counter(event.user_id for event in account.events[CLICKS] if event.page == "home")
    busiest = sum(count for _, count in sessions.most_common(len(sessions) // 100))
    assert busiest / sum(sessions.values()) > 0.05
    assert sum(count > 1 for count in sessions.values()) / len(sessions) > 0.2


def test_stock_levels_follow_from_the_changes(account: Account) -> None:
    level: defaultdict[tuple[str, str], int] = defaultdict(int)
    last: dict[tuple[str, str], datetime] = {}
    for event in account.events[INVENTORY]:
        shelf = event.product_id, event.warehouse
        level[shelf] += event.change
        assert event.stock_level == level[shelf]
        assert shelf not in last or event.event_time - last[shelf] >= timedelta(milliseconds=1)
        last[shelf] = event.event_time
    assert len(level) == 2 * FIRST_PRODUCTS
    assert {event.reason for event in account.events[INVENTORY]} == {"sale", "restock", "adjustment"}
    assert account.alerts > 20


def test_what_is_critical_is_the_contract_s_rule() -> None:
    """Random levels around the threshold: the column of the ledger, and ``StockChange`` of the same row's JSON."""
    config, rng = Config(7, Share(), FLAWLESS, rate=10), rng_for("critical")
    catalogue = Catalogue(7)
    thresholds = rng.integers(0, 6, 2 * FIRST_PRODUCTS)
    encoder = Encoder("0", catalogue, Visitors.draw(7, Share(), catalogue, DEMO), config.share.warehouses, thresholds)
    rows = np.zeros(2_000, dtype=stock.STOCK_ROW)
    rows["pair"] = rng.integers(0, 2 * FIRST_PRODUCTS, len(rows))
    rows["level"] = rng.integers(0, 10, len(rows))
    rows["change"] = np.minimum(rng.integers(-6, 6, len(rows)), rows["level"])
    values, _ = encoder.inventory(rows, EventIds(config, rng, 0).draw(len(rows)))
    decoded = map(decoder(INVENTORY).decode, values)
    expected = [isinstance(event, StockChange) and event.is_critical() for event in decoded]
    assert encoder.is_critical(rows).tolist() == expected
    assert 0 < sum(expected) < len(rows)


def test_each_purchase_is_a_sale_of_stock(account: Account) -> None:
    sales = [event for event in account.events[INVENTORY] if event.reason == "sale"]
    purchases = account.events[PURCHASES]
    assert Counter((s.product_id, -s.change) for s in sales) == Counter((p.product_id, p.quantity) for p in purchases)
    delays = [
        sale.event_time - purchase.event_time
        for purchase, sale in zip(
            sorted(purchases, key=lambda e: (e.product_id, e.event_time)),
            sorted(sales, key=lambda e: (e.product_id, e.event_time)),
            strict=True,
        )
    ]
    assert timedelta(0) <= min(delays)
    assert max(delays) < timedelta(milliseconds=10)


def test_stock_never_sells_what_it_has_not() -> None:
    """Two shelves of one product with demand far below the sales."""
    demand = np.zeros(2 * FIRST_PRODUCTS)
    shelves = Stock(rng_for("empty"), demand, 0, 0, 0, 0.0)
    sales = np.zeros(100, dtype=walk.PURCHASE_ROW)
    sales["time"], sales["quantity"] = np.arange(1, 101), 3
    changes, sold = shelves.play(sales, np.zeros(100, dtype=int), 0, 1000)
    assert changes["level"].min() >= 0
    assert shelves.lost_sales == np.count_nonzero(~sold) > 0
    assert set(changes["pair"]) == {0, FIRST_PRODUCTS}, "the other warehouse is asked before a sale is lost"


def test_changes_of_a_shelf_in_one_millisecond_are_told_apart() -> None:
    shelves = Stock(rng_for("busy"), np.full(2 * FIRST_PRODUCTS, 100.0), 0, 0, 0, 0.0)
    sales = np.zeros(5, dtype=walk.PURCHASE_ROW)
    sales["time"], sales["quantity"] = 1_000, 1
    changes, _ = shelves.play(sales, np.zeros(5, dtype=int), 0, 2_000)
    assert changes["time"].tolist() == [1_000, 1_001, 1_002, 1_003, 1_004, 1_005]
    assert np.diff(changes["level"]).tolist() == [-1] * 5


def test_columns_must_be_the_fields_of_the_contract() -> None:
    right = dict.fromkeys(CLICKS.event.__struct_fields__, "%s")
    assert Lines(CLICKS, right)
    for wrong in ({**right, "colour": "%s"}, {"event_id": "%s"}, dict(reversed(right.items()))):
        with pytest.raises(TypeError, match="not the fields of clicks"):
            Lines(CLICKS, wrong)


@pytest.mark.parametrize("span", [1, 60_000, DAY_MS, 400 * DAY_MS])
def test_times_are_written_as_the_contract_reads_them(span: int) -> None:
    ms = EPOCH_MS + rng_for("times", span).integers(-span, span, 500)
    for text, value in zip(times(ms), ms.tolist(), strict=True):
        assert datetime.fromisoformat(json.loads(text)).timestamp() * 1000 == pytest.approx(value, abs=0.01)

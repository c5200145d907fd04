"""The catalogue day by day: launches, withdrawals and new prices, published and in what is sent."""

import json
from collections import defaultdict
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from contracts.catalog import CATEGORIES, category_of
from contracts.events import CLICKS, INVENTORY, PURCHASES, StockChange, epoch_ms
from contracts.products import Product
from generator.catalogue import CHANGE_HOUR, FEWEST, FIRST_PRODUCTS, Catalogue, founded_day
from generator.config import Changes, Config, Share, rng_for
from generator.shop import Shop
from tests.support.account import Account
from tests.support.shop import DAY, FIRST, FLAWLESS, FLAWLESS_FLAGS, WEEK, play

VISIT = timedelta(hours=2)
"""A visit is over after."""
BEGINNING = datetime.combine(FIRST, time(), UTC)


def published(file: Path) -> dict[str, list[Product]]:
    """The records of each product, in order."""
    found = defaultdict(list)
    for line in file.read_bytes().splitlines():
        product = msgspec.json.decode(line, type=Product)
        found[product.product_id].append(product)
    return found


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> tuple[Account, dict[str, Any], dict[str, list[Product]]]:
    folder = tmp_path_factory.mktemp("week")
    changes = ["--launches=20", "--withdrawals=15", "--price-changes=90", f"--catalogue={folder / 'catalogue.jsonl'}"]
    account, ledger = play(folder, WEEK, "--events=40000", *changes, *FLAWLESS_FLAGS)
    assert account.differences(ledger) == []
    return account, ledger, published(folder / "catalogue.jsonl")


Week = tuple[Account, dict[str, Any], dict[str, list[Product]]]


def test_the_ledger_tells_what_was_published(week: Week) -> None:
    _, ledger, products = week
    newest = [records[-1] for records in products.values()]
    changed = [after for records in products.values() for after in records[1:]]
    said = ledger["catalogue"]
    assert said["products"] == sum(product.available for product in newest)
    assert (said["launched"], said["withdrawn"]) == (7 * 20, 7 * 15)
    assert said["launched"] == sum(records[0].valid_from >= BEGINNING for records in products.values())
    assert said["withdrawn"] == sum(not product.available for product in changed)
    assert 0 < said["repriced"] <= 7 * 90
    assert {product.valid_from.time() for product in changed} == {time(CHANGE_HOUR)}
    assert all(product.category == category_of(product.product_id) for product in newest)


def test_what_is_sold_is_on_sale_at_its_price(week: Week) -> None:
    """As of when the visit began: it was so at some time of the two hours before."""
    account, _, products = week
    for event in account.events[PURCHASES]:
        records = products[event.product_id]
        ends = [*(record.valid_from for record in records[1:]), datetime.max.replace(tzinfo=UTC)]
        valid = [
            record
            for record, end in zip(records, ends, strict=True)
            if record.valid_from <= event.event_time and event.event_time - VISIT < end
        ]
        assert (event.unit_price, True) in [(record.price, record.available) for record in valid]


def test_a_launched_product_is_seen_sold_and_stocked_and_a_withdrawn_one_no_longer(week: Week) -> None:
    account, _, products = week
    launched = {name for name, records in products.items() if records[0].valid_from >= BEGINNING}
    gone = {name: records[-1].valid_from for name, records in products.items() if not records[-1].available}
    seen = {event.product_id for event in account.events[CLICKS]}
    assert len(launched & seen) > 0.8 * len(launched), "but for those of the last day and the least popular"
    assert launched & {event.product_id for event in account.events[PURCHASES]}
    first: dict[tuple[str, str], StockChange] = {}
    for event in account.events[INVENTORY]:
        first.setdefault((event.product_id, event.warehouse), event)
    opened = [event for (name, _), event in first.items() if name in launched]
    assert len(opened) == 2 * len(launched)
    assert all(event.reason == "restock" and event.stock_level == event.change for event in opened)
    for event in account.events[CLICKS] + account.events[PURCHASES]:
        assert event.product_id not in gone or event.event_time < gone[event.product_id] + VISIT
        if event.product_id in launched:
            assert event.event_time > products[event.product_id][0].valid_from
    for event in account.events[INVENTORY]:
        if event.reason == "adjustment" and event.product_id in gone:
            assert event.event_time < gone[event.product_id] + VISIT


def test_every_process_and_every_day_played_has_the_same_catalogue(week: Week, tmp_path: Path) -> None:
    _, _, products = week
    file = tmp_path / "catalogue.jsonl"
    changes = ["--launches=20", "--withdrawals=15", "--price-changes=90", f"--catalogue={file}"]
    play(tmp_path, f"--day={DAY}", "--events=300", "--replicas=3", "--replica=2", *changes)
    assert {name: records[-1] for name, records in published(file).items()} == {
        name: records[-1] for name, records in products.items()
    }


def test_without_changes_the_first_products_are_published_once(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.jsonl"
    _, ledger = play(tmp_path, "--events=300", f"--catalogue={file}")
    products = published(file)
    assert len(products) == FIRST_PRODUCTS
    assert all(len(records) == 1 and records[0].available for records in products.values())
    assert ledger["catalogue"] == {"products": FIRST_PRODUCTS, "launched": 0, "withdrawn": 0, "repriced": 0}
    assert json.loads(file.read_text().splitlines()[0])["valid_from"] == "2026-01-01T00:00:00Z"


def test_a_shop_of_many_years_keeps_products_in_every_category() -> None:
    catalogue = Catalogue(3, 20_000)
    for day in range(founded_day(), founded_day() + 400):
        catalogue.change(day, Changes(launches=40, withdrawals=60, prices=5))
    on_sale = np.bincount(catalogue.category[catalogue.available], minlength=len(CATEGORIES))
    assert on_sale.min() >= FEWEST
    picked = catalogue.pick(rng_for("picks"), np.repeat(np.arange(len(CATEGORIES)), 5_000))
    assert catalogue.available[picked].all()
    assert set(picked) == set(np.flatnonzero(catalogue.available)), "each of the few that are left"
    assert catalogue.available[catalogue.instead[catalogue.known()]].all()
    assert (catalogue.category[catalogue.instead] == catalogue.category).all()
    shares = catalogue.shares()
    for index in range(len(CATEGORIES)):
        assert shares[catalogue.category == index].sum() == pytest.approx(1)
    prices = catalogue.cents[catalogue.known()] / catalogue.first_cents[catalogue.known()]
    assert 0.5 < prices.min() < prices.max() < 1.5, "near the first price, however often it changed"


def test_a_live_shop_changes_at_its_hour() -> None:
    at = datetime.combine(DAY, time(CHANGE_HOUR), UTC)
    config = Config(7, Share(), FLAWLESS, rate=20, changes=Changes(2, 1, 3))
    shop = Shop(config, epoch_ms(at) - 2_500, run=1)
    before, shop.unpublished = shop.unpublished, []
    while shop.now < epoch_ms(at) + 2_000:
        shop.step()
    assert dict(shop.changed) == {"launched": 2, "withdrawn": 1, "repriced": 3}
    assert {product.valid_from for product in shop.unpublished} == {at}
    new = {product.product_id for product in shop.unpublished} - {product.product_id for product in before}
    assert len(new) == 2

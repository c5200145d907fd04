"""Traffic and sales by minute hold each event once, whatever batches, copies and replays: counted anew, another way."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from random import Random
from typing import Any, TypeVar

import msgspec
import pytest

from contracts.catalog import category_of
from contracts.events import CLICKS, PURCHASES, WATERMARK, Stream
from contracts.hbase import (
    REVENUE_BY_MINUTE,
    REVENUE_LATE,
    SALES_BY_MINUTE,
    SPEED_PROGRESS,
    TRAFFIC_BY_MINUTE,
    Bought,
    HBaseTable,
    Progress,
    Revenue,
    Sales,
    Sold,
    Traffic,
    add_sales,
    add_traffic,
    by_country,
    minute_key,
    minute_of,
)
from generator import strange
from jobs.streaming.views import count, read_kafka
from tests.support import samples
from tests.support.fake_hbase import FakeHBase, FakeTable
from tests.support.judging import records

NOW = datetime(2026, 11, 25, 10, tzinfo=UTC)
PARTITIONS, LENGTH = 2, 80
PRODUCTS = ("P00001", "P00017", "P00042", "P00300")
Kind = TypeVar("Kind")
Event = dict[str, Any]


def clicked(chance: Random, user: str) -> Event:
    page, product = chance.choice(("home", "product", "cart", "search")), chance.choice(PRODUCTS)
    changes = {"page": page, "user_id": user, "country": chance.choice(("DE", "FR")), "product_id": product}
    return samples.click(**changes, category=chance.choice((category_of(product), None)))


def bought(chance: Random, user: str) -> Event:
    product, quantity = chance.choice(PRODUCTS), chance.randrange(1, 4)
    price = Decimal(chance.randrange(100, 9999)) / 100
    amounts = {"unit_price": f"{price:.2f}", "total": f"{price * quantity:.2f}", "quantity": quantity}
    event = samples.purchase(user_id=user, product_id=product, category=category_of(product), **amounts)
    if chance.random() < 0.3:
        del event["country"]  # as the shop sent them before there was one
        return event
    return event | {"country": chance.choice(("DE", "FR", None))}


def logs(stream: Stream, chance: Random) -> list[list[bytes | None]]:
    """What each partition has: events, copies and late ones among them, and what may be none."""
    make = clicked if stream is CLICKS else bought
    found = []
    for partition in range(PARTITIONS):
        log: list[bytes | None] = []
        while len(log) < LENGTH:
            event = make(chance, f"u{partition}-{chance.randrange(4)}")
            event["event_time"] = f"{NOW - timedelta(seconds=chance.randrange(1800)):%Y-%m-%dT%H:%M:%S.000Z}"
            log.append(samples.encode(event))
            if chance.random() < 0.2:
                log.append(log[chance.randrange(len(log))])
            if chance.random() < 0.1:
                log.append(strange.record(chance, stream, NOW))
        found.append(log)
    return found


class Killed(BaseException):
    """The task is gone."""


class Mortal(FakeHBase):
    """Lets a task have so many calls."""

    calls = 10_000

    def table(self, name: str) -> FakeTable:
        self.calls -= 1
        if not self.calls:
            raise Killed
        return super().table(name)


def drive(hbase: FakeHBase, stream: Stream, number: int, values: list[bytes | None], begin: int, end: int) -> None:
    source = partial(read_kafka, stream.topic, [records(values[begin:end], NOW, begin)], WATERMARK)
    count(f"{stream.topic}/{number}", "id", "", begin, source, lambda _: None, hbase)  # type: ignore[arg-type]


def replayed(stream: Stream, found: list[list[bytes | None]], chance: Random) -> FakeHBase:
    """All that is in the logs, by batches of any size; tasks die in them, and others take longer or shorter ones."""
    hbase = Mortal()
    for number, values in enumerate(found):
        at = 0
        while at < len(values):
            end = at + chance.choice((1, 3, 10, 40))
            hbase.calls = chance.choice((10_000, chance.randrange(1, 16)))
            try:
                drive(hbase, stream, number, values, chance.randrange(at + 1), end)
                at = end
            except Killed:
                hbase.calls = 10_000
    return hbase


def cells(hbase: FakeHBase, table: HBaseTable, kind: type[Kind]) -> dict[datetime, list[Kind]]:
    return {
        minute_of(key): [msgspec.json.decode(cell, type=kind) for cell in row.values()]
        for key, row in hbase.newest().get(table.name, {}).items()
    }


def distinct(stream: Stream, found: list[list[bytes | None]]) -> list[tuple[datetime, Any]]:
    """Each event once, in the order of the log, and its minute."""
    by_id: dict[str, Any] = {}
    for values in found:
        read = read_kafka(stream.topic, [records(values, NOW, 0)], WATERMARK, 0, None)
        for _, event, _ in read.records:
            by_id.setdefault(event.event_id, event)
    return [(event.event_time.replace(second=0, microsecond=0), event) for event in by_id.values()]


@pytest.mark.parametrize("seed", range(40))
def test_traffic_is_each_click_and_each_visitor_once(seed: int) -> None:
    chance = Random(seed)
    found = logs(CLICKS, chance)
    counted = {
        minute: add_traffic(parts)
        for minute, parts in cells(replayed(CLICKS, found, chance), TRAFFIC_BY_MINUTE, Traffic).items()
    }
    clicks = distinct(CLICKS, found)
    expected = {}
    for minute in {minute for minute, _ in clicks}:
        of_minute = [event for at, event in clicks if at == minute]
        first = {event.user_id: event.country for event in reversed(of_minute)}
        viewed = [category_of(event.product_id) or "" for event in of_minute if event.page == "product"]
        expected[minute] = Traffic(
            len(first), Counter(event.page for event in of_minute), Counter(viewed), Counter(first.values())
        )
    assert counted == expected


@pytest.mark.parametrize("seed", range(40))
def test_sales_are_each_purchase_once_and_the_revenue(seed: int) -> None:
    chance = Random(seed)
    found = logs(PURCHASES, chance)
    hbase = replayed(PURCHASES, found, chance)
    counted = {minute: add_sales(parts) for minute, parts in cells(hbase, SALES_BY_MINUTE, Sales).items()}
    expected: dict[datetime, dict[tuple[str, str], list[Any]]] = {}
    for minute, event in distinct(PURCHASES, found):
        sums = expected.setdefault(minute, {}).setdefault(
            (event.category, event.country or "unknown"), [Decimal(0), 0, 0]
        )
        for place, value in enumerate((event.total, event.quantity, 1)):
            sums[place] += value
    told = {
        minute: {
            (category, country): [bought.amount, bought.units, bought.purchases]
            for category, sold in sales.items()
            for country, bought in sold.countries.items()
        }
        for minute, sales in counted.items()
    }
    assert told == expected
    assert len({country for sums in expected.values() for _, country in sums}) == 3
    for sales in counted.values():
        by_category = [Bought(sold.amount, sold.units, sold.purchases) for sold in sales.values()]
        assert added(by_country(sales).values()) == added(by_category)
    on_time = sum(part.amount for parts in cells(hbase, REVENUE_BY_MINUTE, Revenue).values() for part in parts)
    late = sum(Decimal(cell.decode()) for row in hbase.newest()[REVENUE_LATE.name].values() for cell in row.values())
    assert on_time + late == sum(sold.amount for sales in counted.values() for sold in sales.values())


def added(parts: Iterable[Bought]) -> list[Any]:
    found = list(parts)
    return [sum(getattr(part, name) for part in found) for name in ("amount", "units", "purchases")]


def test_cells_of_before_there_were_countries_are_gone_on_with() -> None:
    """What they have counted stays in the sums, of no country that is known, and what comes is beside it."""
    hbase, minute = FakeHBase(), NOW - timedelta(minutes=1)
    before = {
        "fashion": {"amount": "20.00", "units": 3, "purchases": 2},
        "toys": {"amount": "1.00", "units": 1, "purchases": 1},
    }
    hbase.table(SALES_BY_MINUTE.name).put(minute_key(minute), {b"v:0": msgspec.json.encode(before)}, 5)
    progress = Progress(5, None, "id", whole=True)
    hbase.table(SPEED_PROGRESS.name).put(PURCHASES.topic.encode(), {b"v:0": msgspec.json.encode(progress)}, 5)
    product = {"product_id": "P00001", "category": "fashion", "event_time": minute}
    come = [samples.purchase(**product, country=country) for country in ("FR", "DE", None)]
    values: list[bytes | None] = [*[b"{"] * 5, *map(samples.encode, come)]
    for begin, end in ((4, 6), (5, 8), (4, 8)):
        drive(hbase, PURCHASES, 0, values, begin, end)
    [sales] = cells(hbase, SALES_BY_MINUTE, Sales)[minute]
    one = Bought(Decimal("19.90"), 2, 1)
    assert sales == {
        "fashion": Sold(Decimal("79.70"), 9, 5, {"DE": one, "FR": one, "unknown": one}),
        "toys": Sold(Decimal("1.00"), 1, 1),
    }
    assert by_country(sales) == {"DE": one, "FR": one, "unknown": Bought(Decimal("40.90"), 6, 4)}
    assert sum(sold.without_country().purchases for sold in sales.values()) == 3


def test_what_an_earlier_version_began_is_not_told_to_be_whole() -> None:
    """Its progress lacks the field, and the tables by minute lack what it counted."""
    fresh, older = FakeHBase(), FakeHBase()
    before = msgspec.json.encode({"end": 1, "newest_ms": None, "topic_id": "id", "generation": "", "base": 0})
    older.table(SPEED_PROGRESS.name).put(CLICKS.topic.encode(), {b"v:0": before}, 1)
    for hbase in (fresh, older):
        drive(hbase, CLICKS, 0, [samples.encode(samples.click(event_time=NOW)) for _ in range(3)], 0, 3)
    progress = [
        msgspec.json.decode(hbase.newest()[SPEED_PROGRESS.name][CLICKS.topic.encode()][b"v:0"], type=Progress)
        for hbase in (fresh, older)
    ]
    assert [(one.end, one.whole) for one in progress] == [(3, True), (3, False)]

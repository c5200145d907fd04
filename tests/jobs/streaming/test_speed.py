"""Speed on real servers: HBase ends with the same values whatever is replayed or dies."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from clients import hbase
from clients import hdfs as files
from contracts import hbase as tables
from contracts import paths, topics
from contracts.events import CLICKS, INVENTORY, PURCHASES, timestamp
from contracts.settings import Settings
from serving import speed
from tests.support import kafka, samples
from tests.support.running import CRASHING, SPEED, Job, ok
from tests.support.seen_clicks import without_batches


def minute_of(moment: datetime) -> str:
    return tables.minute_key(moment).decode()


def revenue(stack: Settings, minute: str) -> tuple[Decimal, int]:
    """Amount and purchases of a minute, summed over the partitions' columns by a plain HBase reader."""
    row = hbase.attempt(stack, lambda c: c.table(tables.REVENUE_BY_MINUTE.name).row(minute.encode()))
    values = [json.loads(value) for value in row.values()]
    return sum((Decimal(v["amount"]) for v in values), Decimal(0)), sum(v["purchases"] for v in values)


def snapshot(stack: Settings) -> dict[str, Any]:
    """All that the speed layer shows, less where it stands."""
    shown = [table for table in tables.HBASE_TABLES if table.name != tables.SPEED_PROGRESS.name]
    return without_batches({table.name: dict(hbase.scan(stack, table)) for table in shown})


def buy(user: str, moment: datetime, **changes: Any) -> tuple[dict[str, Any], tuple[str, bytes]]:
    event = samples.purchase(user_id=user, event_time=moment, **changes)
    return event, (user, samples.encode(event))


class Played(NamedTuple):
    """What was sent in two rounds, with a run of the job after each; the revenue of ``now``'s minute before."""

    now: datetime
    late_moment: datetime
    late: dict[str, Any]
    before: tuple[Decimal, int]
    late_minute_before: tuple[Decimal, int]
    alerts_before: int
    crossing: dict[str, Any]


def change(product: str, moment: datetime, level: int) -> tuple[str, bytes]:
    return product, samples.encode(
        samples.stock_change(product_id=product, event_time=moment, stock_level=level, change=-1)
    )


def look(moment: datetime, **fields: Any) -> tuple[str, bytes]:
    return "order", samples.encode(samples.click(user_id="order", event_time=moment, **fields))


@pytest.fixture(scope="module")
def played(stack: Settings, job: Job) -> Played:
    """Purchases with copies and a late one, stock and clicks out of order, stock that crosses its threshold."""
    ok(job(*SPEED))  # what other tests left in the topics
    now = datetime.now(UTC).replace(second=0) - timedelta(minutes=1)
    late_moment = now - timedelta(hours=2)
    before, late_before = revenue(stack, minute_of(now)), revenue(stack, minute_of(late_moment))
    alerts_before = len(speed.alerts(stack))
    _, record = buy("rev", now)
    _, other = buy("rev", now + timedelta(seconds=1), quantity=3, total="29.85")
    late, late_record = buy("rev", late_moment)
    crossing = samples.stock_change(product_id="P00021", event_time=now, stock_level=5, change=-1)
    crossing_record = ("P00021", samples.encode(crossing))
    home = {"page": "home", "product_id": None, "category": None}

    kafka.produce(stack, PURCHASES.topic, [record, record, other, late_record, late_record])
    older = now - timedelta(seconds=9)
    kafka.produce(stack, INVENTORY.topic, [change("P00018", now, 40), change("P00018", older, 41)])
    kafka.produce(stack, INVENTORY.topic, [crossing_record, change("P00021", now + timedelta(seconds=1), 4)])
    kafka.produce(stack, INVENTORY.topic, [crossing_record])
    kafka.produce(stack, CLICKS.topic, [look(now, device="tablet"), look(now - timedelta(seconds=5), device="mobile")])
    ok(job(*SPEED))

    kafka.produce(stack, PURCHASES.topic, [record, late_record])
    kafka.produce(stack, INVENTORY.topic, [change("P00018", now - timedelta(seconds=3), 39), crossing_record])
    kafka.produce(stack, CLICKS.topic, [look(now + timedelta(seconds=5), device="desktop", **home)])
    ok(job(*SPEED))
    return Played(now, late_moment, late, before, late_before, alerts_before, crossing)


def test_revenue_counts_copies_once_and_late_purchases_apart(stack: Settings, played: Played) -> None:
    amount, purchases = played.before
    assert revenue(stack, minute_of(played.now)) == (amount + Decimal("49.75"), purchases + 2)
    assert revenue(stack, minute_of(played.late_moment)) == played.late_minute_before
    minute = minute_of(played.late_moment)
    row = hbase.attempt(
        stack, lambda c: c.table(tables.REVENUE_LATE.name).row(f"{minute}/{played.late['event_id']}".encode())
    )
    assert row == {b"l:amount": b"19.90"}
    profile = hbase.attempt(stack, lambda c: c.table(tables.USER_PROFILES.name).row(b"rev"))
    [spent] = [json.loads(value) for column, value in profile.items() if column.startswith(b"p:")]
    assert (spent["purchases"], spent["amount"]) == (3, "69.65")


def test_the_newest_stock_and_profile_stay_whatever_the_order(stack: Settings, played: Played) -> None:
    row = hbase.attempt(stack, lambda c: c.table(tables.STOCK.name).row(b"P00018/north"))
    [stock] = [json.loads(value) for value in row.values()]
    assert (stock["level"], stock["threshold"]) == (40, 5)
    profile = hbase.attempt(stack, lambda c: c.table(tables.USER_PROFILES.name).row(b"order"))
    [visit] = [json.loads(value) for value in profile.values()]
    assert (visit["page"], visit["device"]) == ("home", "desktop")
    assert visit["category"] == samples.click()["category"], "the last category looked at is kept"


def test_an_alert_is_raised_once_when_stock_crosses_its_threshold(stack: Settings, played: Played) -> None:
    assert len(speed.alerts(stack)) == played.alerts_before + 1
    sent = [json.loads(record.value) for record in kafka.consume(stack, topics.ALERTS)]
    [alert] = [alert for alert in sent if alert["event_id"] == played.crossing["event_id"]]
    assert alert == {
        "event_id": played.crossing["event_id"],
        "event_time": timestamp(played.now),
        "product_id": "P00021",
        "warehouse": "north",
        "stock_level": 5,
        "critical_threshold": 5,
    }


def test_a_kill_around_the_writes_changes_no_value(stack: Settings, played: Played, job: Job) -> None:
    # Nothing but these purchases may be waiting: the first task that ends takes the others with it.
    now = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(seconds=30)
    minute = minute_of(now)
    before, purchases_before = revenue(stack, minute)
    for point in ("counted-without-progress", "counted-with-progress"):
        kafka.produce(stack, PURCHASES.topic, [buy(f"k{number}", now)[1] for number in range(200)])
        crashed = job(*SPEED, CRASH_AT=point, **CRASHING)
        assert crashed.returncode == 1, f"a task was to die at {point}"
    ok(job(*SPEED))
    assert revenue(stack, minute) == (before + 400 * Decimal("19.90"), purchases_before + 400)


def test_a_replay_from_the_beginning_changes_nothing(stack: Settings, played: Played, job: Job) -> None:
    before = snapshot(stack)
    assert all(before[table.name] for table in (tables.REVENUE_BY_MINUTE, tables.STOCK, tables.STOCK_ALERTS))
    alerts = len(kafka.consume(stack, topics.ALERTS))
    files.remove(files.client(stack), f"{paths.CHECKPOINTS}/{paths.SPEED}")
    ok(job(*SPEED))
    assert snapshot(stack) == before
    assert len(kafka.consume(stack, topics.ALERTS)) == alerts


def test_hbase_out_of_reach_is_one_sentence(job: Job) -> None:
    result = job(*SPEED, ECOMMERCE_HBASE_THRIFT_PORT="1")
    assert result.returncode == 1
    assert "error: HBase's Thrift server at 127.0.0.1:1 cannot be reached" in result.stderr
    assert "Traceback" not in result.stderr

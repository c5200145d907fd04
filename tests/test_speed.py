"""Promises 3.2 and 3.3 (speed) on real servers: HBase ends with the same values whatever is replayed or dies."""

import json
import subprocess
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from contracts import paths, tables, topics
from contracts.events import CLICKS, INVENTORY, PURCHASES, timestamp
from contracts.settings import Settings
from jobs import audit, hbase
from jobs import hdfs as files
from tests import kafka, samples
from tests.test_ingest import CRASHING, Job, ok

SPEED = ("jobs.streaming.speed", "--available-now")


def minute_of(moment: datetime) -> str:
    return f"{moment:%Y%m%d%H%M}"


def revenue(stack: Settings, minute: str) -> tuple[Decimal, int]:
    """Amount and orders of a minute, summed over the partitions' columns by a plain HBase reader."""
    row = hbase.attempt(stack, lambda c: c.table(tables.REVENUE_BY_MINUTE.name).row(minute.encode()))
    values = [json.loads(value) for value in row.values()]
    return sum((Decimal(v["amount"]) for v in values), Decimal(0)), sum(v["orders"] for v in values)


def snapshot(stack: Settings) -> dict[str, list[Any]]:
    """All that the speed layer shows, less where it stands."""
    shown = [table for table in tables.HBASE_TABLES if table.name != tables.SPEED_PROGRESS.name]
    return {t.name: hbase.attempt(stack, lambda c, t=t: list(c.table(t.name).scan())) for t in shown}


def buy(user: str, moment: datetime, **changes: Any) -> tuple[dict[str, Any], tuple[str, bytes]]:
    event = samples.purchase(user_id=user, event_time=moment, **changes)
    return event, (user, samples.encode(event))


def test_revenue_counts_copies_once_and_late_purchases_apart(stack: Settings, job: Job) -> None:
    now = datetime.now(UTC).replace(second=0) - timedelta(minutes=1)
    before, orders_before = revenue(stack, minute_of(now))
    _, record = buy("rev", now)
    _, other_record = buy("rev", now + timedelta(seconds=1), quantity=3, total="29.85")
    late_moment = now - timedelta(hours=2)
    late, late_record = buy("rev", late_moment)
    kafka.produce(stack, PURCHASES.topic, [record, record, other_record, late_record, late_record])
    ok(job(*SPEED))
    kafka.produce(stack, PURCHASES.topic, [record, late_record])
    ok(job(*SPEED))
    assert revenue(stack, minute_of(now)) == (before + Decimal("49.75"), orders_before + 2)
    assert revenue(stack, minute_of(late_moment)) == (0, 0)
    rows = hbase.attempt(
        stack,
        lambda c: dict(c.table(tables.REVENUE_LATE.name).scan(row_prefix=minute_of(late_moment).encode())),
    )
    assert rows == {f"{minute_of(late_moment)}/{late['event_id']}".encode(): {b"l:amount": b"19.90"}}
    profile = hbase.attempt(stack, lambda c: c.table(tables.USER_PROFILES.name).row(b"rev"))
    [spent] = [json.loads(value) for column, value in profile.items() if column.startswith(b"p:")]
    assert (spent["orders"], spent["amount"]) == (3, "69.65")


@pytest.mark.parametrize("point", ["counted-without-progress", "counted-with-progress"])
def test_a_kill_around_the_writes_changes_no_value(stack: Settings, job: Job, point: str) -> None:
    now = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(seconds=30)
    minute = minute_of(now)
    before, orders_before = revenue(stack, minute)
    records = [buy(f"k{number}", now + timedelta(milliseconds=number))[1] for number in range(200)]
    kafka.produce(stack, PURCHASES.topic, records)
    crashed = job(*SPEED, CRASH_AT=point, **CRASHING)
    assert crashed.returncode == 1, f"a task was to die at {point}"
    ok(job(*SPEED))
    assert revenue(stack, minute) == (before + 200 * Decimal("19.90"), orders_before + 200)


def test_a_replay_from_the_beginning_changes_nothing(stack: Settings, job: Job) -> None:
    ok(job(*SPEED))
    before = snapshot(stack)
    alerts = len(kafka.consume(stack, topics.ALERTS))
    files.remove(files.client(stack), f"{paths.CHECKPOINTS}/{paths.SPEED}")
    ok(job(*SPEED))
    assert snapshot(stack) == before
    assert len(kafka.consume(stack, topics.ALERTS)) == alerts


def test_the_newest_stock_and_profile_stay_whatever_the_order(stack: Settings, job: Job) -> None:
    now = datetime.now(UTC) - timedelta(minutes=1)
    product, other = "P00018", "P00019"

    def change(moment: datetime, level: int, of: str = product) -> tuple[str, bytes]:
        return of, samples.encode(samples.stock_change(product_id=of, event_time=moment, stock_level=level, change=-1))

    def look(moment: datetime, **fields: Any) -> tuple[str, bytes]:
        return "order", samples.encode(samples.click(user_id="order", event_time=moment, **fields))

    home = {"page": "home", "product_id": None, "category": None}
    kafka.produce(
        stack, INVENTORY.topic, [change(now, 40), change(now - timedelta(seconds=9), 41), change(now, 9, other)]
    )
    kafka.produce(stack, CLICKS.topic, [look(now, device="tablet"), look(now - timedelta(seconds=5), device="mobile")])
    ok(job(*SPEED))
    kafka.produce(stack, INVENTORY.topic, [change(now - timedelta(seconds=3), 40)])
    kafka.produce(stack, CLICKS.topic, [look(now + timedelta(seconds=5), device="desktop", **home)])
    ok(job(*SPEED))
    row = hbase.attempt(stack, lambda c: c.table(tables.STOCK.name).row(f"{product}/north".encode()))
    [stock] = [json.loads(value) for value in row.values()]
    assert (stock["level"], stock["threshold"]) == (40, 5)
    profile = hbase.attempt(stack, lambda c: c.table(tables.USER_PROFILES.name).row(b"order"))
    [visit] = [json.loads(value) for value in profile.values()]
    assert (visit["page"], visit["device"]) == ("home", "desktop")
    assert visit["category"] == samples.click()["category"], "the last category looked at is kept"


def test_an_alert_is_raised_once_when_stock_crosses_its_threshold(stack: Settings, job: Job) -> None:
    now = datetime.now(UTC) - timedelta(seconds=20)
    before = audit.alerts(stack)
    crossing = samples.stock_change(product_id="P00021", event_time=now, stock_level=5, change=-1)
    below = samples.stock_change(product_id="P00021", event_time=now + timedelta(seconds=1), stock_level=4, change=-1)
    records = [("P00021", samples.encode(event)) for event in (crossing, below, crossing)]
    kafka.produce(stack, INVENTORY.topic, records)
    ok(job(*SPEED))
    kafka.produce(stack, INVENTORY.topic, records[:1])
    ok(job(*SPEED))
    assert audit.alerts(stack) == before + 1
    sent = [json.loads(record.value) for record in kafka.consume(stack, topics.ALERTS)]
    [alert] = [alert for alert in sent if alert["event_id"] == crossing["event_id"]]
    assert alert == {
        "event_id": crossing["event_id"],
        "event_time": timestamp(now),
        "product_id": "P00021",
        "warehouse": "north",
        "stock_level": 5,
        "critical_threshold": 5,
    }


def test_hbase_out_of_reach_is_one_sentence(job: Job) -> None:
    result: subprocess.CompletedProcess[str] = job(*SPEED, ECOMMERCE_HBASE_THRIFT_PORT="1")
    assert result.returncode == 1
    assert "error: HBase Thrift at 127.0.0.1:1 cannot be reached" in result.stderr
    assert "Traceback" not in result.stderr

"""Exact counts end to end: what the generator says it sent is what the readers find, once each."""

from decimal import Decimal
from typing import Any

from support.platform import dead_letters, speed_revenue
from support.shop import landed, produced


def test_rows_landed_are_the_events_produced(ledger: dict[str, Any], found: dict[str, Any]) -> None:
    assert landed(found) == produced(ledger)
    assert all(rows > 100 for rows, _ in landed(found).values())


def test_rejected_records_are_dead_letters(ledger: dict[str, Any], found: dict[str, Any]) -> None:
    sent = {name: stream["malformed"] for name, stream in ledger["streams"].items() if stream["malformed"]}
    assert dead_letters(found) == sent


def test_revenue_is_the_same_in_batch_and_speed(ledger: dict[str, Any], found: dict[str, Any]) -> None:
    truth = Decimal(ledger["revenue"])
    assert truth > 0
    assert Decimal(found["revenue"]["batch"]) == truth
    assert speed_revenue(found) == truth


def test_every_critical_stock_raised_its_alert(ledger: dict[str, Any], found: dict[str, Any]) -> None:
    assert found["alerts"] == ledger["alerts_expected"]

"""Exact counts end to end: what the generator says it sent is what the readers find, once each."""

import base64
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import requests

from serving.api.login import USER
from support.platform import Platform, dead_letters, speed_revenue
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


def test_ingest_reads_the_shops_catalogue(platform: Platform, found: dict[str, Any]) -> None:
    (driver,) = platform.release.pods("spark-ingest")
    log = platform.release.core.read_namespaced_pod_log(driver.metadata.name, platform.release.namespace)
    assert "committed" in log
    assert "the catalogue cannot be read" not in log


def test_the_api_on_the_ingress_says_the_same_behind_its_login(
    platform: Platform, ledger: dict[str, Any], found: dict[str, Any]
) -> None:
    release, session = platform.release, requests.Session()
    session.trust_env = False
    session.headers["Host"] = "shop.localhost"
    first = datetime.fromisoformat(ledger["first_event_time"]).astimezone(UTC).date()
    end = datetime.now(UTC).date() + timedelta(days=1)
    asked = f"{platform.cluster.access.ingress}/v1/revenue?from={first}T00:00:00Z&to={end}T00:00:00Z&by=day"
    assert session.get(asked, timeout=60).status_code == 401
    secret = release.core.read_namespaced_secret(f"{release.name}-serving-login", release.namespace)
    session.auth = (USER, base64.b64decode(secret.data["password"]).decode())
    answer = session.get(asked, timeout=60)
    assert answer.ok, answer.text
    assert Decimal(answer.json()["revenue"]) == Decimal(ledger["revenue"])
    page = session.get(platform.cluster.access.ingress, timeout=60)
    assert (page.status_code, "The shop" in page.text) == (200, True)

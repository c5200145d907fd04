"""A field is added to an event: producers go ahead, the jobs follow, and rows of all times are queried together."""

import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from clients import sql
from contracts.events import CLICKS, PURCHASES
from contracts.hbase import add_sales, by_country
from contracts.hive import RAW
from contracts.settings import Settings
from jobs import audit
from jobs.prepare import create_hive_tables
from local.site import ROOT
from local.stack import Stack
from serving import speed
from tests.support import kafka, samples
from tests.support.lake import leave_to_themselves
from tests.support.running import INGEST, SPEED, Job, job_environment, ok, run

EVENTS = "contracts/events.py"
TABLE = RAW[CLICKS.name]
COMPACT = ("jobs.compaction", "--older-than", "18000", "--grace", "0")
"""The hours of these events, of six hours ago."""


def checkout(folder: Path, changes: dict[str, tuple[str, str]]) -> Path:
    """This version, changed: by file, what stands there once, and what in its place."""
    for package in ("contracts", "clients", "serving", "jobs"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, (here, there) in changes.items():
        file = folder / name
        assert file.read_text().count(here) == 1, here
        file.write_text(file.read_text().replace(here, there))
    return folder


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """A checkout of the version to come: one line more in the contract."""
    before = "    page: Page\n"
    return checkout(tmp_path, {EVENTS: (before, f"{before}    campaign: Name | None = None\n")})


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """Jobs of before purchases named a country."""
    [field] = [line for line in (ROOT / EVENTS).read_text().splitlines(keepends=True) if "Country | None" in line]
    countries = ", {purchase.country or UNKNOWN_COUNTRY: Bought(*bought)}"
    return checkout(tmp_path, {EVENTS: (field, ""), "jobs/streaming/views.py": (countries, "")})


@pytest.fixture
def table_as_it_was(stack: Settings) -> Iterator[None]:
    """The later version's column is gone afterwards; what has landed stays."""
    yield
    with sql.connect(stack) as session:
        session.execute(f"DROP TABLE {TABLE.qualified}")
        create_hive_tables(stack, [TABLE.name])
        session.execute(f"ALTER TABLE {TABLE.qualified} RECOVER PARTITIONS")


def send(stack: Settings, user: str, **new: Any) -> None:
    at = datetime.now(UTC) - timedelta(hours=6)
    kafka.produce(stack, CLICKS.topic, [(user, samples.encode(samples.click(user_id=user, event_time=at) | new))])


def test_old_and_new_rows_are_queried_together(
    stack: Settings, local_stack: Stack, job: Job, later: Path, table_as_it_was: None
) -> None:
    ok(job(*INGEST))
    leave_to_themselves(stack)
    before = audit.committed(stack).totals[CLICKS.topic].unknown_fields if audit.committed(stack).totals else 0
    send(stack, "v1-now")
    send(stack, "v2-ahead", campaign="autumn")
    ok(job(*INGEST))
    ok(job(*SPEED))
    assert audit.committed(stack).totals[CLICKS.topic].unknown_fields == before + 1

    variables = job_environment(local_stack) | {"PYTHONPATH": str(later)}
    prepared = run("jobs.prepare", "hive-tables", variables=variables, cwd=later)
    ok(prepared)
    send(stack, "v1-still")
    send(stack, "v2-then", campaign="winter")
    ok(run(*INGEST, variables=variables, cwd=later))
    ok(run(*SPEED, variables=variables, cwd=later))
    assert audit.committed(stack).totals[CLICKS.topic].unknown_fields == before + 1

    wanted = [
        ("v1-now", "product", None, None),
        ("v1-still", "product", None, None),
        ("v2-ahead", "product", None, '{"campaign":"autumn"}'),
        ("v2-then", "product", "winter", None),
    ]
    asked = (
        f"SELECT user_id, page, campaign, unknown_fields FROM {TABLE.qualified} "  # noqa: S608
        "WHERE user_id LIKE 'v1-%' OR user_id LIKE 'v2-%' ORDER BY user_id"
    )
    with sql.connect(stack) as session:
        assert session.rows(asked) == wanted
        ok(run(*COMPACT, variables=variables, cwd=later))
        assert session.rows(asked) == wanted
        ok(job(*INGEST))  # the earlier version again, as after a rollback
        ok(job(*COMPACT))
        assert session.rows(asked) == wanted


@pytest.mark.long
def test_purchases_of_before_they_named_a_country_are_counted_on(
    stack: Settings, local_stack: Stack, job: Job, earlier: Path
) -> None:
    """What the jobs of before counted is of no known country; nothing of it is lost or counted again."""
    ok(job(*INGEST))
    ok(job(*SPEED))
    leave_to_themselves(stack)
    minute = (datetime.now(UTC) - timedelta(hours=6)).replace(second=0, microsecond=0)

    def buy(user: str, country: str | None = None) -> None:
        event = samples.purchase(user_id=user, event_time=minute)
        del event["country"]
        told = {"country": country} if country else {}
        kafka.produce(stack, PURCHASES.topic, [(user, samples.encode(event | told))])

    def counted() -> Counter[str]:
        sales = add_sales(speed.sales(stack, minute, minute + timedelta(minutes=1)).values())
        return Counter({country: bought.purchases for country, bought in by_country(sales).items()})

    before = counted()
    variables = job_environment(local_stack) | {"PYTHONPATH": str(earlier)}
    buy("bought-1-before")
    buy("bought-2-ahead", "FR")
    ok(run(*INGEST, variables=variables, cwd=earlier))
    ok(run(*SPEED, variables=variables, cwd=earlier))
    assert counted() - before == {"unknown": 2}
    buy("bought-3-still")
    buy("bought-4-now", "AT")
    for _ in range(2):
        ok(job(*INGEST))
        ok(job(*SPEED))
    assert counted() - before == {"unknown": 3, "AT": 1}
    with sql.connect(stack) as session:
        found = session.rows(
            f"SELECT user_id, country, unknown_fields FROM {RAW[PURCHASES.name].qualified} "  # noqa: S608
            "WHERE user_id LIKE 'bought-%' ORDER BY user_id"
        )
    assert found == [
        ("bought-1-before", None, None),
        ("bought-2-ahead", None, '{"country":"FR"}'),
        ("bought-3-still", None, None),
        ("bought-4-now", "AT", None),
    ]

"""A field is added to an event: producers go ahead, the jobs follow, and rows of all times are queried together."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from clients import sql
from contracts.events import CLICKS
from contracts.hive import RAW
from contracts.settings import Settings
from jobs import audit
from jobs.prepare import create_hive_tables
from local.site import ROOT
from local.stack import Stack
from tests.support import kafka, samples
from tests.support.lake import leave_to_themselves
from tests.support.running import INGEST, SPEED, Job, job_environment, ok, run

TABLE = RAW[CLICKS.name]
COMPACT = ("jobs.compaction", "--older-than", "18000", "--grace", "0")
"""The hours of these events, of six hours ago."""


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """A checkout of the version to come: one line more in the contract."""
    for package in ("contracts", "clients", "serving", "jobs"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    events = tmp_path / "contracts" / "events.py"
    before = "    page: Page\n"
    assert events.read_text().count(before) == 1
    events.write_text(events.read_text().replace(before, f"{before}    campaign: Name | None = None\n"))
    return tmp_path


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

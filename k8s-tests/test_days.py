"""Days on the cluster: closed by the daily DAG, opened by events sent the day after, closed again, and compacted.

``make test-faults`` runs it; it takes too long for each change.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from contracts.dag import COMPACTION_DAG_ID
from support.airflow import Airflow
from support.platform import Platform, play
from support.shop import Shop

pytestmark = pytest.mark.faults
BEFORE, YESTERDAY = (f"{datetime.now(UTC).date() - timedelta(days=number)}" for number in (2, 1))


def test_days_close_open_and_are_compacted(platform: Platform, shop: Shop) -> None:
    airflow = Airflow(platform)
    shop.scale(0)

    def shown(day: str) -> dict[str, Any]:
        found: dict[str, Any] = platform.inside("day", day)
        return found

    def exact(day: str, truth: Decimal) -> dict[str, Any]:
        """The day is closed, and SQL, CSV and serving have its revenue, from the batch layer."""
        found = shown(day)
        assert (found["closed"], found["sources"]) == (True, ["batch"])
        exported = platform.inside("exported", day)["revenue_daily.csv"]
        assert [Decimal(found["sql"]), Decimal(found["serving"])] == [truth] * 2
        assert [Decimal(row["revenue"]) for row in exported] == [truth]
        return found

    truth = play(platform, shop, BEFORE, 3000, 11)
    platform.catch_up(300)
    airflow.run(BEFORE)
    exact(BEFORE, truth)

    truth += play(platform, shop, BEFORE, 300, 12)
    next_truth = play(platform, shop, YESTERDAY, 2000, 13)
    platform.catch_up(300)
    found = shown(BEFORE)
    assert (found["closed"], found["sources"], Decimal(found["serving"])) == (False, ["speed"], truth)
    airflow.run(YESTERDAY)
    before = exact(BEFORE, truth)
    exact(YESTERDAY, next_truth)

    airflow.run(dag=COMPACTION_DAG_ID)
    after = exact(BEFORE, truth)
    assert after["clicks"] == before["clicks"]
    assert all(after["files"][stream] < count for stream, count in before["files"].items()), (before, after)

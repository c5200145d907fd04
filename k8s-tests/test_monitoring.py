"""A real Prometheus sees the platform: every target of the PodMonitors is up, and alerts fire."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from clients.retry import until
from support.platform import Platform, play
from support.prometheus import Prometheus, expressions, prometheus
from support.shop import Shop

DAY = f"{datetime.now(UTC).date() - timedelta(days=5)}"
AT_ONCE = {
    "SqlStale": "sqlStaleMinutes",
    "DailyRunMissing": "dailyRunHours",
    "DayOpen": "dayOpenHours",
    "CompactionBehind": "compactionHours",
    "HDFSObjectsGrowing": "hdfsObjectsPerDay",
}
"""Alerts of the lake, which fire after hours, and their limits."""
UNSEEN = ("airflow_", "kubelet_")
"""What begins so is not scraped here: Airflow pushes, and the kubelet is the cluster's."""


@pytest.fixture(scope="module")
def seeing(platform: Platform, shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus to which a single dead letter is an alert, while the shop plays."""
    shop.scale(1)
    with prometheus(platform.release, tmp_path_factory.mktemp("prometheus"), deadLetters=0) as server:
        yield server
    shop.scale(0)


@pytest.fixture(scope="module")
def impatient(platform: Platform, seeing: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus to which whatever takes time takes too long."""
    limits = dict.fromkeys(AT_ONCE.values(), 0)
    with prometheus(platform.release, tmp_path_factory.mktemp("impatient"), **limits) as server:
        yield server


def test_every_target_is_up(seeing: Prometheus) -> None:
    assert until(seeing.down, lambda found: not found) == {}
    monitors = {monitor["metadata"]["name"] for monitor in seeing.monitors}
    assert {name for name in monitors if not seeing.query(f'up{{monitor="{name}"}}')} == set()


@pytest.mark.parametrize(
    "expression",
    [
        'ecommerce_stream_records_total{query="ingest",outcome="landed"} > 0',
        'ecommerce_stream_records_total{query="speed",outcome="events"} > 0',
        "ecommerce_stream_lag_records >= 0",
        "time() - ecommerce_stream_last_batch_timestamp_seconds < 120",
        "fs_namesystem_blocks_total > 0",
        "fs_namesystem_capacity_remaining > 0",
        "fs_namesystem_capacity_total > 0",
        "fs_namesystem_under_replicated_blocks >= 0",
        "fs_namesystem_missing_blocks == 0",
        "kafka_server_replicamanager_underreplicatedpartitions == 0",
        "ecommerce_generator_rate > 0",
    ],
)
def test_metrics_have_sensible_values(seeing: Prometheus, expression: str) -> None:
    until(lambda: seeing.query(expression), bool)


def test_every_panel_of_the_dashboards_shows_something(seeing: Prometheus) -> None:
    asked = expressions(quiet=False, namespace=seeing.release.namespace)
    assert until(lambda: seeing.silent(asked), lambda found: not found, seconds=60) == set()


def test_an_alert_fires(seeing: Prometheus) -> None:
    assert not {"MissingBlocks", "KafkaAbsent", "HDFSAbsent"} & until(
        seeing.firing, lambda found: "DeadLetters" in found
    )


def test_a_reconciliation_that_fails_is_told(platform: Platform, shop: Shop, seeing: Prometheus) -> None:
    assert "ReconciliationFailed" not in seeing.firing()
    play(platform, shop, DAY, 300, 5)
    platform.catch_up(300)
    assert platform.inside("differing_day", DAY) == {"check_data": 0, "revenue": 0, "reconcile": 1}
    until(seeing.firing, lambda found: "ReconciliationFailed" in found, seconds=180)


def test_panels_of_trouble_show_it(seeing: Prometheus) -> None:
    namespace = seeing.release.namespace
    quiet = expressions(quiet=True, namespace=namespace) - expressions(quiet=False, namespace=namespace)
    asked = {expression for expression in quiet if not any(word in expression for word in UNSEEN)}
    assert asked
    assert until(lambda: seeing.silent(asked), lambda found: not found, seconds=60) == set()


def test_the_alerts_of_the_lake_fire_at_their_limits_only(seeing: Prometheus, impatient: Prometheus) -> None:
    until(impatient.firing, lambda found: set(AT_ONCE) <= found, seconds=180)
    assert not {"SqlStale", "CompactionBehind", "HDFSObjectsGrowing"} & seeing.firing()

"""What goes wrong outside the platform's own pods: clocks, and a broker that is away for two minutes."""

import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from kubernetes import client

from clients.retry import until
from deploy import pods
from images.builder import image_name
from support import inside
from support.platform import REGISTRY, Platform, dead_letters, speed_revenue
from support.prometheus import Prometheus, prometheus
from support.shop import Shop, closed, landed, produced

pytestmark = pytest.mark.faults

HOUR_SECONDS = 3600
PLAY_SECONDS = 20
AWAY_SECONDS = 120


def play(platform: Platform, instance: str, offset: int) -> dict[str, Any]:
    """The ledger of a shop whose clock is ``offset`` seconds off."""
    command = inside.command("shop_with_clock", instance, str(offset), str(PLAY_SECONDS))
    printed = pods.run(
        platform.release, image_name("generator", REGISTRY or "docker.io"), command, kafka_client="generator"
    )
    return closed(printed.splitlines())


@pytest.fixture(scope="module")
def seeing(platform: Platform, found: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that sees all targets; the thresholds are above what the shop itself does in ten minutes."""
    folder = tmp_path_factory.mktemp("prometheus")
    with prometheus(platform.release, folder, deadLetters=300, lateEvents=300, absentMinutes=1) as server:
        until(server.down, lambda down: not down)
        yield server


def test_a_clock_an_hour_ahead_makes_dead_letters_and_nothing_else(
    platform: Platform, seeing: Prometheus, ledger: dict[str, Any]
) -> None:
    before = platform.count(ledger)
    assert "DeadLetters" not in seeing.firing()
    sent = play(platform, "ahead", HOUR_SECONDS)
    until(seeing.firing, lambda alerts: "DeadLetters" in alerts)
    after = platform.count(sent)
    assert landed(after) == landed(before)
    expected = dead_letters(before)
    for name, stream in sent["streams"].items():
        expected[name] = expected.get(name, 0) + stream["sent"]
    assert dead_letters(after) == {name: count for name, count in expected.items() if count}


def test_a_clock_an_hour_behind_makes_late_events_that_are_all_there(
    platform: Platform, seeing: Prometheus, ledger: dict[str, Any]
) -> None:
    before = platform.count(ledger)
    assert "LateEvents" not in seeing.firing()
    sent = play(platform, "behind", -HOUR_SECONDS)
    until(seeing.firing, lambda alerts: "LateEvents" in alerts)
    both = {**ledger, "first_event_time": min(ledger["first_event_time"], sent["first_event_time"])}
    after = platform.count(both)
    assert landed(after) == {
        name: (rows + sent["streams"][name]["produced"], distinct + sent["streams"][name]["produced"])
        for name, (rows, distinct) in landed(before).items()
    }
    # The batch layer's is of all days, those that other tests played among them.
    assert Decimal(after["revenue"]["batch"]) - Decimal(before["revenue"]["batch"]) == Decimal(sent["revenue"])
    assert speed_revenue(after) - speed_revenue(before) == Decimal(sent["revenue"])


def test_a_broker_that_is_away_for_two_minutes_loses_nothing(
    platform: Platform,
    seeing: Prometheus,
    shop: Shop,
    ledger: dict[str, Any],
    record_property: Callable[[str, object], None],
) -> None:
    before = platform.count(ledger)
    already = len(shop.ledgers)
    shop.scale(1)
    brokers = f"{platform.release.name}-kafka"
    apps = client.AppsV1Api(platform.release.api)
    apps.patch_namespaced_stateful_set_scale(brokers, platform.release.namespace, {"spec": {"replicas": 0}})
    began = time.monotonic()
    until(seeing.firing, lambda alerts: "KafkaAbsent" in alerts)
    time.sleep(max(0, began + AWAY_SECONDS - time.monotonic()))
    apps.patch_namespaced_stateful_set_scale(brokers, platform.release.namespace, {"spec": {"replicas": 1}})
    began = time.monotonic()
    platform.release.wait("Waiting for all of it", 600)
    record_property("a broker's return, s until all is ready", round(time.monotonic() - began))
    until(seeing.firing, lambda alerts: not {"KafkaAbsent", "StreamAbsent"} & alerts)
    time.sleep(PLAY_SECONDS)
    shop.scale(0)
    (sent,) = shop.ledgers[already:]
    assert sent["streams"]["clicks"]["produced"] > AWAY_SECONDS
    after = platform.count(shop.ledger())
    assert landed(after) == {
        name: (rows + count, distinct + count)
        for name, (rows, distinct) in landed(before).items()
        for count, _ in [produced(sent)[name]]
    }

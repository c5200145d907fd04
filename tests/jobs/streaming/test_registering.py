"""Which landed hours are told to the metastore, and when, without one."""

import time
from collections.abc import Iterable

import pytest

from clients import metastore
from contracts.errors import Unreachable
from contracts.hive import HiveTable
from contracts.settings import Settings
from jobs.streaming import registering
from jobs.streaming.registering import Registrar

CLICKS = "/data/ecommerce/clicks/date=2026-11-23/hour={:02}/part-00000-0-9-1.parquet"
STOCK = "/data/ecommerce/inventory/date=2026-11-24/hour=00/part-00000-0-9-1.parquet"


class Metastore:
    """What it was told; ``away`` as long as it does not answer."""

    def __init__(self) -> None:
        self.told: list[tuple[str, list[tuple[str, ...]]]] = []
        self.away = False

    def add(self, settings: Settings, table: HiveTable, values: Iterable[tuple[str, ...]]) -> None:
        if self.away:
            raise Unreachable("the Hive Metastore does not answer")
        self.told.append((table.name, list(values)))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Metastore:
    found = Metastore()
    monkeypatch.setattr(metastore, "add_partitions", found.add)
    return found


def test_each_hour_is_told_once(server: Metastore) -> None:
    registrar = Registrar(Settings())
    registrar.register()
    assert server.told == []
    registrar.note([CLICKS.format(10), STOCK, CLICKS.format(9), CLICKS.format(10)])
    registrar.register()
    assert server.told == [
        ("clicks", [("2026-11-23", "09"), ("2026-11-23", "10")]),
        ("inventory", [("2026-11-24", "00")]),
    ]
    registrar.note([CLICKS.format(10), CLICKS.format(11)])
    registrar.register()
    registrar.register()
    assert server.told[2:] == [("clicks", [("2026-11-23", "11")])]


def test_hours_wait_for_a_metastore_that_is_away(server: Metastore, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    registrar, server.away = Registrar(Settings()), True
    registrar.note([CLICKS.format(10)])
    registrar.register()
    server.away = False
    registrar.note([CLICKS.format(11)])
    registrar.register()
    assert server.told == [], "it is not asked again at once"
    clock[0] = registering.PAUSE_SECONDS
    registrar.register()
    assert server.told == [("clicks", [("2026-11-23", "10"), ("2026-11-23", "11")])]

"""The live page, open for long: what it holds does not grow with the updates that it was told of.

The stream is played twenty times faster than it is; the API is the real one, its layers are a test's.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Thread
from typing import Any

import pytest
import uvicorn
from selenium import webdriver
from selenium.webdriver.common.by import By

from clients.retry import until
from contracts.events import Alert, timestamp
from contracts.hbase import Revenue, Sold, Stock, Traffic
from local.ports import HOST, free
from serving.api import live
from serving.api.app import create_app
from serving.api.live import Live
from serving.now import NEWEST_ALERTS, Now
from tests.support.browser import chromium
from tests.support.known_layers import KnownLayers

TICK_SECONDS = 0.05
WARM, UPDATES = 200, 1200
"""Updates until the first measurement, and until the last: of 20 minutes between them."""
GROWTH = 1.1


class Moving(KnownLayers):
    """Layers in which all that the page shows changes with each look."""

    looks = 0

    def _ask(self, what: str) -> None:
        if what != "revenue":
            return
        self.looks += 1
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        for minutes in range(60):
            minute = now - timedelta(minutes=minutes)
            self.on_time[minute] = Revenue(Decimal(self.looks), self.looks)
            self.visited[minute] = Traffic(self.looks, {"home": self.looks}, {"toys": 1}, {"DE": self.looks})
            self.sold[minute] = {"toys": Sold(Decimal(self.looks), self.looks, self.looks)}
        moment = timestamp(datetime.now(UTC))
        self.raised = [
            (f"{number}", Alert(f"{self.looks}-{number}", moment, "P00001", "north", self.looks, 5))
            for number in range(NEWEST_ALERTS)
        ]
        self.levels = {(f"P{number:05d}", "north"): Stock(self.looks % 5, 5, now) for number in range(30)}


@contextmanager
def served(layers: KnownLayers) -> Iterator[str]:
    (port,) = free(1)
    app = create_app(layers, Live(Now(layers)), None)
    server = uvicorn.Server(uvicorn.Config(app, HOST, port, log_level="warning", timeout_graceful_shutdown=1))
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started, seconds=30, pause=0.1)
    yield f"http://{HOST}:{port}"
    server.should_exit = True
    thread.join(20)


def held(browser: webdriver.Chrome) -> tuple[int, int]:
    """Bytes of the page's heap, and nodes of its document, after a garbage collection."""
    browser.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
    found: dict[str, Any] = browser.execute_cdp_cmd("Runtime.getHeapUsage", {})
    return int(found["usedSize"]), len(browser.find_elements(By.CSS_SELECTOR, "*"))


def test_a_page_that_is_long_open_holds_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "TICK_SECONDS", TICK_SECONDS)
    layers = Moving()
    measured = []
    with served(layers) as address, chromium() as browser:
        browser.get(address)
        for looks in (WARM, UPDATES):
            until(lambda: layers.looks, lambda found, looks=looks: found >= looks, seconds=300)  # type: ignore[misc]
            time.sleep(1)
            measured.append(held(browser))
        assert browser.find_element(By.ID, "state").text == "Live"
        shown = int(browser.find_element(By.ID, "purchases").text.replace(",", ""))
        assert shown > WARM, "the page has stopped"
    (bytes_before, nodes_before), (bytes_after, nodes_after) = measured
    assert bytes_after < GROWTH * bytes_before, measured
    assert nodes_after < GROWTH * nodes_before, measured

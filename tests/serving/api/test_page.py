"""The live page in a real browser, on the real servers: its figures are the API's and HBase's, and it outlives both."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
import pytest
import requests
from axe_core_python.selenium import Axe
from happybase import Connection
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from clients import hbase
from contracts.events import Alert, timestamp
from contracts.hbase import (
    ALERT,
    REVENUE_BY_MINUTE,
    SALES_BY_MINUTE,
    STOCK,
    STOCK_ALERTS,
    TRAFFIC_BY_MINUTE,
    Bought,
    Revenue,
    Sold,
    Stock,
    Traffic,
    alert_key,
    minute_key,
    stock_key,
)
from contracts.settings import Settings
from local.servers import SERVING
from local.site import ROOT
from local.stack import Stack
from tests.serving.api import NO_HANG
from tests.support.browser import chromium
from tests.support.running import run

HOUR = 3600
"""Updates that the page gets in an hour."""
HEAR = """
window.EventSource = class extends EventSource {
  constructor(...place) {
    super(...place);
    window.heard = this;
    this.addEventListener("snapshot", (event) => (window.snapshot = JSON.parse(event.data)));
  }
};
"""
"""Keeps what the page listens to, and the first that it heard."""
UPDATES = """
const [count, done] = arguments;
const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
const other = () => String(Math.round(1000 * Math.random()) / 100);
const moved = (rows) => rows.map(([minute, ...counts]) => [minute, ...counts.map(other)]);
const play = async () => {
  for (let second = 0; second < count; second++) {
    const changed = structuredClone(window.snapshot);
    changed.revenue.revenue = other();
    changed.revenue.minutes = moved(changed.revenue.minutes);
    changed.traffic.minutes = moved(changed.traffic.minutes);
    window.heard.dispatchEvent(new MessageEvent("change", { data: JSON.stringify(changed) }));
    await frame();
  }
};
play().then(() => done(), (error) => done(String(error)));
"""
"""Gives the page so many updates of everything, each drawn, and what went wrong."""
PICTURES = ROOT / "build" / "live"
SERIOUS = {"serious", "critical"}


@pytest.fixture(scope="module")
def sold(stack: Settings) -> Iterator[Callable[[str], None]]:
    """Puts revenue of an amount into this minute, besides a critical stock and its alert; all is gone afterwards."""
    now = datetime.now(UTC)
    moment = timestamp(now)
    alert = Alert("page-1", moment, "P00042", "north", 2, 5)
    added: list[tuple[str, bytes]] = []

    def put(table: str, key: bytes, column: bytes, value: Any) -> None:
        cells = {column: msgspec.json.encode(value)}
        hbase.attempt(stack, lambda connection: connection.table(table).put(key, cells))
        added.append((table, key))

    put(STOCK.name, stock_key("P00042", "north"), b"v:0", Stock(2, 5, now))
    put(STOCK_ALERTS.name, alert_key(now, "P00042", "page-1"), ALERT.column, alert)
    for minutes in (-1, 0, 1, 2):
        minute = minute_key(now + timedelta(minutes=minutes))
        traffic = Traffic(7, {"home": 5, "product": 3}, {}, {"DE": 7})
        put(TRAFFIC_BY_MINUTE.name, minute, b"v:97", traffic)
    bought = Decimal("9.95"), 2, 1
    put(SALES_BY_MINUTE.name, minute_key(now), b"v:97", {"toys": Sold(*bought, {"PT": Bought(*bought)})})
    # A partition that no test's job writes.
    yield lambda amount: put(
        REVENUE_BY_MINUTE.name, minute_key(datetime.now(UTC)), b"v:97", Revenue(Decimal(amount), 1)
    )
    for table, key in added:
        hbase.attempt(stack, partial(delete, table, key))


def delete(table: str, key: bytes, connection: Connection) -> None:
    connection.table(table).delete(key)


@pytest.fixture(scope="module")
def page(api: str) -> Iterator[webdriver.Chrome]:
    with chromium() as browser:
        browser.get(api)
        yield browser


def text(page: webdriver.Chrome, name: str) -> str:
    return page.find_element(By.ID, name).text


def wait(page: webdriver.Chrome, condition: Callable[[], Any], seconds: float = 30) -> None:
    WebDriverWait(page, seconds, 0.2).until(lambda _: condition())


def euro(amount: str) -> str:
    return f"€{Decimal(amount):,.2f}"


def test_its_figures_are_the_api_s_and_the_command_line_s(
    page: webdriver.Chrome, api: str, sold: Callable[[str], None], stack: Settings
) -> None:
    sold("12.30")

    def agree() -> bool:
        return text(page, "revenue") == euro(requests.get(f"{api}/v1/today", timeout=10).json()["revenue"]) != "€0.00"

    wait(page, agree)
    today = requests.get(f"{api}/v1/today", timeout=10).json()
    hours = datetime.now(UTC).hour + 1
    variables = {"PATH": "", **stack.as_environment()}
    told = json.loads(run("serving", "revenue", "--last", f"{hours}h", "--json", variables=variables).stdout)
    since_midnight = [minute for minute in told["minutes"] if minute["minute"].startswith(today["day"])]
    assert Decimal(today["revenue"]) == sum(Decimal(minute["revenue"]) for minute in since_midnight)
    assert text(page, "purchases") == f"{today['purchases']:,}"
    wait(page, lambda: "P00042" in text(page, "stock"))  # asked for less often
    wait(page, lambda: "P00042" in text(page, "alerts"))
    assert text(page, "state") == "Live"

    def traffic_agrees() -> bool:
        """Asked for anew each time: the hour moves on."""
        told = json.loads(run("serving", "traffic", "--last", "60m", "--json", variables=variables).stdout)
        this_minute = f"{datetime.now(UTC):%Y-%m-%dT%H:%M}"
        minute = [minute for minute in told["minutes"] if minute["minute"] < this_minute][-1]
        assert minute["visitors"] >= 7
        pages, countries = told["total"]["pages"], told["total"]["countries"]
        return (
            text(page, "visitors") == f"{minute['visitors']:,}"
            and all(f"{name} {pages[name]:,}" in text(page, "funnel-text") for name in ("home", "product"))
            and f"DE {countries['DE']:,}" in text(page, "countries-text")
        )

    wait(page, traffic_agrees, 60)

    def sales_agree() -> bool:
        told = requests.get(f"{api}/v1/sales?first={datetime.now(UTC).date()}", timeout=10).json()
        assert told["countries"]["PT"]["purchases"] >= 1
        most = sorted(told["countries"].items(), key=lambda item: (-item[1]["purchases"], item[0]))[:3]
        shown = ", ".join(f"{name} {one['purchases']:,} for {euro(one['revenue'])}" for name, one in most)
        return text(page, "bought-text").startswith(f"{shown}; of ")

    wait(page, sales_agree, 60)
    PICTURES.mkdir(parents=True, exist_ok=True)
    assert page.save_screenshot(str(PICTURES / "live.png"))


def test_it_moves_by_itself(page: webdriver.Chrome, sold: Callable[[str], None]) -> None:
    before = text(page, "revenue")
    sold("100.45")
    wait(page, lambda: text(page, "revenue") != before, 10)


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_axe_finds_nothing_serious(page: webdriver.Chrome, width: int, colours: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": colours}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    page.set_window_size(width, 1000)
    time.sleep(1)
    found = Axe().run(page)
    serious = [(one["id"], one["nodes"][0]["html"]) for one in found["violations"] if one["impact"] in SERIOUS]
    assert not serious
    assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    page.save_screenshot(str(PICTURES / f"{colours}-{width}.png"))


def test_a_past_day_by_keyboard(page: webdriver.Chrome, api: str) -> None:
    day = datetime.now(UTC).date() - timedelta(days=3)
    page.execute_script("document.activeElement.blur()")
    field = page.find_element(By.ID, "day")
    field.send_keys(f"{day:%m%d%Y}")
    wait(page, lambda: f"on {day}" in text(page, "which"))
    shown = requests.get(f"{api}/v1/revenue?from={day}T00:00:00Z&to={day + timedelta(days=1)}T00:00:00Z", timeout=10)
    wait(page, lambda: text(page, "revenue") == euro(shown.json()["revenue"]))
    wait(page, lambda: text(page, "bought-title") == f"Purchases by country, {day}")
    page.find_element(By.ID, "live").send_keys(Keys.ENTER)
    wait(page, lambda: text(page, "which") == "live")


def test_a_server_that_goes_and_comes_back(page: webdriver.Chrome, local_stack: Stack, api: str) -> None:
    local_stack.kill("hbase-thrift")
    wait(page, lambda: "Not answered: revenue since" in text(page, "state"))
    began = time.monotonic()
    answer = requests.get(f"{api}/v1/today", timeout=10)
    assert (answer.status_code, time.monotonic() - began < NO_HANG) == (503, True)
    assert answer.headers["retry-after"]
    local_stack.up()
    wait(page, lambda: text(page, "state") == "Live", 60)


def test_an_api_that_goes_and_comes_back(page: webdriver.Chrome, local_stack: Stack) -> None:
    local_stack.kill(SERVING)
    wait(page, lambda: "connection is lost" in text(page, "state"))
    local_stack.up()
    wait(page, lambda: text(page, "state") == "Live", 60)


def held(page: webdriver.Chrome) -> dict[str, int]:
    """What the page holds once all is collected that can be: bytes of JavaScript, nodes and listeners."""
    page.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
    counters = page.execute_cdp_cmd("Memory.getDOMCounters", {})
    heap = page.execute_cdp_cmd("Runtime.getHeapUsage", {})["usedSize"]
    return {"bytes": int(heap), "nodes": counters["nodes"], "listeners": counters["jsEventListeners"]}


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_an_hour_of_updates_leaves_nothing_behind(page: webdriver.Chrome, sold: Callable[[str], None]) -> None:
    page.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": HEAR})
    page.refresh()
    wait(page, lambda: text(page, "state") == "Live")
    page.set_script_timeout(100)

    def play(updates: int) -> None:
        for _ in range(0, updates, 60):
            assert page.execute_async_script(UPDATES, 60) is None  # type: ignore[no-untyped-call]

    # Until the browser has compiled what runs again and again: the heap grows by 14 % meanwhile, less and less.
    play(600)
    before = held(page)
    play(HOUR)
    after = held(page)
    print({name: f"{before[name]} to {after[name]}" for name in before})
    assert {name: after[name] < 1.1 * before[name] for name in before} == dict.fromkeys(before, True)


def test_it_logs_no_error_of_its_own(page: webdriver.Chrome) -> None:
    page.get_log("browser")  # type: ignore[no-untyped-call]
    page.refresh()
    wait(page, lambda: text(page, "state") == "Live")
    assert not [line for line in page.get_log("browser") if line["level"] == "SEVERE"]  # type: ignore[no-untyped-call]

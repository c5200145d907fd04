"""The daily DAG on the cluster, driven as a user drives it: REST API and pages on the ingress."""

import time
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions as expected
from selenium.webdriver.support.ui import WebDriverWait

from clients.retry import until
from contracts.dag import DAG_ID
from dags.ecommerce_daily_analytics import TASKS
from support.airflow import Airflow
from support.platform import Platform
from tests.support.browser import chromium

SCREENSHOT = Path(__file__).parents[1] / "build" / "airflow.png"
EMPTY_DAY = "2026-01-02"


@pytest.fixture(scope="session")
def airflow(platform: Platform) -> Airflow:
    return Airflow(platform)


@pytest.fixture(scope="session")
def pods_seen() -> dict[str, set[str]]:
    """Names of the pods in which each task of the finished run was seen."""
    return defaultdict(set)


@pytest.fixture(scope="session")
def finished(
    platform: Platform, airflow: Airflow, ledger: dict[str, Any], found: dict[str, Any], pods_seen: dict[str, set[str]]
) -> str:
    """A run of the DAG for the day of the ledger, ended well."""
    run = airflow.trigger(ledger["first_event_time"][:10])

    def state() -> str:
        for pod in platform.release.core.list_namespaced_pod(platform.release.namespace).items:
            if pod.metadata.labels.get("dag_id") == DAG_ID and pod.metadata.labels.get("run_id"):
                pods_seen[pod.metadata.labels["task_id"]].add(pod.metadata.name)
        return str(airflow.get(f"dags/{DAG_ID}/dagRuns/{run}")["state"])

    ended = until(state, ("success", "failed").__contains__, seconds=1200, pause=0.5, what="the end of the run")
    states = {task: item["state"] for task, item in airflow.tasks(run).items()}
    assert ended == "success", states
    return run


def test_no_day_before_the_installation_is_scheduled(platform: Platform, airflow: Airflow) -> None:
    """There is no data of them: their runs would fail."""
    dag = airflow.get(f"dags/{DAG_ID}/details")
    assert dag["is_paused"] is False
    configuration = platform.release.core.read_namespaced_config_map(
        f"{platform.release.name}-airflow", platform.release.namespace
    )
    installed = configuration.metadata.creation_timestamp.date().isoformat()
    assert dag["start_date"][:10] == installed
    runs = [run for run in airflow.get(f"dags/{DAG_ID}/dagRuns")["dag_runs"] if run["run_type"] == "scheduled"]
    assert [run for run in runs if run["logical_date"][:10] < installed] == []


def test_each_task_ran_in_its_own_pod(finished: str, airflow: Airflow, pods_seen: dict[str, set[str]]) -> None:
    assert {item["state"] for item in airflow.tasks(finished).values()} == {"success"}
    assert set(pods_seen) == {task.id for task in TASKS}
    names = [name for pods in pods_seen.values() for name in pods]
    assert len(names) == len(set(names))


def test_the_csv_files_hold_the_day(platform: Platform, finished: str, ledger: dict[str, Any]) -> None:
    day = ledger["first_event_time"][:10]
    files = platform.inside("exported", day)
    revenue = [row for name, rows in files.items() if name.startswith("revenue_daily") for row in rows]
    assert sum(Decimal(row["revenue"]) for row in revenue) == Decimal(ledger["revenue"])
    assert all(rows for rows in files.values()), {name: len(rows) for name, rows in files.items()}


def test_logs_are_readable_after_the_pods_are_gone(platform: Platform, finished: str, airflow: Airflow) -> None:
    left = [
        pod.metadata.name
        for pod in platform.release.core.list_namespaced_pod(platform.release.namespace, label_selector="dag_id").items
        if pod.metadata.labels.get("task_id") == "revenue"
    ]
    assert left == []
    assert "revenue_daily" in airflow.log(finished, "revenue", 1)


def test_a_failing_task_is_retried_and_seen(platform: Platform, finished: str, airflow: Airflow) -> None:
    run = airflow.trigger(EMPTY_DAY)
    try:
        until(
            lambda: airflow.tasks(run).get("check_data", {}),
            lambda task: task.get("try_number", 0) >= 2,
            seconds=420,
            pause=2,
            what="a second try",
        )
        log = airflow.log(run, "check_data", 1)
        assert EMPTY_DAY in log, log[-2000:]
        assert "error:" in log
    finally:
        airflow.fail(run)


@pytest.fixture
def browser(platform: Platform) -> Iterator[webdriver.Chrome]:
    """Debian's chromium, in which the ingress's host name is loopback."""
    with chromium() as driver:
        yield driver


def test_the_ui_shows_the_dag_in_a_browser(
    platform: Platform, finished: str, airflow: Airflow, browser: webdriver.Chrome
) -> None:
    browser.get(platform.cluster.access.url(airflow.host))
    wait = WebDriverWait(browser, 60)
    wait.until(expected.presence_of_element_located((By.NAME, "username"))).send_keys(airflow.user)
    browser.find_element(By.NAME, "password").send_keys(airflow.password)
    browser.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
    wait.until(expected.url_contains(airflow.host))
    time.sleep(2)
    browser.get(f"{platform.cluster.access.url(airflow.host)}/dags/{DAG_ID}")
    wait.until(expected.text_to_be_present_in_element((By.TAG_NAME, "body"), DAG_ID))
    time.sleep(3)  # for the graph to be drawn; the picture is for people
    SCREENSHOT.parent.mkdir(exist_ok=True)
    assert browser.save_screenshot(str(SCREENSHOT))

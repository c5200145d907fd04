"""``make demo`` as a user runs it, on a small day; what its verdict and its reading of Airflow are worth."""

import csv
import json
import os
from copy import deepcopy
from typing import Any

import pytest

from local.demo import TaskLines, problems
from local.ports import Ports, in_use
from local.site import ROOT
from tests.support.running import run

GOOD: dict[str, Any] = {
    "produced": {"clicks": 10},
    "landed": {"clicks": 10},
    "rows": {"clicks": 10},
    "duplicates": {"clicks": 2},
    "dead_letters": {"clicks": 1},
    "revenue": {"truth": "9.90", "batch": "9.90", "speed": "9.90"},
    "alerts": {"expected": 3, "raised": 3},
}
SENT = {"duplicates": {"clicks": 2}, "dead_letters": {"clicks": 1}}


def test_an_exact_run_has_no_problems() -> None:
    assert problems(GOOD, SENT) == []


@pytest.mark.parametrize(
    ("figure", "key", "value", "sentence"),
    [
        ("landed", "clicks", 9, "clicks: 10 events produced, 9 landed"),
        ("rows", "clicks", 11, "clicks: 11 rows for 10 events"),
        ("duplicates", "clicks", 1, "clicks: 2 duplicates sent, 1 counted"),
        ("dead_letters", "clicks", 0, "clicks: 1 dead_letters sent, 0 counted"),
        ("revenue", "batch", "9.91", "revenue: 9.90 EUR sold, 9.91 in the batch layer"),
        ("revenue", "speed", "9.89", "revenue: 9.90 EUR sold, 9.89 in the speed layer"),
        ("alerts", "raised", 2, "alerts: 3 expected, 2 raised"),
    ],
)
def test_whatever_is_lost_or_counted_twice_is_named(figure: str, key: str, value: Any, sentence: str) -> None:
    summary = deepcopy(GOOD)
    summary[figure][key] = value
    assert sentence in problems(summary, SENT)


def test_airflow_tells_how_each_task_ended() -> None:
    lines = TaskLines()
    assert lines.ended("… Task instance state updated new_state=failed rows_affected=1") is None
    assert lines.ended("… [DAG TEST] end task task_id=reconcile map_index=-1") == ("reconcile", "failed")


def test_the_demo_is_exact_and_leaves_nothing_running() -> None:
    folder, ports = ROOT / "build" / "test-demo", Ports.free()
    command = ("local.demo", "--events", "20000", "--folder", str(folder))
    result = run(*command, variables={**os.environ, **ports.as_environment()}, timeout=540)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["problems"] == []
    assert sum(summary["produced"].values()) > 15_000
    assert summary["produced"] == summary["landed"] == summary["rows"]
    assert all(summary["late"].values()), "the day has late events of every stream"
    assert summary["revenue"]["truth"] == summary["revenue"]["batch"] == summary["revenue"]["speed"]
    assert summary["alerts"]["raised"] == summary["alerts"]["expected"]
    assert summary["files"]["after"] < summary["files"]["before"]
    assert summary["sql_seconds"] > 0
    assert "Conversion funnel" in result.stdout
    assert "<svg" in (folder / "report.html").read_text()
    with (folder / "csv" / "conversion_funnel.csv").open(newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["home", "product", "purchase"]
    assert [name for name, port in ports.as_dict().items() if in_use(port)] == []

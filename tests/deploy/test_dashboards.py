"""Grafana's dashboards as they are kept: fresh, whole, and made of metrics that something exports."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import airflow
import pytest
import yaml
from prometheus_client import REGISTRY, Metric

from contracts.paths import INGEST
from deploy.dashboards.boards import BOARDS, files
from deploy.dashboards.parts import Board
from deploy.helm import CHARTS
from generator.metrics import Metrics as ShopMetrics
from jobs.streaming.lake import Lake
from jobs.streaming.metrics import Metrics as JobMetrics
from local.site import ROOT
from serving.api import live, metered  # noqa: F401

FILES = files()
WORDS = {"by", "bool", "and", "or", "unless", "on", "ignoring", "offset"}
"""What PromQL means by itself, where a metric's name could stand."""
AIRFLOW = re.compile(r"airflow_(\w+?)(_total|_milliseconds)?")


def read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def panels(file: Path) -> list[dict[str, Any]]:
    return [panel for panel in read(file)["panels"] if panel["type"] != "row"]


def metrics(expression: str) -> set[str]:
    """The metrics that an expression names."""
    for ignored in (r'"[^"]*"', r"\{[^}]*\}", r"\[[^]]*\]", r"\b(?:by|on|ignoring) ?\([^)]*\)"):
        expression = re.sub(ignored, "", expression)
    return set(re.findall(r"\b[a-zA-Z_]\w*\b(?!\s*\()", expression)) - WORDS


def named() -> set[str]:
    queries = [query for board in BOARDS for panel in board.panels for query in panel.queries.values()]
    return {name for query in queries for name in metrics(query)}


def series(found: Metric) -> Iterator[str]:
    """What Prometheus calls a metric's series."""
    yield from {sample.name for sample in found.samples} or {found.name}


def ours() -> set[str]:
    """What the jobs, the shop and the API export."""
    nothing: Any = SimpleNamespace()
    metered.ANSWERS.labels("/v1/today", "200")  # without a label it has no series
    known = [
        *ShopMetrics().registry.collect(),
        *JobMetrics(INGEST, ("landed",)).registry.collect(),
        *Lake(nothing, lambda: None, lambda: None).collect(),
        *REGISTRY.collect(),
    ]
    return {name for metric in known for name in series(metric)}


def kafkas() -> re.Pattern[str]:
    """What the JMX exporter makes of a broker's beans."""
    told = yaml.safe_load((CHARTS / "kafka/files/metrics.yaml").read_text())
    assert told["lowercaseOutputName"]
    beans = [re.fullmatch(r"kafka\.(\w+):type=(\w+),\*", bean) for bean in told["includeObjectNames"]]
    plain = [rule["name"] for rule in told["rules"] if "$" not in rule["name"]]
    return re.compile("|".join([*plain, *(rf"kafka_{bean[1]}_{bean[2]}_\w+".lower() for bean in beans if bean)]))


def airflows() -> set[str]:
    """What Airflow counts, by the list that it ships; dots are underscores to Prometheus."""
    template = Path(airflow.__file__).parent / "_shared/observability/metrics/metrics_template.yaml"
    return {metric["name"].replace(".", "_") for metric in yaml.safe_load(template.read_text())["metrics"]}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_files_are_those_of_the_boards(file: Path) -> None:
    assert file.read_text() == FILES[file], f"{file} is old: run `make dashboards`"


def test_there_are_no_others() -> None:
    folder = next(iter(FILES)).parent
    assert set(folder.iterdir()) == set(FILES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_reader_can_tell_what_each_panel_shows(file: Path) -> None:
    for panel in panels(file):
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_reader_chooses_prometheus_and_namespace(file: Path) -> None:
    board = read(file)
    assert [variable["name"] for variable in board["templating"]["list"]] == ["datasource", "namespace"]
    assert set(re.findall(r'"uid": "([^"]*)"', file.read_text())) == {"${datasource}", board["uid"]}
    expressions = [target["expr"] for panel in panels(file) for target in panel["targets"]]
    apart = [
        selector
        for expression in expressions
        for selector in re.findall(r"\b\w+\{[^}]*\}", expression)
        if 'namespace="$namespace"' not in selector
    ]
    assert apart == []


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_rows_fill_the_page_and_panels_have_their_places(board: Board) -> None:
    for heading, row in board.rows.items():
        assert sum(panel.width for panel in row) % 24 == 0, heading
    (file,) = [file for file in FILES if file.stem == board.uid]
    found = [panel["gridPos"] for panel in read(file)["panels"]]
    places = {
        (at["x"] + column, at["y"] + line) for at in found for column in range(at["w"]) for line in range(at["h"])
    }
    assert len(places) == sum(at["w"] * at["h"] for at in found), "panels overlap"
    assert max(at["x"] + at["w"] for at in found) == 24


def test_every_metric_is_exported_by_something_known() -> None:
    page = set(re.findall(r"\w+", (ROOT / "docs/monitoring.md").read_text()))
    counted, kafka, told = ours(), kafkas(), airflows()
    unknown = {
        name
        for name in named()
        if not (name in counted or kafka.fullmatch(name) or name in page)
        and not ((found := AIRFLOW.fullmatch(name)) and found[1] in told)
    }
    assert unknown == set(), "no code of ours exports them, and docs/monitoring.md does not name them"


def test_metrics_are_found_in_expressions() -> None:
    expression = 'sum by (a, b) (rate(one{c="two"}[5m])) / count(three) or vector(0) and four{d!="5"} == bool 1'
    assert metrics(expression) == {"one", "three", "four"}

"""Grafana's dashboards as the chart ships them: what a sidecar finds, and PromQL that Prometheus understands."""

import json
from pathlib import Path
from typing import Any

import yaml

from deploy.dashboards.boards import BOARDS
from support.prometheus import expressions, promtool
from support.rendering import STANDALONE, of, render

ON = {"global.monitoring.dashboards.enabled": True}
LARGEST = 1 << 20
"""Bytes of a ConfigMap that an API server takes."""


def shipped(**values: object) -> list[dict[str, Any]]:
    found = of(render((STANDALONE,), **values), "ConfigMap")
    return [item for name, item in found.items() if name.startswith("lambda-dashboard-")]


def test_prometheus_understands_every_expression(tmp_path: Path) -> None:
    rules = [{"record": "asked", "expr": expression} for expression in expressions(quiet=True)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    done = promtool("check", "rules", "--lint=none", str(tmp_path / "rules.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"SUCCESS: {len(rules)} rules found" in done.stdout


def test_the_sidecar_finds_each_board_when_it_is_asked_for(charts: Path) -> None:
    assert shipped() == []
    found = shipped(**ON)
    assert {item["metadata"]["labels"]["grafana_dashboard"] for item in found} == {"1"}
    assert all("annotations" not in item["metadata"] for item in found)
    boards = [json.loads(text) for item in found for text in item["data"].values()]
    assert sorted(board["uid"] for board in boards) == sorted(board.uid for board in BOARDS)
    assert max(len(json.dumps(item)) for item in found) < LARGEST


def test_label_and_folder_are_the_users(charts: Path) -> None:
    below = "global.monitoring.dashboards"
    found = shipped(**ON, **{f"{below}.label": "ours", f"{below}.labelValue": "yes", f"{below}.folder": "Shop"})
    assert {item["metadata"]["labels"]["ours"] for item in found} == {"yes"}
    assert {item["metadata"]["annotations"]["grafana_folder"] for item in found} == {"Shop"}

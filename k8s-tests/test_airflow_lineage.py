"""Airflow, with what the chart tells it, pushes what a run's tasks read and write. No cluster is asked.

OpenLineage's events are read as JSON, as its API takes them: https://openlineage.io/apidocs/openapi.
"""

import json
from pathlib import Path
from typing import Any

from support.dag import Dag
from support.rendering import told
from tests.support.collector import receiver

DAG = """
from airflow.sdk import DAG
from dags.operators import Task, operator

with DAG("traced", schedule=None):
    operator()(Task("mart", "platform", (), "", reads=("clicks", "purchases"), writes=("conversion_funnel",)))
"""


def test_a_run_says_which_tables_its_tasks_read_and_write(charts: Path, tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []

    def take(path: str, body: bytes) -> None:
        assert path == "/api/v1/lineage"
        events.append(json.loads(body))

    dag = Dag(DAG, tmp_path)
    with receiver(take) as address:
        dag.run(told("lineage.openlineageUrl", address))
    ended = {event["job"]["name"]: event for event in events if event["eventType"] == "COMPLETE"}
    assert {event["job"]["namespace"] for event in events} == {"shop/lambda"}
    assert set(ended) == {"traced", "traced.mart"}
    tables = {
        kind: [(one["namespace"], one["name"]) for one in ended["traced.mart"][kind]] for kind in ("inputs", "outputs")
    }
    metastore = "hive://lambda-hive-metastore:9083"
    assert tables == {
        "inputs": [(metastore, "ecommerce.clicks"), (metastore, "ecommerce.purchases")],
        "outputs": [(metastore, "ecommerce.conversion_funnel")],
    }
    assert ended["traced.mart"]["run"]["facets"]["parent"]["job"]["name"] == "traced"

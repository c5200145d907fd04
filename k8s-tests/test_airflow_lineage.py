"""Airflow, with what the chart tells it, pushes what a run's tasks read and write. No cluster is asked.

OpenLineage's events are read as JSON, as its API takes them: https://openlineage.io/apidocs/openapi.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from local import airflow
from support.rendering import told

DAG = """
from airflow.sdk import DAG
from dags.operators import Task, operator

with DAG("traced", schedule=None):
    operator()(Task("mart", "platform", (), "", reads=("clicks", "purchases"), writes=("conversion_funnel",)))
"""


@contextmanager
def receiver() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of what takes OpenLineage's events, and those that came."""
    events: list[dict[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/api/v1/lineage"
            events.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", events
        server.shutdown()


def test_a_run_says_which_tables_its_tasks_read_and_write(charts: Path, tmp_path: Path) -> None:
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "traced.py").write_text(DAG)
    environment = {**os.environ, **airflow.environment(tmp_path / "airflow"), "AIRFLOW__CORE__DAGS_FOLDER": str(dags)}
    airflow.migrate(environment)
    run = [sys.executable, "-m", "airflow", "dags", "test", "traced"]
    with receiver() as (address, events):
        variables = told("lineage.openlineageUrl", address)
        subprocess.run(run, env={**environment, **variables}, check=True, timeout=300)
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

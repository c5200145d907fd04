"""Airflow, with what the chart tells it, pushes its metrics to a real Prometheus. No cluster is asked."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

from local import airflow
from support.prometheus import serving
from support.rendering import told

PARSED = "airflow_dag_processing_processes"


def names(address: str) -> list[str]:
    """Of all metrics that the server knows."""
    with urllib.request.urlopen(f"http://{address}/api/v1/label/__name__/values", timeout=10) as answer:
        found: list[str] = json.load(answer)["data"]
    return found


def test_airflow_pushes_what_it_counts(charts: Path, tmp_path: Path) -> None:
    server, home = tmp_path / "prometheus", tmp_path / "airflow"
    server.mkdir()
    environment = {**os.environ, **airflow.environment(home)}
    airflow.migrate(environment)
    parse = [sys.executable, "-m", "airflow", "dag-processor", "--num-runs", "1"]
    with serving(server, {}, "--web.enable-otlp-receiver") as address:
        subprocess.run(parse, env=environment, check=True, timeout=300)
        assert PARSED not in names(address)
        endpoint = f"http://{address}/api/v1/otlp/v1/metrics"
        subprocess.run(
            parse,
            env={**environment, **told("metrics.otlpEndpoint", endpoint)},
            check=True,
            timeout=300,
        )
        assert PARSED in names(address)

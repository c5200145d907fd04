"""Airflow, with what the chart tells it, pushes a trace of a run to whoever listens there. No cluster is asked."""

import os
import subprocess
import sys
from pathlib import Path

from local import airflow
from support.rendering import told
from tests.support.collector import collector

DAG = """
from airflow.sdk import dag, task

@dag(schedule=None)
def traced():
    @task
    def one(): pass

    @task
    def two(): pass

    one() >> two()

traced()
"""


def test_a_run_is_one_trace_with_a_span_of_each_task(charts: Path, tmp_path: Path) -> None:
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "traced.py").write_text(DAG)
    environment = {**os.environ, **airflow.environment(tmp_path / "airflow"), "AIRFLOW__CORE__DAGS_FOLDER": str(dags)}
    airflow.migrate(environment)
    run = [sys.executable, "-m", "airflow", "dags", "test", "traced"]
    with collector() as (endpoint, spans):
        subprocess.run(run, env={**environment, **told("traces.otlpEndpoint", endpoint)}, check=True, timeout=300)
    assert len({span.trace for span in spans}) == 1
    assert {span.name for span in spans} == {"dag_run.traced", "task_run.one", "task_run.two"}

"""Airflow, with what the chart tells it, pushes a trace of a run to whoever listens there. No cluster is asked."""

from pathlib import Path

from support.dag import Dag
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
    dag = Dag(DAG, tmp_path)
    with collector() as (endpoint, spans):
        dag.run(told("traces.otlpEndpoint", endpoint))
    assert len({span.trace for span in spans}) == 1
    assert {span.name for span in spans} == {"dag_run.traced", "task_run.one", "task_run.two"}

"""Airflow, with what the chart tells it, pushes a trace of a run to whoever listens there. No cluster is asked.

The receiver is a few lines: it reads the protocol with OpenTelemetry's own library, and no collector can be had here.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from local import airflow
from support.rendering import telemetry

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


@contextmanager
def receiver() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """The address of a receiver of traces, and the spans that came: names, and the traces that they are of."""
    spans: list[tuple[str, bytes]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                spans.extend((span.name, span.trace_id) for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/traces", spans
        server.shutdown()


def test_a_run_is_one_trace_with_a_span_of_each_task(charts: Path, tmp_path: Path) -> None:
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "traced.py").write_text(DAG)
    environment = {**os.environ, **airflow.environment(tmp_path / "airflow"), "AIRFLOW__CORE__DAGS_FOLDER": str(dags)}
    airflow.migrate(environment)
    run = [sys.executable, "-m", "airflow", "dags", "test", "traced"]
    with receiver() as (endpoint, spans):
        subprocess.run(run, env={**environment, **telemetry("traces", endpoint)}, check=True, timeout=300)
    assert len({trace for _, trace in spans}) == 1
    assert {name for name, _ in spans} == {"dag_run.traced", "task_run.one", "task_run.two"}


def test_nothing_is_told_by_default(charts: Path) -> None:
    assert telemetry("traces", "") == {}

"""What the streaming jobs tell Prometheus, read over HTTP as Prometheus reads it."""

import json
import math
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from prometheus_client.parser import text_string_to_metric_families

from clients.retry import until
from contracts.errors import PlatformError
from contracts.events import CLICKS
from contracts.settings import Settings
from jobs.streaming import metrics as module
from jobs.streaming.metrics import LAG, SPARKS, Ends, Metrics, lag
from local.ports import Ports
from local.servers import SERVERS
from local.site import ROOT
from local.stack import Stack


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def scrape(port: int) -> dict[str, float]:
    """Samples by name and outcome."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        text = page.read().decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert {sample.labels["query"] for sample in samples} == {"ingest"}
    return {" ".join([sample.name, sample.labels.get("outcome", "")]).strip(): sample.value for sample in samples}


def test_a_job_counts_its_batches_from_zero(port: int) -> None:
    metrics = Metrics("ingest", ("landed", "dead_letters"))
    metrics.serve("127.0.0.1", port)
    before = scrape(port)
    assert before["ecommerce_stream_records_total landed"] == 0
    assert before["ecommerce_stream_records_total dead_letters"] == 0
    assert math.isnan(before["ecommerce_stream_lag_records"])
    time.sleep(0.01)
    for counts in ({"landed": 3, "dead_letters": 1}, {"landed": 4, "dead_letters": 0}):
        with metrics.batch():
            metrics.add(counts)
    after = scrape(port)
    assert after["ecommerce_stream_records_total landed"] == 7
    assert after["ecommerce_stream_records_total dead_letters"] == 1
    assert after["ecommerce_stream_batch_seconds_count"] == 2
    name = "ecommerce_stream_last_batch_timestamp_seconds"
    assert before[name] < after[name] <= time.time()


def test_a_batch_that_fails_is_no_progress(port: int) -> None:
    metrics = Metrics("ingest", ("landed",))
    metrics.serve("127.0.0.1", port)
    before = scrape(port)
    with pytest.raises(OSError, match="disk"), metrics.batch():
        raise OSError("disk")
    assert scrape(port)["ecommerce_stream_batch_seconds_count"] == 0
    name = "ecommerce_stream_last_batch_timestamp_seconds"
    assert scrape(port)[name] == before[name]


def test_sparks_own_metrics_are_served_beside_and_nothing_else_of_its_page(port: int) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"asked_{self.path.strip('/').replace('/', '_')} 1\n".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    def ask(path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    metrics = Metrics("ingest", ("landed",))
    metrics.serve("127.0.0.1", port)
    with pytest.raises(urllib.error.HTTPError, match="502"):
        ask(SPARKS[0])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    metrics.spark_page = f"http://127.0.0.1:{server.server_port}"
    assert [ask(f"{path}?kill=1") for path in SPARKS] == [
        "asked_metrics_prometheus 1\n",
        "asked_metrics_executors_prometheus 1\n",
    ]
    for path in ("/jobs/job/kill/?id=1", "/metrics/prometheus/../../jobs", "/metrics"):
        assert "asked" not in ask(path)
    server.shutdown()
    server.server_close()
    with pytest.raises(urllib.error.HTTPError, match="502"):
        ask(SPARKS[0])


def test_the_lag_is_over_all_partitions_and_never_below_zero() -> None:
    handled = {"clicks": {"0": 10, "1": 5}, "purchases": {"0": 7}}
    assert lag(handled, {"clicks": {"0": 12, "1": 5}, "purchases": {"0": 10}}) == 5
    # A batch may end after the ends were asked for.
    assert lag(handled, {"clicks": {"0": 8, "1": 6}, "purchases": {"0": 7}}) == 1


def test_before_the_first_batch_nobody_is_asked(port: int) -> None:
    metrics = Metrics("ingest", ())
    metrics.serve("127.0.0.1", port)
    for nothing in (None, "null", "{}"):
        metrics.look(Ends(Settings(kafka_bootstrap="127.0.0.1:1")), nothing)
    assert math.isnan(scrape(port)[LAG])


@pytest.fixture
def kafka_alone() -> Iterator[Stack]:
    """A Kafka that may be restarted."""
    stack = Stack(
        ROOT / "build" / "test-kafka-restart", Ports.free(), tuple(one for one in SERVERS if one.name == "kafka")
    )
    stack.down(wipe=True)
    stack.up()
    yield stack
    stack.down(wipe=True)


def test_the_lag_is_known_again_after_kafka_has_restarted(
    port: int, kafka_alone: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LAG_SECONDS", 0)
    metrics, ends = Metrics("ingest", ()), Ends(kafka_alone.settings())
    metrics.serve("127.0.0.1", port)

    def seen() -> float:
        metrics.look(ends, json.dumps({CLICKS.topic: {"0": 0}}))
        return scrape(port)[LAG]

    until(seen, lambda lag: lag == 0, seconds=30, what="a lag that is known")
    kafka_alone.kill("kafka")
    assert math.isnan(seen())
    kafka_alone.up()
    until(seen, lambda lag: lag == 0, seconds=30, what="a lag that is known again")


def test_a_port_that_is_taken_is_said(port: int) -> None:
    Metrics("ingest", ()).serve("127.0.0.1", port)
    with pytest.raises(PlatformError, match=f"cannot serve metrics at 127.0.0.1:{port}"):
        Metrics("ingest", ()).serve("127.0.0.1", port)

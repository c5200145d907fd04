"""A real Prometheus sees the platform: every target of the PodMonitors is up, and an alert fires.

It runs on this machine and scrapes the pods through the API server's proxy, so it needs no way into the pods' network.
"""

import json
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import test_alerts
import yaml
from cluster.tools import tool
from conftest import NAMESPACE, Platform
from release.__main__ import VALUES

SECONDS = 240


def scrapes(platform: Platform, monitors: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Scrape configurations of the pods that the PodMonitors select."""
    access = platform.cluster.api.configuration
    host = urllib.parse.urlsplit(access.host)
    for monitor in monitors:
        labels = ",".join(f"{key}={value}" for key, value in monitor["spec"]["selector"]["matchLabels"].items())
        pods = platform.release.core.list_namespaced_pod(NAMESPACE, label_selector=labels).items
        assert pods, f"{monitor['metadata']['name']} selects no pod"
        for pod in pods:
            ports = {port.name: port.container_port for port in pod.spec.containers[0].ports}
            for endpoint in monitor["spec"]["podMetricsEndpoints"]:
                path = endpoint.get("path", "/metrics")
                target = f"{pod.metadata.name}:{ports[endpoint['port']]}"
                yield {
                    "job_name": f"{target}{path}",
                    "scheme": host.scheme,
                    "metrics_path": f"/api/v1/namespaces/{NAMESPACE}/pods/{target}/proxy{path}",
                    "tls_config": {
                        "ca_file": access.ssl_ca_cert,
                        "cert_file": access.cert_file,
                        "key_file": access.key_file,
                    },
                    # Hadoop and HBase give no type that Prometheus 3 knows.
                    "fallback_scrape_protocol": "PrometheusText0.0.4",
                    "static_configs": [
                        {"targets": [host.netloc], "labels": {"namespace": NAMESPACE, "pod": pod.metadata.name}}
                    ],
                    "metric_relabel_configs": endpoint.get("metricRelabelings", []),
                }


@pytest.fixture(scope="module")
def prometheus(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Any]]:
    """Asks a Prometheus that scrapes the platform and has its rules, a dead letter being enough to fire."""
    folder: Path = tmp_path_factory.mktemp("prometheus")
    manifests = test_alerts.render(VALUES, NAMESPACE, **{"global.monitoring.alerts.deadLetters": 0})
    (rule,) = [item for item in manifests if item["kind"] == "PrometheusRule"]
    (folder / "rules.yaml").write_text(yaml.safe_dump(rule["spec"]))
    configuration = {
        "global": {"scrape_interval": "5s", "evaluation_interval": "5s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": list(scrapes(platform, [item for item in manifests if item["kind"] == "PodMonitor"])),
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    command = [tool("prometheus"), f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data"]
    log = (folder / "log").open("w")
    process = subprocess.Popen([*command, f"--web.listen-address={address}"], stderr=log)

    def ask(path: str) -> Any:
        with urllib.request.urlopen(f"http://{address}/api/v1/{path}", timeout=10) as answer:
            return json.load(answer)["data"]

    deadline = time.monotonic() + 60
    while True:
        try:
            ask("status/buildinfo")
            break
        except OSError:
            assert process.poll() is None, (folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, "Prometheus does not answer after a minute"
            time.sleep(0.5)
    yield ask
    process.terminate()
    process.wait(30)
    log.close()


def until(ask: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + SECONDS
    while not good(found := ask()):
        assert time.monotonic() < deadline, f"after {SECONDS} s: {found}"
        time.sleep(3)
    return found


def query(ask: Callable[[str], Any], expression: str) -> list[float]:
    found = ask(f"query?query={urllib.parse.quote(expression)}")["result"]
    return [float(series["value"][1]) for series in found]


def test_every_target_is_up(prometheus: Callable[[str], Any]) -> None:
    def down() -> dict[str, str]:
        targets = prometheus("targets?state=active")["activeTargets"]
        return {item["scrapePool"]: item["lastError"] for item in targets if item["health"] != "up"}

    assert until(down, lambda found: not found) == {}


@pytest.mark.parametrize(
    "expression",
    [
        'ecommerce_stream_records_total{query="ingest",outcome="landed"} > 0',
        'ecommerce_stream_records_total{query="speed",outcome="events"} > 0',
        "ecommerce_stream_lag_records >= 0",
        "time() - ecommerce_stream_last_batch_timestamp_seconds < 120",
        "fs_namesystem_blocks_total > 0",
        "fs_namesystem_under_replicated_blocks >= 0",
        "fs_namesystem_missing_blocks == 0",
        "kafka_server_replicamanager_underreplicatedpartitions == 0",
        "ecommerce_generator_rate > 0",
    ],
)
def test_metrics_have_sensible_values(prometheus: Callable[[str], Any], expression: str) -> None:
    until(lambda: query(prometheus, expression), bool)


def test_an_alert_fires(prometheus: Callable[[str], Any]) -> None:
    def firing() -> set[str]:
        return {item["labels"]["alertname"] for item in prometheus("alerts")["alerts"] if item["state"] == "firing"}

    assert "MissingBlocks" not in until(firing, lambda found: "DeadLetters" in found)

"""A real Prometheus with the chart's alert rules, which scrapes the pods that the chart's PodMonitors select.

It runs on this machine and scrapes through the API server's proxy, so it needs no way into the pods' network. It is
told anew which pods there are at each question, as the Prometheus operator would tell it.
"""

import json
import signal
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import test_alerts
import yaml
from cluster.tools import tool
from kubernetes import client
from release.__main__ import VALUES
from release.workloads import Release

SCRAPE_SECONDS = 5


@dataclass
class Prometheus:
    """A server that listens on ``address`` and reads its configuration in ``folder``."""

    release: Release
    folder: Path
    address: str
    monitors: list[dict[str, Any]]
    process: subprocess.Popen[bytes]
    _targets: list[dict[str, Any]] = field(default_factory=list)

    def ask(self, path: str) -> Any:
        """The data of an answer of its HTTP API."""
        self._retarget()
        with urllib.request.urlopen(f"http://{self.address}/api/v1/{path}", timeout=10) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[float]:
        """The values of the series that an expression gives now."""
        found = self.ask(f"query?query={urllib.parse.quote(expression)}")["result"]
        return [float(series["value"][1]) for series in found]

    def down(self) -> dict[str, str]:
        """The targets that are not up, and why; those that it does not know yet among them."""
        known = {item["scrapePool"]: item for item in self.ask("targets?state=active")["activeTargets"]}
        wanted = {item["job_name"] for item in self._targets}
        found = {name: "not known yet" for name in wanted - set(known)}
        return found | {name: item["lastError"] for name, item in known.items() if item["health"] != "up"}

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        return {item["labels"]["alertname"] for item in self.ask("alerts")["alerts"] if item["state"] == "firing"}

    def _retarget(self) -> None:
        found = targets(self.release, self.monitors)
        if found != self._targets:
            self._targets = found
            (self.folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration(found)))
            self.process.send_signal(signal.SIGHUP)


def targets(release: Release, monitors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Scrape configurations of the pods that run and that the PodMonitors select."""
    return [
        scrape(release, monitor["metadata"]["name"], pod, endpoint)
        for monitor in monitors
        for pod in selected(release, monitor["spec"]["selector"]["matchLabels"])
        for endpoint in monitor["spec"]["podMetricsEndpoints"]
    ]


def selected(release: Release, labels: dict[str, str]) -> list[client.V1Pod]:
    """The pods with these labels that run."""
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    pods: list[client.V1Pod] = release.core.list_namespaced_pod(release.namespace, label_selector=selector).items
    return [pod for pod in pods if pod.status.phase == "Running"]


def scrape(release: Release, monitor: str, pod: client.V1Pod, endpoint: dict[str, Any]) -> dict[str, Any]:
    """The scrape configuration of a pod's endpoint."""
    access = release.api.configuration
    host = urllib.parse.urlsplit(access.host)
    path = endpoint.get("path", "/metrics")
    ports = {port.name: port.container_port for port in pod.spec.containers[0].ports}
    target = f"{pod.metadata.name}:{ports[endpoint['port']]}"
    labels = {"namespace": release.namespace, "pod": pod.metadata.name, "monitor": monitor}
    return {
        "job_name": f"{target}{path}",
        "scheme": host.scheme,
        "metrics_path": f"/api/v1/namespaces/{release.namespace}/pods/{target}/proxy{path}",
        "tls_config": {"ca_file": access.ssl_ca_cert, "cert_file": access.cert_file, "key_file": access.key_file},
        # Hadoop and HBase give no type that Prometheus 3 knows.
        "fallback_scrape_protocol": "PrometheusText0.0.4",
        "static_configs": [{"targets": [host.netloc], "labels": labels}],
        "metric_relabel_configs": endpoint.get("metricRelabelings", []),
    }


def configuration(scrapes: list[dict[str, Any]]) -> dict[str, Any]:
    """Prometheus' configuration file."""
    every = f"{SCRAPE_SECONDS}s"
    return {
        "global": {"scrape_interval": every, "evaluation_interval": every},
        "rule_files": ["rules.yaml"],
        "scrape_configs": scrapes,
    }


@contextmanager
def prometheus(release: Release, folder: Path, **alerts: int) -> Iterator[Prometheus]:
    """One that runs, with these values of ``global.monitoring.alerts``."""
    values = {f"global.monitoring.alerts.{name}": value for name, value in alerts.items()}
    manifests = test_alerts.render(VALUES, release.namespace, **values)
    (rule,) = [item for item in manifests if item["kind"] == "PrometheusRule"]
    (folder / "rules.yaml").write_text(yaml.safe_dump(rule["spec"]))
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration([])))
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    command = [tool("prometheus"), f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address={address}"], stderr=log)
        try:
            _wait(process, address, folder / "log")
            monitors = [item for item in manifests if item["kind"] == "PodMonitor"]
            yield Prometheus(release, folder, address, monitors, process)
        finally:
            process.terminate()
            process.wait(30)


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"http://{address}/-/ready", timeout=10).close()
            return
        except OSError:
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < deadline, "Prometheus is not ready after a minute"
            time.sleep(0.5)

"""A real Prometheus with the chart's alert rules, which scrapes the pods that the chart's PodMonitors select.

It runs on this machine and scrapes through the API server's proxy, so it needs no way into the pods' network. It is
told anew which pods there are at each question, as the Prometheus operator would tell it.
"""

import json
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client

from clients.retry import until
from deploy.dashboards.boards import BOARDS
from deploy.install import VALUES
from deploy.tools import folder, tool
from deploy.workloads import Release
from support.rendering import of, render_monitored

SCRAPE_SECONDS = 5


@dataclass
class Prometheus:
    """A server that listens on ``address``, reads its configuration in ``folder`` and scrapes for these PodMonitors."""

    release: Release
    folder: Path
    address: str
    monitors: list[dict[str, Any]]

    def ask(self, path: str) -> Any:
        """The data of an answer of its HTTP API."""
        discover(self.release, self.monitors, self.folder)
        return self._get(path)

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://{self.address}/api/v1/{path}", timeout=10) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[float]:
        """The values of the series that an expression gives now."""
        found = self.ask(f"query?query={urllib.parse.quote(expression)}")["result"]
        return [float(series["value"][1]) for series in found]

    def silent(self, expressions: Collection[str]) -> set[str]:
        """Those of the expressions that answer nothing now; the pods are looked for once, not for each."""
        discover(self.release, self.monitors, self.folder)
        return {asked for asked in expressions if not self._get(f"query?query={urllib.parse.quote(asked)}")["result"]}

    def down(self) -> dict[str, str]:
        """The targets that are not up, and why; those that it does not know yet among them."""
        wanted = {path for pods in discover(self.release, self.monitors, self.folder).values() for path in pods}
        active = self._get("targets?state=active")["activeTargets"]
        known = {item["discoveredLabels"]["__metrics_path__"]: item for item in active}
        found = {path: "not known yet" for path in wanted - set(known)}
        return found | {path: item["lastError"] for path, item in known.items() if item["health"] != "up"}

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        return {item["labels"]["alertname"] for item in self.ask("alerts")["alerts"] if item["state"] == "firing"}


def expressions(quiet: bool, namespace: str = "shop") -> set[str]:
    """What Grafana's dashboards ask, its variables filled in; ``quiet``: also where no answer is right."""
    return {
        query.replace("$namespace", namespace).replace("$__rate_interval", "1m")
        for board in BOARDS
        for panel in board.panels
        if quiet or not panel.quiet
        for query in panel.queries.values()
    }


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Prometheus' own tool, with the same evaluation as the server's."""
    return subprocess.run([folder("prometheus") / "promtool", *arguments], capture_output=True, text=True)


def evaluates(where: Path, series: Mapping[str, str], expression: str, value: float, *rules: str) -> None:
    """Fails unless an expression gives this value 40 minutes after series began that have a value each minute.

    ``where``: a folder for promtool's input, with the files ``rules`` in it.
    """
    expected = [{"labels": "{}", "value": value}]
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": expression, "eval_time": "40m", "exp_samples": expected}],
    }
    (where / "tests.yaml").write_text(yaml.safe_dump({"rule_files": list(rules), "tests": [test]}))
    done = promtool("test", "rules", str(where / "tests.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr


def endpoints(monitors: list[dict[str, Any]]) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """The PodMonitors' endpoints, each with its monitor, by a name that a file may have."""
    return {
        f"{monitor['metadata']['name']}-{number}": (monitor, endpoint)
        for monitor in monitors
        for number, endpoint in enumerate(monitor["spec"]["podMetricsEndpoints"])
    }


def discover(release: Release, monitors: list[dict[str, Any]], folder: Path) -> dict[str, dict[str, str]]:
    """Tells which pods there are, as service discovery would: for each endpoint a pod by its path on the API server."""
    found = {}
    for name, (monitor, endpoint) in endpoints(monitors).items():
        pods = selected(release, monitor["spec"]["selector"]["matchLabels"])
        found[name] = {proxy(release, pod, endpoint): pod.metadata.name for pod in pods}
        labels = {"namespace": release.namespace, "monitor": monitor["metadata"]["name"]}
        host = urllib.parse.urlsplit(release.api.configuration.host).netloc
        targets = [
            {"targets": [host], "labels": {**labels, "pod": pod, "__metrics_path__": path}}
            for path, pod in found[name].items()
        ]
        # Prometheus reads while this writes: a renamed file is there whole.
        written = folder / f"{name}.new"
        written.write_text(json.dumps(targets))
        written.rename(folder / f"{name}.json")
    return found


def selected(release: Release, labels: dict[str, str]) -> list[client.V1Pod]:
    """The pods with these labels that run."""
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    pods: list[client.V1Pod] = release.core.list_namespaced_pod(release.namespace, label_selector=selector).items
    return [pod for pod in pods if pod.status.phase == "Running"]


def proxy(release: Release, pod: client.V1Pod, endpoint: dict[str, Any]) -> str:
    """The path on the API server that leads to a pod's endpoint."""
    ports = {port.name: port.container_port for container in pod.spec.containers for port in container.ports or []}
    target = f"{pod.metadata.name}:{ports[endpoint['port']]}"
    return f"/api/v1/namespaces/{release.namespace}/pods/{target}/proxy{endpoint.get('path', '/metrics')}"


def configuration(release: Release, monitors: list[dict[str, Any]]) -> dict[str, Any]:
    """Prometheus' configuration file."""
    every, access = f"{SCRAPE_SECONDS}s", release.api.configuration
    return {
        "global": {"scrape_interval": every, "evaluation_interval": every},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [
            {
                "job_name": name,
                "scheme": urllib.parse.urlsplit(access.host).scheme,
                "tls_config": {
                    "ca_file": access.ssl_ca_cert,
                    "cert_file": access.cert_file,
                    "key_file": access.key_file,
                },
                # Hadoop and HBase give no type that Prometheus 3 knows.
                "fallback_scrape_protocol": "PrometheusText0.0.4",
                "file_sd_configs": [{"files": [f"{name}.json"]}],
                "metric_relabel_configs": endpoint.get("metricRelabelings", []),
            }
            for name, (_, endpoint) in endpoints(monitors).items()
        ],
    }


@contextmanager
def prometheus(release: Release, folder: Path, **alerts: int) -> Iterator[Prometheus]:
    """One that runs, with these values of ``global.monitoring.alerts``."""
    values = {f"global.monitoring.alerts.{name}": value for name, value in alerts.items()}
    manifests = render_monitored(VALUES, release.namespace, **values)
    (rule,) = of(manifests, "PrometheusRule").values()
    (folder / "rules.yaml").write_text(yaml.safe_dump(rule["spec"]))
    monitors = [*of(manifests, "PodMonitor").values()]
    discover(release, monitors, folder)
    with serving(folder, configuration(release, monitors)) as address:
        yield Prometheus(release, folder, address, monitors)


@contextmanager
def serving(folder: Path, configuration: dict[str, Any], *flags: str) -> Iterator[str]:
    """The address of a server that runs with this configuration and keeps its data in ``folder``."""
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    command = [str(tool("prometheus")), f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address={address}", *flags], stderr=log)
        try:
            _wait(process, address, folder / "log")
            yield address
        finally:
            process.terminate()
            process.wait(30)


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    def ready() -> bool:
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            urllib.request.urlopen(f"http://{address}/-/ready", timeout=10).close()
        except OSError:
            return False
        return True

    until(ready, seconds=60, pause=0.5, what="Prometheus")

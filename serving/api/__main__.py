"""``python -m serving.api``: the HTTP API and the live page."""

import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import prometheus_client
import uvicorn

from clients.hbase import HBASE_SETTINGS
from clients.hdfs import HDFS_SETTINGS
from clients.sql import SQL_SETTINGS
from contracts.command import options, run, serving_metrics, with_settings
from contracts.errors import Mistake
from contracts.settings import PREFIX, Settings, setting
from serving.api import PORT
from serving.api.app import create_app
from serving.api.guarded import GuardedLayers
from serving.api.live import Live
from serving.api.login import USER, read_password
from serving.api.traced import trace_to
from serving.now import Now


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """How the API listens, and who may ask."""

    host: str = setting("127.0.0.1", "Address to listen at; 0.0.0.0 is every one.")
    port: int = setting(PORT, "Port to listen at.", click.IntRange(1, 65535))
    password_file: str = setting("", f"File with the password of user {USER}.")
    open: bool = setting(False, "Ask nobody for a password.")
    traces_endpoint: str = setting(
        "", "Push OpenTelemetry's traces there: http://COLLECTOR:4318/v1/traces; empty pushes none."
    )
    metrics_host: str = setting("127.0.0.1", "Address to serve metrics at; 0.0.0.0 is every one.")
    metrics_port: int = setting(0, "Serve Prometheus metrics at this port; 0 serves none.", click.IntRange(0, 65535))


@click.command()
@with_settings(*SQL_SETTINGS, *HDFS_SETTINGS, *HBASE_SETTINGS)
@options(ApiSettings, "api", prefix=f"{PREFIX}API_")
def main(settings: Settings, api: ApiSettings) -> None:
    """Serve the merged views over HTTP, and the shop's live page at /.

    Read only. Runs until it is stopped; what is behind it may come and go.
    """
    if api.open == bool(api.password_file):
        raise Mistake("give either --password-file, with the password that readers need, or --open for an API without")
    password = None if api.open else read_password(Path(api.password_file))
    layers = GuardedLayers(settings)
    app = create_app(layers, Live(Now(GuardedLayers(settings))), password)
    if api.traces_endpoint:
        trace_to(app, api.traces_endpoint)
    if api.metrics_port:
        with serving_metrics(api.metrics_host, api.metrics_port):
            prometheus_client.start_http_server(api.metrics_port, api.metrics_host)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))  # uvicorn, once it has ended for it, raises it again
    uvicorn.run(
        app,
        host=api.host,
        port=api.port,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    run(main)

"""Receivers of what is pushed: of OpenTelemetry's traces, read with OpenTelemetry's own library, and of anything.

No collector can be had here.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Span(NamedTuple):
    """What is told of a piece of work: ids of the trace, of itself and of the one around it; attributes as text."""

    name: str
    trace: bytes
    id: bytes
    parent: bytes
    text: str


@contextmanager
def receiver(take: Callable[[str, bytes], None]) -> Iterator[str]:
    """The address of a server that gives ``take`` the path and the body of each POST."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            take(self.path, self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def collector() -> Iterator[tuple[str, list[Span]]]:
    """The address for traces, and the spans that came."""
    spans: list[Span] = []

    def take(_: str, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            spans.extend(
                Span(one.name, one.trace_id, one.span_id, one.parent_span_id, f"{resource.resource}{one}")
                for scope in resource.scope_spans
                for one in scope.spans
            )

    with receiver(take) as address:
        yield f"{address}/v1/traces", spans

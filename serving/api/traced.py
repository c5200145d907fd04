"""What the API does for a request, as OpenTelemetry has it: a span of it, and one of each question to a server."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from fastapi import FastAPI
from opentelemetry import trace

SERVICE: Final = "ecommerce-serving"
UNTRACED: Final = "healthz,live"
"""The kubelet's questions, and streams that last as long as somebody listens."""
TRACER: Final = trace.get_tracer(__name__)


def trace_to(app: FastAPI, endpoint: str) -> None:
    """Pushes spans to an OTLP/HTTP receiver (``http://COLLECTOR:4318/v1/traces``), in batches, from its own thread.

    A trace that a caller began (header ``traceparent``) is gone on with. What the receiver does not take is lost.
    """
    # Half of what the API takes to start, and off by default.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: SERVICE}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(provider)
    FastAPIInstrumentor.instrument_app(
        app, tracer_provider=provider, excluded_urls=UNTRACED, exclude_spans=["receive", "send"]
    )


@contextmanager
def asking(server: str) -> Iterator[None]:
    """A span of a question to a server, within that of a request that is traced; without one, nothing."""
    if not trace.get_current_span().is_recording():
        yield
        return
    with TRACER.start_as_current_span(f"ask {server}"):
        yield

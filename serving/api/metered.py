"""What is asked of the API and how long it takes, for Prometheus."""

import time
from typing import Final

from prometheus_client import Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NO_PATH: Final = "none"
"""The label of all that is no path of the API: what is not there, the page's files, what is refused without a login."""
STREAMS: Final = frozenset({"/live"})
"""Last as long as somebody listens."""
ANSWERS: Final = Histogram(
    "ecommerce_api_request_seconds",
    "What an answer took, by path and status",
    ["path", "status"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25),
)


class Metered:
    """Times each answer of an app."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, began = 500, time.perf_counter()

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, told)
        finally:
            path = getattr(scope.get("route"), "path", NO_PATH)
            if path not in STREAMS:
                ANSWERS.labels(path, str(status)).observe(time.perf_counter() - began)

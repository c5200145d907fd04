"""The live stream: one poller for all listeners, each second what changed.

A listener gets the whole state (``serving.now``) as event ``snapshot``, then each second the changed sections as event
``change``.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import structlog
from prometheus_client import Gauge
from sse_starlette import ServerSentEvent
from sse_starlette.sse import AppStatus

from serving.now import Now, Section

TICK_SECONDS: Final = 1.0
BEHIND_EVENTS: Final = 10
"""A listener that is so many events behind gets the whole state in their place."""
log = structlog.get_logger()
_listeners = Gauge("ecommerce_api_live_listeners", "Who listens to /live now")
_seconds = Gauge("ecommerce_api_live_poll_seconds", "What the newest look at the layers took")


class Live:
    """Looks each second while :meth:`running`, if somebody listens."""

    def __init__(self, now: Now) -> None:
        self._now = now
        self._listeners: set[asyncio.Queue[ServerSentEvent | None]] = set()
        self._wanted, self._looked = asyncio.Event(), asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "live")  # one, for its connections

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Looks each second until the end, while somebody listens."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            self._thread.shutdown(wait=False)

    async def events(self) -> AsyncIterator[ServerSentEvent]:
        """The events of one listener, until the server ends."""
        queue: asyncio.Queue[ServerSentEvent | None] = asyncio.Queue(BEHIND_EVENTS)
        self._listeners.add(queue)
        _listeners.set(len(self._listeners))
        self._wanted.set()
        try:
            await self._looked.wait()
            yield self._snapshot()
            while event := await queue.get():
                yield event
        finally:
            self._listeners.discard(queue)
            _listeners.set(len(self._listeners))

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not self._listeners:
                self._looked.clear()
                self._wanted.clear()
                await self._wanted.wait()
            began = time.monotonic()
            try:
                self._tell(await loop.run_in_executor(self._thread, self._now.look))
                self._looked.set()
            except Exception as error:  # the page must go on
                log.error("the live state is not known", exc_info=error)
            if AppStatus.should_exit:
                self._end()
            _seconds.set(time.monotonic() - began)
            await asyncio.sleep(max(0.05, TICK_SECONDS - (time.monotonic() - began)))

    def _tell(self, changed: dict[str, Section]) -> None:
        if not self._looked.is_set():
            return  # all who listen are new, and get the whole state
        event = ServerSentEvent(_json(changed), event="change")
        for queue in self._listeners:
            if queue.full():
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(self._snapshot())
            else:
                queue.put_nowait(event)

    def _end(self) -> None:
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    def _snapshot(self) -> ServerSentEvent:
        return ServerSentEvent(_json(self._now.state), event="snapshot")


def _json(state: dict[str, Section]) -> str:
    return msgspec.json.encode(state).decode()

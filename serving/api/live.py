"""What the live page shows, kept current: one poller for all listeners, each second what changed.

The state is a document of sections (``Live.state``). A listener gets the whole of it as event ``snapshot``, then each
changed section as event ``change``; where a server does not answer, its sections stay and ``away`` says since when.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec
import structlog
from prometheus_client import Gauge
from sse_starlette import ServerSentEvent

from contracts.errors import PlatformError
from contracts.events import critical, timestamp
from contracts.hbase import NOTHING
from serving import views
from serving.api import figures
from serving.layers import Layers
from serving.views import PeriodRevenue, Step

TICK_SECONDS: Final = 1.0
MINUTES: Final = 60
"""How many of the last minutes are shown."""
CHANGING: Final = timedelta(minutes=15)
"""Of the last minutes those that change: the watermark's, and what a slow batch is behind."""
NEWEST_ALERTS: Final = 20
WORST_STOCK: Final = 20
BEHIND_EVENTS: Final = 10
"""A listener that is so many events behind gets the whole state in their place."""
Section = dict[str, Any]
log = structlog.get_logger()
_listeners = Gauge("ecommerce_api_live_listeners", "Who listens to /live now")
_seconds = Gauge("ecommerce_api_live_poll_seconds", "What the newest look at the layers took")


class Live:
    """The state, looked at anew each second while :meth:`running`."""

    def __init__(self, layers: Layers, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._layers, self._clock = layers, clock
        self.state: dict[str, Section] = {}
        self._away: dict[str, str] = {}
        self._day: date | None = None
        self._minutes: dict[datetime, PeriodRevenue] = {}
        self._before: list[PeriodRevenue] = []
        self._due: dict[str, float] = {}
        self._listeners: set[asyncio.Queue[ServerSentEvent]] = set()
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
        """The events of one listener, without an end."""
        queue: asyncio.Queue[ServerSentEvent] = asyncio.Queue(BEHIND_EVENTS)
        self._listeners.add(queue)
        _listeners.set(len(self._listeners))
        self._wanted.set()
        try:
            await self._looked.wait()
            yield self._snapshot()
            while True:
                yield await queue.get()
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
                self._tell(await loop.run_in_executor(self._thread, self.look))
                self._looked.set()
            except Exception as error:  # the page must go on
                log.error("the live state is not known", exc_info=error)
            _seconds.set(time.monotonic() - began)
            await asyncio.sleep(max(0.05, TICK_SECONDS - (time.monotonic() - began)))

    def _tell(self, changed: dict[str, Section]) -> None:
        event = ServerSentEvent(_json(changed), event="change")
        if not self._looked.is_set():
            return  # all who listen are new, and get the whole state
        for queue in self._listeners:
            if queue.full():
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(self._snapshot())
            else:
                queue.put_nowait(event)

    def _snapshot(self) -> ServerSentEvent:
        return ServerSentEvent(_json(self.state), event="snapshot")

    def look(self) -> dict[str, Section]:
        """Asks the layers for what is due, and returns the sections that changed, ``clock`` always."""
        now = self._clock()
        if now.date() != self._day:
            self._day, self._minutes, self._before, self._due = now.date(), {}, [], {}
        looks: dict[str, tuple[float, Callable[[datetime], Section]]] = {
            "revenue": (0, self._revenue),
            "alerts": (0, self._alerts),
            "before": (60, self._weekday_before),
            "stock": (10, self._stock),
            "fresh": (5, self._fresh),
        }
        changed: dict[str, Section] = {}
        for name, (pause, look) in looks.items():
            if time.monotonic() < self._due.get(name, 0):
                continue
            try:
                section = look(now)
            except PlatformError as error:
                self._away.setdefault(name, timestamp(now))
                log.warning("not answered", section=name, error=str(error))
                continue
            self._away.pop(name, None)
            self._due[name] = time.monotonic() + pause
            if self.state.get(name) != section:
                changed[name] = self.state[name] = section
        changed["clock"] = self.state["clock"] = {"now": timestamp(now), "day": f"{now.date()}", "away": {**self._away}}
        return changed

    def _revenue(self, now: datetime) -> Section:
        """Today's totals, and the last minutes."""
        midnight, until = Step.DAY.floor(now), Step.MINUTE.floor(now) + timedelta(minutes=1)
        every = time.monotonic() >= self._due.get("every minute", 0)
        start = midnight if every else max(midnight, until - CHANGING)
        self._minutes |= {period.start: period for period in views.revenue(self._layers, start, until, now)}
        if every:  # a late purchase may be of any minute
            self._due["every minute"] = time.monotonic() + 10
        today = list(self._minutes.values())
        first = until - timedelta(minutes=MINUTES)
        shown = [(first + timedelta(minutes=number)) for number in range(MINUTES)]
        yesterdays = {period.start: period for period in self._last_of_yesterday(first, midnight, now)}
        known = self._minutes | yesterdays
        return {
            "revenue": sum((period.revenue for period in today), NOTHING),
            "purchases": sum(period.purchases for period in today),
            "late": sum((period.late for period in today), NOTHING),
            "minutes": [
                [timestamp(minute), known[minute].revenue if minute in known else NOTHING,
                 known[minute].purchases if minute in known else 0]
                for minute in shown
            ],
        }  # fmt: skip

    def _last_of_yesterday(self, first: datetime, midnight: datetime, now: datetime) -> list[PeriodRevenue]:
        """In the first hour of a day the last minutes are yesterday's too."""
        return views.revenue(self._layers, first, midnight, now) if first < midnight else []

    def _alerts(self, now: datetime) -> Section:
        return figures.alerts(self._layers, NEWEST_ALERTS, "").model_dump(mode="json")

    def _weekday_before(self, now: datetime) -> Section:
        """The same weekday a week ago: until this minute, and in all."""
        start = Step.DAY.floor(now) - timedelta(days=7)
        if not self._before:
            self._before = views.revenue(self._layers, start, start + timedelta(days=1), now)
        same = now - timedelta(days=7)
        return {
            "day": f"{start.date()}",
            "until_now": sum((period.revenue for period in self._before if period.start <= same), NOTHING),
            "revenue": sum((period.revenue for period in self._before), NOTHING),
        }

    def _stock(self, now: datetime) -> Section:
        """How many are critical, and the worst."""
        found = [
            (state.level - state.threshold, product, warehouse, state)
            for (product, warehouse), state in self._layers.stocks().items()
            if critical(state.level, state.threshold)
        ]
        worst = sorted(found, key=lambda one: one[:3])[:WORST_STOCK]
        return {
            "critical": len(found),
            "worst": [
                {"product_id": product, "warehouse": warehouse, "level": state.level, "threshold": state.threshold}
                for _, product, warehouse, state in worst
            ],
        }

    def _fresh(self, now: datetime) -> Section:
        found = figures.freshness(self._layers, now).model_dump(mode="json")
        return {name: value for name, value in found.items() if name != "as_of"}


def _json(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=_encode).decode()


def _encode(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    raise NotImplementedError

"""What the shop's owner looks at, kept current: sections of figures, each looked at as often as it changes.

Shown by the live page (``serving.api``) and in the terminal (``python -m serving watch``).
"""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec
import structlog

from contracts.errors import PlatformError
from contracts.events import critical, from_epoch_ms, timestamp
from contracts.hbase import NONE_BOUGHT, NOTHING, Sales, Sold, add_sales, add_traffic, by_country
from serving import days, views
from serving.layers import Layers
from serving.views import PeriodRevenue, Step

MINUTES: Final = 60
"""How many of the last minutes are shown."""
CHANGING: Final = timedelta(minutes=15)
"""Of the last minutes those that change: the watermark's, and what a slow batch is behind."""
EVERY_SALE_SECONDS: Final = 60
"""After how long all of today's sales are looked at again: a late purchase may be of any minute."""
NEWEST_ALERTS: Final = 20
WORST_STOCK: Final = 20
BESIDE_SECONDS: Final = 0.2
"""How long a look waits for what SQL has to answer."""
Section = dict[str, Any]
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Freshness:
    """How fresh each layer is; times are UTC, None where nothing has come yet.

    ``newest_landed``, ``newest_counted``: time of the newest event in the batch layer's files, and counted by the speed
    layer. ``landed_until``: all that Kafka had at this time is landed. ``open_days``: over, with rows, and not closed.
    """

    newest_landed: datetime | None
    newest_counted: datetime | None
    landed_until: datetime | None
    last_closed_day: date | None
    open_days: list[date]


def freshness(layers: Layers, now: datetime) -> Freshness:
    """Raises :class:`PlatformError` where a layer cannot be asked."""
    commit = layers.commit()
    over = days.over(commit.days, layers.first_kept(), now)
    marks = layers.marks(over)
    closed = [day for day, mark in marks.items() if mark and days.is_closed(day, mark, commit.days)]
    return Freshness(
        _newest(state.newest_ms for state in commit.partitions.values()),
        _newest(progress.newest_ms for progress in layers.progress().values()),
        layers.landed_until(),
        max(closed, default=None),
        [day for day in over if day not in closed],
    )


def _newest(times: Iterable[int | None]) -> datetime | None:
    known = [ms for ms in times if ms is not None]
    return from_epoch_ms(max(known)) if known else None


class Now:
    """The sections as of the newest :meth:`look`.

    ``revenue``, ``traffic``, ``sales``, ``alerts``, ``before``, ``stock``, ``fresh``, ``clock``.

    Where a server does not answer, its sections stay, and ``clock`` says since when they do (``away``).
    """

    def __init__(self, layers: Layers, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._layers, self._clock = layers, clock
        self.state: dict[str, Section] = {}
        self._away: dict[str, str] = {}
        self._day: date | None = None
        self._minutes: dict[datetime, PeriodRevenue] = {}
        self._sold: dict[datetime, Sales] = {}
        self._before: list[PeriodRevenue] = []
        self._due: dict[str, float] = {}
        self._beside = ThreadPoolExecutor(1, "beside")
        self._asked: Future[Section] | None = None

    def look(self) -> dict[str, Section]:
        """Asks the layers for what is due, and returns the sections that changed, ``clock`` always."""
        now = self._clock()
        if now.date() != self._day:
            self._day, self._minutes, self._sold, self._before, self._due = now.date(), {}, {}, [], {}
        looks: dict[str, tuple[float, Callable[[datetime], Section]]] = {
            "revenue": (0, self._revenue),
            "traffic": (2, self._traffic),
            "sales": (5, self._sales),
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
                section = self._in_time(name, look, now)
            except TimeoutError:
                continue  # it is still being asked; the other sections do not wait for it
            except PlatformError as error:
                if name not in self._away:
                    self._away[name] = timestamp(now)
                    log.warning("not answered", section=name, error=str(error))
                continue
            self._away.pop(name, None)
            self._due[name] = time.monotonic() + pause
            if self.state.get(name) != section:
                changed[name] = self.state[name] = section
        changed["clock"] = self.state["clock"] = {"now": timestamp(now), "day": f"{now.date()}", "away": {**self._away}}
        return changed

    def _in_time(self, name: str, look: Callable[[datetime], Section], now: datetime) -> Section:
        """A section; one that asks SQL is asked for beside the others. Raises ``TimeoutError`` until it is there."""
        if name != "before":
            return look(now)
        if not self._asked:
            self._asked = self._beside.submit(copy_context().run, look, now)
        wait([self._asked], BESIDE_SECONDS)
        if not self._asked.done():
            raise TimeoutError
        asked, self._asked = self._asked, None
        return asked.result()

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

    def _traffic(self, now: datetime) -> Section:
        """The last minutes' visitors, and what was seen and bought in all of them."""
        until = Step.MINUTE.floor(now) + timedelta(minutes=1)
        first = until - timedelta(minutes=MINUTES)
        known = {period.start: period for period in views.traffic(self._layers, first, until)}
        seen, sold = add_traffic(one.traffic for one in known.values()), add_sales(one.sales for one in known.values())
        unsold = Sold(*NONE_BOUGHT)
        categories = [
            {
                "category": category,
                "views": seen.categories.get(category, 0),
                "units": sold.get(category, unsold).units,
                "revenue": sold.get(category, unsold).amount,
            }
            for category in seen.categories.keys() | sold.keys()
        ]
        return {
            "minutes": [
                [timestamp(minute), known[minute].traffic.visitors if minute in known else 0]
                for minute in (first + timedelta(minutes=number) for number in range(MINUTES))
            ],
            "pages": seen.pages,
            "purchases": sum(one.purchases for one in sold.values()),
            "categories": sorted(views.affinity(categories, ("category",)), key=lambda row: row["category"]),
            "countries": seen.countries,
        }

    def _sales(self, now: datetime) -> Section:
        """Today's purchases by country."""
        midnight, until = Step.DAY.floor(now), Step.MINUTE.floor(now) + timedelta(minutes=1)
        every = time.monotonic() >= self._due.get("every sale", 0)
        start = midnight if every else max(midnight, until - CHANGING)
        self._sold |= self._layers.sales(start, until)
        if every:
            self._due["every sale"] = time.monotonic() + EVERY_SALE_SECONDS
        bought = by_country(add_sales(self._sold.values()))
        return {
            "countries": {
                country: {"revenue": one.amount, "units": one.units, "purchases": one.purchases}
                for country, one in bought.items()
            }
        }

    def _alerts(self, now: datetime) -> Section:
        return {"alerts": [msgspec.structs.asdict(alert) for _, alert in self._layers.alerts(NEWEST_ALERTS)]}

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
        found = freshness(self._layers, now)
        return {
            "newest_landed": found.newest_landed and timestamp(found.newest_landed),
            "newest_counted": found.newest_counted and timestamp(found.newest_counted),
            "landed_until": found.landed_until and timestamp(found.landed_until),
            "last_closed_day": found.last_closed_day and f"{found.last_closed_day}",
            "open_days": [f"{day}" for day in found.open_days],
        }

"""The API's figures: views of the layers in its own terms, without HTTP."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple, TypeVar

import msgspec

import serving.now
from contracts.errors import NotFound
from contracts.events import critical
from contracts.hbase import NOTHING, Bought, Stock, by_country
from serving import views
from serving.api import answers
from serving.days import Mark, end_of, is_closed
from serving.layers import Layers, Rows
from serving.views import RevenueView, Step

Row = TypeVar("Row")


class Tagged(NamedTuple):
    """An answer, and what it is made of where no event can change it while the marks stay: the days' marks."""

    answer: answers.Answer
    marks: dict[date, Mark] | None


def revenue(layers: Layers, start: datetime, end: datetime, step: Step, now: datetime) -> Tagged:
    """Revenue of ``[start, end)`` by the step."""
    view = views.revenue_view(layers, start, end, now, step)
    total, late, purchases = _totals(view)
    answer = answers.RevenueRange(
        start=start,
        end=end,
        revenue=total,
        purchases=purchases,
        late=late,
        closed_days=sorted(view.closed),
        periods=_periods(view),
    )
    final = len(view.closed) == len(views.days_of(start, end))
    return Tagged(answer, view.closed if final else None)


def today(layers: Layers, now: datetime) -> answers.Today:
    """The UTC day of ``now`` until then."""
    view = views.revenue_view(layers, Step.DAY.floor(now), Step.HOUR.floor(now) + timedelta(hours=1), now, Step.HOUR)
    total, late, purchases = _totals(view)
    return answers.Today(day=now.date(), as_of=now, revenue=total, purchases=purchases, late=late, hours=_periods(view))


def _totals(view: RevenueView) -> tuple[Decimal, Decimal, int]:
    return (
        sum((period.revenue for period in view.periods), NOTHING),
        sum((period.late for period in view.periods), NOTHING),
        sum(period.purchases for period in view.periods),
    )


def _periods(view: RevenueView) -> list[answers.Period]:
    return [
        answers.Period(
            start=period.start,
            revenue=period.revenue,
            purchases=period.purchases,
            late=period.late,
            source=period.source,
        )
        for period in view.periods
    ]


def traffic(layers: Layers, start: datetime, end: datetime, step: Step) -> answers.TrafficRange:
    """Clicks and purchases of ``[start, end)`` by the step."""
    periods = [
        answers.PeriodTraffic(
            start=period.start,
            sales=_bought(period.sales),
            sales_by_country=_bought(by_country(period.sales)),
            **msgspec.structs.asdict(period.traffic),
        )
        for period in views.traffic(layers, start, end, step)
    ]
    return answers.TrafficRange(start=start, end=end, periods=periods)


def sales(layers: Layers, chosen: list[date], now: datetime) -> Tagged:
    """Purchases of days by category and country."""
    view = views.sales_view(layers, chosen, now)
    answer = answers.Sales(
        days=chosen,
        closed_days=sorted(view.closed),
        categories=_bought(view.sales),
        countries=_bought(by_country(view.sales)),
        sales=[
            answers.Sale(
                category=category, country=country, revenue=one.amount, units=one.units, purchases=one.purchases
            )
            for category, sold in view.sales.items()
            for country, one in sold.by_country().items()
        ],
    )
    return Tagged(answer, view.closed if len(view.closed) == len(chosen) else None)


def _bought(found: Mapping[str, Bought]) -> dict[str, answers.Bought]:
    return {
        name: answers.Bought(revenue=one.amount, units=one.units, purchases=one.purchases)
        for name, one in found.items()
    }


def funnel(layers: Layers, chosen: list[date]) -> Tagged:
    """Home → Product → Purchase of the closed days of a range. Raises :class:`NotFound` where none is closed."""
    found = _closed(layers, "conversion_funnel", chosen)
    sessions: dict[tuple[int, str], int] = defaultdict(int)
    for row in found.rows:
        sessions[row["step"], row["name"]] += row["sessions"]
    steps: list[answers.FunnelStep] = []
    for (step, name), count in sorted(sessions.items()):
        first, previous = (steps[0], steps[-1]) if steps else (None, None)
        steps.append(
            answers.FunnelStep(
                step=step,
                name=name,
                sessions=count,
                of_first=views.share(count, first.sessions if first else count),
                of_previous=views.share(count, previous.sessions if previous else count),
            )
        )
    answer = answers.Funnel(days=sorted(found.marks), open_days=found.open_days, steps=steps)
    return Tagged(answer, found.final)


def categories(layers: Layers, chosen: list[date]) -> Tagged:
    """Categories viewed against bought. Raises as :func:`funnel`."""
    found = _closed(layers, "category_affinity", chosen)
    shown = [answers.CategoryAffinity(**figures) for figures in views.affinity(found.rows, ("category",))]
    answer = answers.CategoryAffinities(days=sorted(found.marks), open_days=found.open_days, categories=shown)
    return Tagged(answer, found.final)


def products(layers: Layers, chosen: list[date], category: str | None, offset: int, limit: int) -> Tagged:
    """A page of the products viewed against bought, of one category or all. Raises as :func:`funnel`."""
    found = _closed(layers, "product_affinity", chosen)
    every = [
        figures
        for figures in views.affinity(found.rows, ("product_id", "category"))
        if category is None or figures["category"] == category
    ]
    page, following = _page(every, offset, limit)
    answer = answers.ProductAffinities(
        days=sorted(found.marks),
        open_days=found.open_days,
        total=len(every),
        next_offset=following,
        products=[answers.ProductAffinity(**figures) for figures in page],
    )
    return Tagged(answer, found.final)


class _Closed(NamedTuple):
    """The rows of a mart of the closed days of a range, and what else the range has."""

    rows: Rows
    marks: dict[date, Mark]
    open_days: list[date]

    @property
    def final(self) -> dict[date, Mark] | None:
        return None if self.open_days else self.marks


def _closed(layers: Layers, table: str, chosen: list[date]) -> _Closed:
    settled = layers.settled(table, chosen)
    if not settled:
        raise NotFound(f"no day from {chosen[0]} to {chosen[-1]} is closed; the daily run closes a day after its end")
    marks = {day: found.mark for day, found in settled.items()}
    rows = [row for found in settled.values() for row in found.rows]
    return _Closed(rows, marks, [day for day in chosen if day not in settled])


def stock(layers: Layers, product: str) -> answers.ProductStock:
    """Raises :class:`NotFound` for a product whose stock never changed."""
    found = layers.stock(product)
    if not found:
        raise NotFound(f"no stock of product {product!r} is known")
    return answers.ProductStock(
        product_id=product, warehouses=[_level(product, name, state) for name, state in found.items()]
    )


def stocks(layers: Layers, warehouse: str | None, only_critical: bool, offset: int, limit: int) -> answers.Stocks:
    """A page of the stock of one warehouse or all, of critical products or all."""
    every = [
        _level(product, where, state)
        for (product, where), state in layers.stocks().items()
        if warehouse in (None, where) and (not only_critical or critical(state.level, state.threshold))
    ]
    page, following = _page(every, offset, limit)
    return answers.Stocks(total=len(every), next_offset=following, stock=page)


def _level(product: str, warehouse: str, state: Stock) -> answers.StockLevel:
    return answers.StockLevel(
        product_id=product,
        warehouse=warehouse,
        level=state.level,
        threshold=state.threshold,
        critical=critical(state.level, state.threshold),
        since=state.time,
    )


def profile(layers: Layers, user: str) -> answers.UserProfile:
    """Raises :class:`NotFound` for a user never seen."""
    found = layers.profile(user)
    if found is None:
        raise NotFound(f"user {user!r} was never seen")
    visit = found.visit
    return answers.UserProfile(
        user_id=user,
        visit=answers.Visit(**{name: getattr(visit, name) for name in answers.Visit.model_fields}) if visit else None,
        purchases=found.purchases,
        spent=found.amount,
        last_purchase=found.last_purchase,
    )


def alerts(layers: Layers, limit: int, after: str) -> answers.Alerts:
    """A page of alerts, newest first."""
    found = layers.alerts(limit, after)
    shown = [
        answers.StockAlert(**{name: getattr(alert, name) for name in answers.StockAlert.model_fields})
        for _, alert in found
    ]
    return answers.Alerts(next_after=found[-1][0] if len(found) == limit else None, alerts=shown)


def day_states(layers: Layers, chosen: list[date], now: datetime) -> answers.Days:
    """What the batch layer has made of each day."""
    newest, marks = layers.commit().days, layers.marks(chosen)
    return answers.Days(days=[_state(day, marks[day], newest, now) for day in chosen])


def _state(day: date, mark: Mark | None, newest: dict[str, int], now: datetime) -> answers.DayState:
    closed_at = mark.closed_at if mark else None
    if mark and is_closed(day, mark, newest):
        return answers.DayState(day=day, state="closed", closed_at=closed_at)
    if end_of(day) > now:
        return answers.DayState(day=day, state="running", closed_at=None)
    return answers.DayState(day=day, state="differs" if mark and mark.differs else "open", closed_at=closed_at)


def freshness(layers: Layers, now: datetime) -> answers.Freshness:
    """How fresh each layer is."""
    return answers.Freshness(as_of=now, **asdict(serving.now.freshness(layers, now)))


def _page(every: list[Row], offset: int, limit: int) -> tuple[list[Row], int | None]:
    """The rows of a page, and where the next begins."""
    end = offset + limit
    return every[offset:end], end if end < len(every) else None

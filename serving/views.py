"""Revenue of any range, batch where a day is closed, speed where it is not; traffic, which speed alone has."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Any, Final, Literal, TypeVar

from contracts.hbase import NOTHING, Bought, Revenue, Sales, Sold, Traffic, add_revenue, add_sales, add_traffic
from serving import days
from serving.days import Mark
from serving.layers import Layers, Rows

Part = TypeVar("Part")
_PLACES: Final = Decimal("0.0001")


class Step(StrEnum):
    """What a range is divided into."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    def floor(self, moment: datetime) -> datetime:
        """The start (UTC) of the step that a moment is in."""
        whole = moment.astimezone(UTC).replace(second=0, microsecond=0)
        if self is Step.MINUTE:
            return whole
        return whole.replace(minute=0) if self is Step.HOUR else whole.replace(hour=0, minute=0)


@dataclass(frozen=True, slots=True)
class PeriodRevenue:
    """Revenue (EUR) of a minute, hour or day that begins at ``start`` (UTC), and the purchases it is made of.

    ``late``: the part of ``revenue`` that came later than the watermark. The batch layer does not tell it apart.
    """

    start: datetime
    revenue: Decimal
    purchases: int
    late: Decimal
    source: Literal["batch", "speed"]


@dataclass(frozen=True, slots=True)
class RevenueView:
    """The periods with revenue, in order, and the marks of the closed days among those of the range."""

    periods: list[PeriodRevenue]
    closed: dict[date, Mark]


def revenue(
    layers: Layers, start: datetime, end: datetime, now: datetime, step: Step = Step.MINUTE
) -> list[PeriodRevenue]:
    """The periods in ``[start, end)`` with revenue, in order, each from one layer only; see :func:`revenue_view`."""
    return revenue_view(layers, start, end, now, step).periods


def revenue_view(
    layers: Layers, start: datetime, end: datetime, now: datetime, step: Step = Step.MINUTE
) -> RevenueView:
    """Revenue of ``[start, end)``, whose ends are whole steps, by the step.

    Batch answers for the days that are over at ``now`` and closed (see ``serving.days``), speed for the others. All
    times are aware. A layer that the range does not need is not asked. Raises :class:`PlatformError` when one that it
    needs cannot be asked.
    """
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    settled = layers.settled(_MARTS[step], days_of(start, min(end, Step.DAY.floor(now))))
    periods = [
        period
        for day, (_, rows) in settled.items()
        for period in _batch(day, rows, step)
        if start <= period.start < end
    ]
    for first, last in _by_day(start, end):
        if first.date() not in settled:
            periods += _speed(layers, first, last, step)
    closed = {day: mark for day, (mark, _) in settled.items()}
    return RevenueView(sorted(periods, key=lambda period: period.start), closed)


@dataclass(frozen=True, slots=True)
class PeriodTraffic:
    """Clicks and purchases of a minute, hour or day that begins at ``start`` (UTC), late ones too."""

    start: datetime
    traffic: Traffic
    sales: Sales


def traffic(layers: Layers, start: datetime, end: datetime, step: Step = Step.MINUTE) -> list[PeriodTraffic]:
    """The periods in ``[start, end)``, whose ends are whole steps, with clicks or purchases, in order.

    From speed alone. A user is a visitor of each minute with a click of theirs; hours and days add their minutes up.
    """
    visited, sold = _grouped(layers.traffic(start, end), step), _grouped(layers.sales(start, end), step)
    return [
        PeriodTraffic(period, add_traffic(visited.get(period, [])), add_sales(sold.get(period, [])))
        for period in sorted(visited.keys() | sold.keys())
    ]


@dataclass(frozen=True, slots=True)
class SalesView:
    """Purchases by category and country, late ones too, and the marks of the days that batch answered for."""

    sales: Sales
    closed: dict[date, Mark]


def sales_view(layers: Layers, chosen: list[date], now: datetime) -> SalesView:
    """Purchases of these days. Batch answers for the closed ones, as in :func:`revenue_view`, speed for the others.

    It answers also for days that were closed before there was a mart of these: they have no row there.
    """
    today = now.astimezone(UTC).date()
    settled = layers.settled("sales_daily", [day for day in chosen if day < today])
    batch = {day: found for day, found in settled.items() if found.rows}
    parts = [_sold(row) for found in batch.values() for row in found.rows]
    for day in chosen:
        if day not in batch:
            start = datetime.combine(day, time(), UTC)
            parts += layers.sales(start, start + timedelta(days=1)).values()
    return SalesView(add_sales(parts), {day: found.mark for day, found in batch.items()})


def _sold(row: dict[str, Any]) -> Sales:
    """A row of ``sales_daily``."""
    bought = row["revenue"], row["units"], row["purchases"]
    return {row["category"]: Sold(*bought, {row["country"]: Bought(*bought)})}


def affinity(rows: Rows, keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """The rows of several days added up, most viewed first; ``affinity`` as the marts' SQL computes it."""
    sums: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in rows:
        key = tuple(row[name] for name in keys)
        into = sums.setdefault(key, {**dict(zip(keys, key, strict=True)), "views": 0, "units": 0, "revenue": NOTHING})
        for name in ("views", "units", "revenue"):
            into[name] += row[name]
    views_in_all, units_in_all = (sum(row[name] for row in sums.values()) for name in ("views", "units"))
    for row in sums.values():
        row["affinity"] = share(row["units"] * views_in_all, row["views"] * units_in_all)
    return sorted(sums.values(), key=lambda row: (-row["views"], *(row[name] for name in keys)))


def share(part: int, whole: int) -> Decimal | None:
    """To four decimals, as the marts have shares; None of nothing."""
    return (Decimal(part) / whole).quantize(_PLACES, ROUND_HALF_UP) if whole else None


def days_of(start: datetime, end: datetime) -> list[date]:
    """The days (UTC) that ``[start, end)`` touches."""
    if start >= end:
        return []
    first, last = start.astimezone(UTC).date(), (end.astimezone(UTC) - timedelta(microseconds=1)).date()
    return days.from_to(first, last)


_MARTS = {Step.MINUTE: "revenue_minutely", Step.HOUR: "revenue_hourly", Step.DAY: "revenue_daily"}


def _batch(day: date, rows: Rows, step: Step) -> list[PeriodRevenue]:
    """A closed day's rows of the mart of this step; a day without revenue has a row by the day alone."""
    starts = {
        Step.MINUTE: lambda row: datetime.fromisoformat(row["minute"]).replace(tzinfo=UTC),
        Step.HOUR: lambda row: datetime.combine(day, time(int(row["hour"])), UTC),
        Step.DAY: lambda row: datetime.combine(day, time(), UTC),
    }
    return [
        PeriodRevenue(starts[step](row), row["revenue"], row["purchases"], NOTHING, "batch")
        for row in rows
        if row["purchases"]
    ]


def _speed(layers: Layers, start: datetime, end: datetime, step: Step) -> list[PeriodRevenue]:
    on_time = _by_step(layers.revenue(start, end), step)
    late = _by_step(layers.late_revenue(start, end), step)
    periods = []
    for period in on_time.keys() | late.keys():
        came_late = late.get(period, Revenue())
        together = add_revenue([on_time.get(period, Revenue()), came_late])
        periods.append(PeriodRevenue(period, together.amount, together.purchases, came_late.amount, "speed"))
    return periods


def _by_step(minutes: dict[datetime, Revenue], step: Step) -> dict[datetime, Revenue]:
    return {start: add_revenue(found) for start, found in _grouped(minutes, step).items()}


def _grouped(minutes: dict[datetime, Part], step: Step) -> dict[datetime, list[Part]]:
    parts: dict[datetime, list[Part]] = {}
    for minute, part in minutes.items():
        parts.setdefault(step.floor(minute), []).append(part)
    return parts


def _by_day(start: datetime, end: datetime) -> Iterable[tuple[datetime, datetime]]:
    """``[start, end)`` cut at midnights (UTC): neither layer is asked for more than a day at once."""
    while start < end:
        until = min(end, Step.DAY.floor(start) + timedelta(days=1))
        yield start, until
        start = until

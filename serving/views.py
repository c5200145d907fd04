"""Revenue of any range of minutes: batch where a day is closed, speed where it is not."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

from clients.sql import connect
from contracts.hbase import NOTHING, Revenue, add_revenue
from contracts.hive import MARTS
from contracts.settings import Settings
from serving import speed


@dataclass(frozen=True, slots=True)
class MinuteRevenue:
    """Revenue of a minute (UTC) in EUR and the purchases it is made of.

    ``late``: the part of ``revenue`` that came later than the watermark. The batch layer does not tell it apart.
    """

    minute: datetime
    revenue: Decimal
    purchases: int
    late: Decimal
    source: Literal["batch", "speed"]


def revenue(settings: Settings, start: datetime, end: datetime, now: datetime) -> list[MinuteRevenue]:
    """The minutes in ``[start, end)`` with revenue, in order, each from one layer only.

    A day is closed when it is over at ``now`` and the batch layer has filled it. All times are aware. A layer that the
    range does not need is not asked. Raises :class:`PlatformError` when one that it needs cannot be asked.
    """
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    settled = _batch(settings, start, min(end, _midnight(now)))
    closed = set(settled)
    minutes = [minute for day in settled.values() for minute in day if start <= minute.minute < end]
    for first, last in _open_ranges(start, end, closed):
        minutes += _speed(settings, first, last)
    return sorted(minutes, key=lambda minute: minute.minute)


def _batch(settings: Settings, start: datetime, end: datetime) -> dict[datetime, list[MinuteRevenue]]:
    """All minutes of the days that ``[start, end)`` touches and the batch layer has filled, by the day's midnight."""
    if end <= start:
        return {}
    mart = MARTS["revenue_minutely"].qualified
    last = end - timedelta(microseconds=1)
    with connect(settings) as sql:
        found = sql.rows(
            f"SELECT `minute`, revenue, purchases FROM {mart} "  # noqa: S608
            f"WHERE `date` BETWEEN '{start:%Y-%m-%d}' AND '{last:%Y-%m-%d}'"
        )
    days: dict[datetime, list[MinuteRevenue]] = {}
    for minute, amount, purchases in found:
        moment = datetime.fromisoformat(minute).replace(tzinfo=UTC)
        settled = MinuteRevenue(moment, amount, purchases, NOTHING, "batch")
        days.setdefault(_midnight(moment), []).append(settled)
    return days


def _speed(settings: Settings, start: datetime, end: datetime) -> list[MinuteRevenue]:
    on_time = speed.revenue(settings, start, end)
    late = speed.late_revenue(settings, start, end)
    minutes = []
    for minute in on_time.keys() | late.keys():
        came_late = late.get(minute, Revenue())
        together = add_revenue([on_time.get(minute, Revenue()), came_late])
        minutes.append(MinuteRevenue(minute, together.amount, together.purchases, came_late.amount, "speed"))
    return minutes


def _open_ranges(start: datetime, end: datetime, closed: set[datetime]) -> list[tuple[datetime, datetime]]:
    """``[start, end)`` without the closed days, as few ranges as there are."""
    ranges: list[tuple[datetime, datetime]] = []
    while start < end:
        midnight = _midnight(start)
        until = min(end, midnight + timedelta(days=1))
        if midnight not in closed:
            if ranges and ranges[-1][1] == start:
                ranges[-1] = (ranges[-1][0], until)
            else:
                ranges.append((start, until))
        start = until
    return ranges


def _midnight(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)

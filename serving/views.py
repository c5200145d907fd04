"""Revenue of any range of minutes: batch where a day is closed, speed where it is not."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Literal

from clients import hdfs as files
from clients.sql import connect
from contracts.hbase import NOTHING, Revenue, add_revenue
from contracts.hive import MARTS
from contracts.settings import Settings
from serving import days, speed


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

    Batch answers for the days that are over at ``now`` and closed (see ``serving.days``), speed for the others. All
    times are aware. A layer that the range does not need is not asked. Raises :class:`PlatformError` when one that it
    needs cannot be asked.
    """
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    settled = _settled(settings, _days(start, min(end, _midnight(now))))
    minutes = [minute for day in settled.values() for minute in day if start <= minute.minute < end]
    for first, last in _open_ranges(start, end, set(settled)):
        minutes += _speed(settings, first, last)
    return sorted(minutes, key=lambda minute: minute.minute)


def _days(start: datetime, end: datetime) -> list[date]:
    """The days that ``[start, end)`` touches."""
    count = (_midnight(end - timedelta(microseconds=1)) - _midnight(start)).days + 1 if start < end else 0
    return [start.date() + timedelta(days=number) for number in range(count)]


def _settled(settings: Settings, chosen: list[date]) -> dict[date, list[MinuteRevenue]]:
    """All minutes of those of the days that are closed, before and after they are read: none that is made anew then."""
    hdfs = files.client(settings)
    before = days.closed(hdfs, chosen) if chosen else {}
    if not before:
        return {}
    found = _batch(settings, min(before), max(before))
    after = days.closed(hdfs, before)
    return {day: found.get(day, []) for day, mark in before.items() if after.get(day) == mark}


def _batch(settings: Settings, first: date, last: date) -> dict[date, list[MinuteRevenue]]:
    """All minutes that the batch layer has of a range of days, by the day."""
    mart = MARTS["revenue_minutely"].qualified
    with connect(settings) as sql:
        found = sql.rows(
            f"SELECT `minute`, revenue, purchases FROM {mart} "  # noqa: S608
            f"WHERE `date` BETWEEN '{first}' AND '{last}'"
        )
    minutes: dict[date, list[MinuteRevenue]] = {}
    for minute, amount, purchases in found:
        moment = datetime.fromisoformat(minute).replace(tzinfo=UTC)
        settled = MinuteRevenue(moment, amount, purchases, NOTHING, "batch")
        minutes.setdefault(moment.date(), []).append(settled)
    return minutes


def _speed(settings: Settings, start: datetime, end: datetime) -> list[MinuteRevenue]:
    on_time = speed.revenue(settings, start, end)
    late = speed.late_revenue(settings, start, end)
    minutes = []
    for minute in on_time.keys() | late.keys():
        came_late = late.get(minute, Revenue())
        together = add_revenue([on_time.get(minute, Revenue()), came_late])
        minutes.append(MinuteRevenue(minute, together.amount, together.purchases, came_late.amount, "speed"))
    return minutes


def _open_ranges(start: datetime, end: datetime, closed: set[date]) -> list[tuple[datetime, datetime]]:
    """``[start, end)`` without the closed days, as few ranges as there are."""
    ranges: list[tuple[datetime, datetime]] = []
    while start < end:
        midnight = _midnight(start)
        until = min(end, midnight + timedelta(days=1))
        if midnight.date() not in closed:
            if ranges and ranges[-1][1] == start:
                ranges[-1] = (ranges[-1][0], until)
            else:
                ranges.append((start, until))
        start = until
    return ranges


def _midnight(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)

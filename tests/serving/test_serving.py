"""The merged views without servers: which layer answers for which minute."""

from collections.abc import Callable, Collection, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import ClassVar

import click
import pytest

from contracts.hbase import Revenue
from contracts.settings import Settings
from serving import views
from serving.__main__ import Length, Minute, minute_range
from serving.days import Mark
from serving.layers import Layers, Rows
from serving.views import PeriodRevenue, Step

NOW = datetime(2026, 11, 23, 9, 30, 12, tzinfo=UTC)
SETTINGS = Settings()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class Known(Layers):
    """Both layers with the same minutes, so that a minute counted twice shows."""

    batch: ClassVar = {
        "2026-11-21": [("2026-11-21T23:59", Decimal("1.00"), 1)],
        "2026-11-22": [("2026-11-22T12:00", Decimal("6.00"), 6)],  # of a run before more of the day had landed
        "2026-11-23": [("2026-11-23T09:00", Decimal("7.00"), 7)],  # of a run before the day was over
    }
    on_time: ClassVar = {
        at("2026-11-21T23:59"): Revenue(Decimal("0.90"), 1),
        at("2026-11-22T00:00"): Revenue(Decimal("2.00"), 2),
        at("2026-11-22T12:00"): Revenue(Decimal("4.00"), 4),
        at("2026-11-23T09:00"): Revenue(Decimal("8.00"), 8),
        at("2026-11-23T09:30"): Revenue(Decimal("16.00"), 16),
    }
    late: ClassVar = {
        at("2026-11-21T23:59"): Revenue(Decimal("0.10"), 1),
        at("2026-11-22T12:00"): Revenue(Decimal("0.40"), 1),
        at("2026-11-22T13:00"): Revenue(Decimal("0.50"), 1),
    }

    def __init__(self) -> None:
        super().__init__(SETTINGS)
        self.asked: list[str] = []
        self.days = {date(2026, 11, 21): Mark("night", 7, closed=True)}
        self.while_asked: Callable[[], None] = lambda: None

    def closed(self, chosen: Iterable[date]) -> dict[date, Mark]:
        return {day: self.days[day] for day in chosen if day in self.days}

    def mart(self, table: str, chosen: Collection[date]) -> dict[date, Rows]:
        self.asked.append(f"batch {table} {', '.join(map(str, sorted(chosen)))}")
        self.while_asked()
        return {day: self.rows(table, self.batch.get(str(day), [])) for day in chosen}

    @staticmethod
    def rows(table: str, minutes: list[tuple[str, Decimal, int]]) -> Rows:
        """As the marts of minutes, hours and days have them."""
        if table == "revenue_minutely":
            return [{"minute": minute, "revenue": amount, "purchases": count} for minute, amount, count in minutes]
        total = {"revenue": sum(row[1] for row in minutes), "purchases": sum(row[2] for row in minutes)}
        return [{"hour": minutes[0][0][11:13], **total} if table == "revenue_hourly" else total] if minutes else []

    def revenue(self, start: datetime, end: datetime) -> dict[datetime, Revenue]:
        return self.scan(self.on_time, start, end)

    def late_revenue(self, start: datetime, end: datetime) -> dict[datetime, Revenue]:
        return self.scan(self.late, start, end)

    def scan(self, minutes: dict[datetime, Revenue], start: datetime, end: datetime) -> dict[datetime, Revenue]:
        self.asked.append(f"speed {start:%dT%H:%M}..{end:%dT%H:%M}")
        return {minute: revenue for minute, revenue in minutes.items() if start <= minute < end}


@pytest.fixture
def layers() -> Known:
    return Known()


def test_each_minute_comes_from_one_layer(layers: Known) -> None:
    found = views.revenue(layers, at("2026-11-21T00:00"), at("2026-11-23T09:31"), NOW)
    zero = Decimal("0.00")
    assert found == [
        PeriodRevenue(at("2026-11-21T23:59"), Decimal("1.00"), 1, zero, "batch"),
        PeriodRevenue(at("2026-11-22T00:00"), Decimal("2.00"), 2, zero, "speed"),
        PeriodRevenue(at("2026-11-22T12:00"), Decimal("4.40"), 5, Decimal("0.40"), "speed"),
        PeriodRevenue(at("2026-11-22T13:00"), Decimal("0.50"), 1, Decimal("0.50"), "speed"),
        PeriodRevenue(at("2026-11-23T09:00"), Decimal("8.00"), 8, zero, "speed"),
        PeriodRevenue(at("2026-11-23T09:30"), Decimal("16.00"), 16, zero, "speed"),
    ]
    assert layers.asked == [
        "batch revenue_minutely 2026-11-21",
        *["speed 22T00:00..23T00:00"] * 2,
        *["speed 23T00:00..23T09:31"] * 2,
    ]


def test_a_layer_that_is_not_needed_is_not_asked(layers: Known) -> None:
    views.revenue(layers, at("2026-11-23T00:00"), at("2026-11-23T09:31"), NOW)
    assert layers.asked == ["speed 23T00:00..23T09:31"] * 2
    layers.asked.clear()
    views.revenue(layers, at("2026-11-21T00:00"), at("2026-11-22T00:00"), NOW)
    assert layers.asked == ["batch revenue_minutely 2026-11-21"]


def test_a_day_that_is_made_anew_while_it_is_read_is_taken_from_speed(layers: Known) -> None:
    def closed_again() -> None:
        layers.days[date(2026, 11, 21)] = Mark("next night", 9, closed=True)

    layers.while_asked = closed_again
    [minute] = views.revenue(layers, at("2026-11-21T00:00"), at("2026-11-22T00:00"), NOW)
    assert (minute.revenue, minute.source) == (Decimal("1.00"), "speed")
    layers.while_asked = layers.days.clear
    [minute] = views.revenue(layers, at("2026-11-21T00:00"), at("2026-11-22T00:00"), NOW)
    assert minute.source == "speed"


def test_a_closed_day_without_revenue_asks_no_other_layer(layers: Known) -> None:
    layers.days = {date(2026, 11, 20): Mark("night", 7, closed=True)}
    assert views.revenue(layers, at("2026-11-20T00:00"), at("2026-11-21T00:00"), NOW) == []
    assert layers.asked == ["batch revenue_minutely 2026-11-20"]


@pytest.mark.parametrize("step", list(Step))
def test_steps_add_up_to_the_minutes(layers: Known, step: Step) -> None:
    start, end = at("2026-11-20T00:00"), at("2026-11-24T00:00")
    minutes, found = (views.revenue(layers, start, end, NOW, asked) for asked in (Step.MINUTE, step))
    summed: dict[datetime, Decimal] = {}
    for minute in minutes:
        summed[step.floor(minute.start)] = summed.get(step.floor(minute.start), Decimal(0)) + minute.revenue
    assert {period.start: period.revenue for period in found} == summed
    assert sum(period.purchases for period in found) == sum(minute.purchases for minute in minutes)
    assert [period.source for period in found if period.start.day == 21] == ["batch"]


def test_a_range_within_a_day(layers: Known) -> None:
    found = views.revenue(layers, at("2026-11-22T00:01"), at("2026-11-22T12:01"), NOW)
    assert [minute.start for minute in found] == [at("2026-11-22T12:00")]


def test_the_last_minutes_include_this_one() -> None:
    assert minute_range(timedelta(minutes=60), None, None, NOW) == (at("2026-11-23T08:31"), at("2026-11-23T09:31"))
    assert minute_range(None, at("2026-11-23T09:00"), None, NOW) == (at("2026-11-23T09:00"), at("2026-11-23T09:31"))


@pytest.mark.parametrize(
    ("last", "start", "end", "message"),
    [
        (None, None, None, "give either --last or --from"),
        (timedelta(minutes=1), NOW, None, "give either --last or --from"),
        (timedelta(minutes=1), None, NOW, "--to goes with --from"),
        (None, NOW, NOW, "is not before --to"),
    ],
)
def test_a_range_that_is_none_is_refused(
    last: timedelta | None, start: datetime | None, end: datetime | None, message: str
) -> None:
    with pytest.raises(click.UsageError, match=message):
        minute_range(last, start, end, NOW)


def test_arguments() -> None:
    assert Length().convert("90m", None, None) == timedelta(minutes=90)
    assert Length().convert("7d", None, None) == timedelta(days=7)
    assert Minute().convert("2026-11-23T09:30", None, None) == at("2026-11-23T09:30")
    for kind, text in ((Length(), "0m"), (Length(), "60"), (Minute(), "2026-11-23"), (Minute(), "09:30")):
        with pytest.raises(click.BadParameter):
            kind.convert(text, None, None)

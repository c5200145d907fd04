"""When sessions begin: a non-homogeneous Poisson process, its intensity constant within each minute (UTC)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from contracts.catalog import CATEGORIES
from generator.config import MINUTE_MS, FlashSale
from generator.presets import Preset

WEEKLY: Final = np.array([1.04, 0.98, 0.96, 0.97, 0.95, 0.98, 1.12])
"""Relative intensity of Monday to Sunday."""
NO_SALE: Final = -1


@cache
def daily(hours: tuple[float, ...]) -> np.ndarray:
    """Relative intensity of each minute of the day, from that at each full hour; mean 1."""
    by_minute = np.interp(np.arange(1440) / 60 + 1 / 120, np.arange(25), [*hours, hours[0]])
    return by_minute / by_minute.mean()


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Relative intensity of arrivals; its mean over a week without flash sales is 1."""

    preset: Preset | None
    """Whose hours and weekdays they follow; None: steady."""
    flash_sales: tuple[FlashSale, ...]
    growth: float = 0.0
    """From each day to the next."""
    first_day: int = 0
    """The day of which the growth begins, from the epoch."""

    def base(self, minutes: np.ndarray) -> np.ndarray:
        """Without flash sales. ``minutes`` count from the epoch."""
        if self.preset is None:
            return np.ones(len(minutes))
        local = minutes + _offsets(minutes, self.preset.zone)
        weekday = (local // 1440 + 3) % 7  # the epoch was a Thursday
        return daily(self.preset.hours)[local % 1440] * (WEEKLY / WEEKLY.mean())[weekday]

    def factors(self, minutes: np.ndarray) -> list[np.ndarray]:
        """The factor of each flash sale in each minute."""
        return [np.where((minutes - sale.minute) % 1440 < sale.minutes, sale.factor, 1.0) for sale in self.flash_sales]

    def intensity(self, minutes: np.ndarray) -> np.ndarray:
        result = self.base(minutes)
        for factor in self.factors(minutes):
            result = result * factor
        if self.growth:
            result = result * (1 + self.growth) ** (minutes // 1440 - self.first_day)
        return result

    def mass(self, start_ms: int, days: int) -> float:
        """The intensity integrated over the days from ``start_ms`` on, in ms."""
        return float(self.intensity(start_ms // MINUTE_MS + np.arange(days * 1440)).sum() * MINUTE_MS)


def _offsets(minutes: np.ndarray, zone: str) -> np.ndarray:
    """How far a zone's clocks are ahead of UTC at each minute from the epoch, in minutes."""
    hours, at = np.unique(minutes // 60, return_inverse=True)
    clocks = (datetime.fromtimestamp(hour * 3600, ZoneInfo(zone)) for hour in hours.tolist())
    ahead = [clock.utcoffset() // timedelta(minutes=1) for clock in clocks]  # type: ignore[operator]
    return np.array(ahead, dtype=np.int64)[at]


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Sessions at ``per_ms`` where the rhythm's intensity is 1."""

    rhythm: Rhythm
    per_ms: float

    def draw(self, rng: np.random.Generator, start_ms: int, end_ms: int) -> tuple[np.ndarray, np.ndarray]:
        """Begins of sessions in [start, end) ms, sorted, and the category that a flash sale drew each for, or -1."""
        minutes = np.arange(start_ms // MINUTE_MS, -(-end_ms // MINUTE_MS))
        edges = np.append(minutes, minutes[-1] + 1) * MINUTE_MS
        edges[0], edges[-1] = start_ms, end_ms
        mass = np.append(0.0, np.cumsum(self.rhythm.intensity(minutes) * np.diff(edges)))
        count = rng.poisson(self.per_ms * mass[-1])
        times = np.interp(np.sort(rng.random(count)) * mass[-1], mass, edges).astype(np.int64)
        wanted = np.full(count, NO_SALE)
        at = times // MINUTE_MS
        for sale, factor in zip(self.rhythm.flash_sales, self.rhythm.factors(at), strict=True):
            additional = rng.random(count) < 1 - 1 / factor
            if sale.category is not None:
                wanted[additional] = CATEGORIES.index(sale.category)
        return times, wanted

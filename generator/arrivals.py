"""When sessions begin: a non-homogeneous Poisson process, its intensity constant within each minute (UTC)."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from contracts.catalog import CATEGORIES
from generator.config import MINUTE_MS, FlashSale

HOURLY: Final = np.array(
    [30, 18, 11, 8, 8, 14, 32, 62, 92, 112, 122, 126, 134, 128, 118, 114, 118, 128, 146, 168, 180, 164, 116, 64],
    dtype=np.float64,
)
"""Relative intensity at each full hour; in between it is interpolated, round the clock."""
WEEKLY: Final = np.array([1.04, 0.98, 0.96, 0.97, 0.95, 0.98, 1.12])
"""Relative intensity of Monday to Sunday."""
_BY_MINUTE: Final = np.interp(np.arange(1440) / 60 + 1 / 120, np.arange(25), np.append(HOURLY, HOURLY[0]))
DAILY: Final = _BY_MINUTE / _BY_MINUTE.mean()
"""Relative intensity of each minute of the day; mean 1."""
NO_SALE: Final = -1


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Relative intensity of arrivals; its mean over a week without flash sales is 1."""

    daily: bool
    flash_sales: tuple[FlashSale, ...]

    def base(self, minutes: np.ndarray) -> np.ndarray:
        """Without flash sales. ``minutes`` count from the epoch."""
        if not self.daily:
            return np.ones(len(minutes))
        weekday = (minutes // 1440 + 3) % 7  # the epoch was a Thursday
        return DAILY[minutes % 1440] * (WEEKLY / WEEKLY.mean())[weekday]

    def factors(self, minutes: np.ndarray) -> list[np.ndarray]:
        """The factor of each flash sale in each minute."""
        return [np.where((minutes - sale.minute) % 1440 < sale.minutes, sale.factor, 1.0) for sale in self.flash_sales]

    def intensity(self, minutes: np.ndarray) -> np.ndarray:
        result = self.base(minutes)
        for factor in self.factors(minutes):
            result = result * factor
        return result

    def day_mass(self, start_ms: int) -> float:
        """The intensity integrated over the day that begins at ``start_ms``, in ms."""
        return float(self.intensity(start_ms // MINUTE_MS + np.arange(1440)).sum() * MINUTE_MS)


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

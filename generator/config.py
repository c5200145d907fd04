"""What one process plays: its share of the shop, its bounds and its imperfections. All times are UTC."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import numpy as np

from contracts.catalog import CATEGORIES, WAREHOUSES
from contracts.errors import Mistake
from contracts.events import MAX_CLOCK_SKEW, MAX_EVENT_AGE, WATERMARK, epoch_ms
from generator.presets import DEMO, Preset
from generator.troubles import Outage, WrongClock

ONE_DAY: Final = timedelta(days=1)
GROWTH: Final = 0.005
VISITORS: Final = 100_000
"""Visitors of the whole shop; replicas split them."""
DAY_MS: Final = 86_400_000
MINUTE_MS: Final = 60_000
WATERMARK_MS: Final = WATERMARK // timedelta(milliseconds=1)
"""What is sent longer than this after it happened counts as delayed.

The streaming jobs call it late where it is also that much older than the newest event before it in its Kafka partition.
"""


@dataclass(frozen=True, slots=True)
class Share:
    """Which share of the shop a process plays: number ``replica`` of ``replicas``, or a uniquely named instance.

    Replicas split visitors and rate; an instance has its own visitors and the whole rate given to it. Warehouses carry
    the share's label, so that each shelf's stock level is kept by one process only.
    """

    replicas: int = 1
    replica: int = 0
    instance: str | None = None

    def __post_init__(self) -> None:
        if self.replicas < 1 or not 0 <= self.replica < self.replicas:
            raise Mistake(f"replica {self.replica} of {self.replicas} does not exist; the first is 0 of 1")
        if self.instance is not None and self.replicas != 1:
            raise Mistake(f"--instance {self.instance} names its own share; leave --replicas and --replica out")

    @property
    def label(self) -> str:
        """Empty when one process plays the whole shop."""
        if self.instance is not None:
            return hashlib.sha256(self.instance.encode()).hexdigest()[:8]
        return str(self.replica) if self.replicas > 1 else ""

    @property
    def warehouses(self) -> tuple[str, ...]:
        return tuple(f"{name}-{self.label}" if self.label else name for name in WAREHOUSES)

    @property
    def name(self) -> str:
        return self.instance or f"{self.replica}/{self.replicas}"


@dataclass(frozen=True, slots=True)
class FlashSale:
    """Arrivals times ``factor`` for ``minutes`` from ``minute`` of the day; who comes for it wants ``category``."""

    minute: int
    minutes: int
    factor: float
    category: str | None = None

    @classmethod
    def parse(cls, text: str) -> "FlashSale":
        """``HH:MM/MINUTES/FACTOR[/CATEGORY]``, for example ``20:00/30/5/electronics``."""
        try:
            start, minutes, factor, *rest = text.split("/")
            clock = time.fromisoformat(start)
            sale = cls(clock.hour * 60 + clock.minute, int(minutes), float(factor), rest[0] if rest else None)
        except ValueError:
            raise Mistake(f"flash sale {text!r} is not HH:MM/MINUTES/FACTOR[/CATEGORY], as 20:00/30/5") from None
        if len(rest) > 1 or not 1 <= sale.minutes <= 1440 or not 1 <= sale.factor <= 100:
            raise Mistake(f"flash sale {text!r} must last 1 to 1440 minutes with a factor of 1 to 100")
        if sale.category is not None and sale.category not in CATEGORIES:
            raise Mistake(f"flash sale {text!r} names no category of {', '.join(CATEGORIES)}")
        return sale


@dataclass(frozen=True, slots=True)
class Imperfections:
    """Shares of all valid events, 0 to 0.5 each; see ``imperfections.py`` for what they mean."""

    delayed: float = 0.005
    duplicate: float = 0.005
    out_of_order: float = 0.02
    malformed: float = 0.001
    later_day: float = 0.0
    stale_duplicate: float = 0.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not 0 <= getattr(self, name) <= 0.5:
                raise Mistake(f"--{name.replace('_', '-')}-share {getattr(self, name)} is not between 0 and 0.5")


@dataclass(frozen=True, slots=True)
class Changes:
    """Of the catalogue, each day: products launched, withdrawn and with a new price."""

    launches: int = 0
    withdrawals: int = 0
    prices: int = 0

    def __bool__(self) -> bool:
        return self != Changes()


@dataclass(frozen=True, slots=True)
class Config:
    """A run. With ``day`` it plays ``days`` UTC days from that one on; without it plays now at ``rate`` events/s."""

    seed: int
    share: Share
    imperfections: Imperfections
    flash_sales: tuple[FlashSale, ...] = ()
    day: date | None = None
    events: int = 0
    """A day, on the average of the days played."""
    rate: float = 0.0
    daily_rhythm: bool = True
    days: int = 1
    growth: float = GROWTH
    """Of visitors and visits, from each day played to the next."""
    outages: tuple[Outage, ...] = ()
    wrong_clocks: tuple[WrongClock, ...] = ()
    preset: Preset = DEMO
    bots: float = 0.0
    """Share of the pages seen that bots see."""
    changes: Changes = Changes()

    def __post_init__(self) -> None:
        for clock in self.wrong_clocks:
            if self.day is None and clock.skew_ms > MAX_CLOCK_SKEW / timedelta(milliseconds=1):
                raise Mistake(f"live, a clock more than {MAX_CLOCK_SKEW.seconds} seconds ahead makes no valid events")

    @property
    def start_ms(self) -> int:
        """First millisecond of the days played."""
        assert self.day is not None
        return midnight_ms(self.day)

    @property
    def span(self) -> str | None:
        """The days played, ``YYYY-MM-DD`` or ``YYYY-MM-DD..YYYY-MM-DD``."""
        if self.day is None:
            return None
        return f"{self.day}" if self.days == 1 else f"{self.day}..{self.day + (self.days - 1) * ONE_DAY}"

    @property
    def identity(self) -> str:
        """The settings as the draws are seeded with: spelt as ever, so that a seed's bytes outlive renamings."""
        wrong = self.imperfections
        former = (
            f"Config(seed={self.seed}, share={self.share}, imperfections=Imperfections(late={wrong.delayed}, "
            f"duplicate={wrong.duplicate}, out_of_order={wrong.out_of_order}, malformed={wrong.malformed}), "
            f"flash_sales={self.flash_sales}, day={self.day!r}, events={self.events}, rate={self.rate}, "
            f"daily_rhythm={self.daily_rhythm})"
        )
        over_days = (self.days, self.growth, self.outages, self.wrong_clocks, wrong.later_day, wrong.stale_duplicate)
        further = f"{over_days} {self.preset.name} {self.bots}"
        if self.changes:
            further += f" {self.changes}"
        return former if further == f"{(1, GROWTH, (), (), 0.0, 0.0)} {DEMO.name} 0.0" else former + further

    def own(self, total: float) -> float:
        """This replica's part of a figure that holds for all replicas together."""
        return total / self.share.replicas


def midnight_ms(day: date) -> int:
    """When a day begins."""
    return epoch_ms(datetime.combine(day, time(), UTC))


def entropy(*parts: str | int) -> int:
    """A 128-bit seed from words, the same on every machine."""
    return int.from_bytes(hashlib.sha256("\0".join(map(str, parts)).encode()).digest()[:16])


def rng_for(*parts: str | int) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(entropy(*parts)))


def check_days(first: date, last: date, now: datetime, to_kafka: bool) -> None:
    """Refuses days that are not over and, for Kafka, those whose events the streaming jobs would refuse as too old."""
    oldest = now.date() - MAX_EVENT_AGE + ONE_DAY
    if last >= now.date():
        raise Mistake(f"{last} is not over yet; the newest day that can be played is {now.date() - ONE_DAY}")
    if to_kafka and first < oldest:
        raise Mistake(f"{first} is too old: events over {MAX_EVENT_AGE.days} days old are refused; from {oldest}")


def cumulative(weights: Iterable[float]) -> np.ndarray:
    """Cumulative shares of weights, ending in exactly 1."""
    total = np.cumsum(np.fromiter(weights, dtype=np.float64))
    total /= total[-1]
    total[-1] = 1.0
    return total

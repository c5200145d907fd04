"""What is wrong with one of the shop's web servers for a while: it cannot send, or its clock is wrong.

A web server has a share of the visitors, and sends their clicks and purchases.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self

import numpy as np

from contracts.errors import Mistake

SHARE: Final = 0.25
"""Of the visitors, unless the user says otherwise."""
BURST: Final = 1000
"""After an outage everything is sent so many times as fast as it happened."""
MAX_SKEW_SECONDS: Final = 86_400
_FINEST: Final = 1000


@dataclass(frozen=True, slots=True)
class Trouble:
    """From ``start_ms`` for ``minutes`` with the server of a share of the visitors."""

    start_ms: int
    minutes: int
    share: float

    @property
    def end_ms(self) -> int:
        return self.start_ms + self.minutes * 60_000

    def concerns(self, rows: np.ndarray) -> np.ndarray:
        """Which rows (clicks or purchases) happened during it on its server."""
        now = (self.start_ms <= rows["time"]) & (rows["time"] < self.end_ms)
        return now & (rows["user"] % _FINEST < self.share * _FINEST)


@dataclass(frozen=True, slots=True)
class Outage(Trouble):
    """What happens meanwhile is sent when it is over, in one burst."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """``YYYY-MM-DDTHH:MM/MINUTES[/SHARE]`` (UTC), for example ``2026-11-20T14:00/180/0.25``."""
        start, minutes, share = _parts(text, "outage", "YYYY-MM-DDTHH:MM/MINUTES[/SHARE]", 2)
        return cls(_ms(start), int(minutes), share)

    def hold(self, rows: np.ndarray) -> None:
        held = np.flatnonzero(self.concerns(rows))
        burst = self.end_ms + (rows["time"][held] - self.start_ms) // BURST
        rows["send"][held] = np.maximum(rows["send"][held], burst)
        rows["held"][held] = True


@dataclass(frozen=True, slots=True)
class WrongClock(Trouble):
    """What happens meanwhile is dated ``skew_ms`` off; what is negative is behind."""

    skew_ms: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """``YYYY-MM-DDTHH:MM/MINUTES/SECONDS[/SHARE]`` (UTC), for example ``2026-11-20T14:00/180/-3600``."""
        start, minutes, seconds, share = _parts(text, "wrong clock", "YYYY-MM-DDTHH:MM/MINUTES/SECONDS[/SHARE]", 3)
        if not 0 < abs(int(seconds)) <= MAX_SKEW_SECONDS:
            raise Mistake(f"wrong clock {text!r} must be 1 to {MAX_SKEW_SECONDS} seconds ahead or behind")
        return cls(_ms(start), int(minutes), share, int(seconds) * 1000)

    def set(self, rows: np.ndarray, first_ms: int) -> None:
        """Nothing is dated before ``first_ms``."""
        wrong = np.flatnonzero(self.concerns(rows))
        rows["skew"][wrong] = np.maximum(self.skew_ms, first_ms - rows["time"][wrong])


def _parts(text: str, what: str, form: str, needed: int) -> tuple:  # type: ignore[type-arg]
    """The parts of a text, of which the last is a share that may be missing. Raises ``Mistake``."""
    parts = text.split("/")
    try:
        if len(parts) not in (needed, needed + 1):
            raise ValueError
        _ms(parts[0])
        minutes, *_ = map(int, parts[1:needed])
        share = float(parts[needed]) if len(parts) > needed else SHARE
    except ValueError:
        raise Mistake(f"{what} {text!r} is not {form}") from None
    if minutes < 1 or not 0 < share <= 1:
        raise Mistake(f"{what} {text!r} must last a minute or more and concern a share above 0, up to 1")
    return (*parts[:needed], share)


def _ms(text: str) -> int:
    return int(datetime.strptime(text, "%Y-%m-%dT%H:%M").replace(tzinfo=UTC).timestamp() * 1000)

"""Stock per product and warehouse: it falls with sales and is restocked. Every change is an inventory event.

All levels of a process's warehouses are kept here, so that the absolute levels of the events follow from each other.
"""

import heapq
from itertools import count
from typing import Final, get_args

import numpy as np

from contracts.catalog import WAREHOUSES
from contracts.events import StockReason
from generator.config import DAY_MS
from generator.records import WHEN

STOCK_ROW: Final = np.dtype([*WHEN, ("pair", "i4"), ("level", "i8"), ("change", "i8"), ("reason", "i2")])
REASONS: Final[tuple[str, ...]] = get_args(StockReason)
SALE, RESTOCK, ADJUSTMENT, RETURN = (REASONS.index(name) for name in ("sale", "restock", "adjustment", "return"))

# Levels as days of the expected demand for the product in the warehouse, plus pieces.
OPENING: Final = (0.3, 1.3, 9)
"""Opening stock: uniform between the two shares of a day's demand, plus pieces."""
FULL: Final = (1.2, 16)
REORDER: Final = (0.25, 6)
CRITICAL: Final = (0.10, 3)
RETURN_DAYS: Final = (3.0, 14.0)
"""What is returned comes back so long after its sale, uniform."""
LEAD_HOURS: Final = (1.0, 6.0)
"""A restock arrives this long after its order, uniform."""
ADJUSTMENTS_PER_SALE: Final = 0.01
"""Stock-taking differences: one for so many sales expected, of -3 to 2 pieces (but 0)."""
DIFFERENCES: Final = (-3, -2, -1, 1, 2)


class Stock:
    """Pairs are numbered warehouse × products + product; ``demand`` is pieces a day of each, 0: not on sale."""

    def __init__(
        self,
        rng: np.random.Generator,
        demand: np.ndarray,
        open_at: int,
        open_for: int,
        opening_events: int,
        adjustments_per_ms: float,
        returned: float = 0.0,
    ) -> None:
        """``opening_events`` of the most demanded pairs are announced within ``open_for`` ms from ``open_at``.

        The others are announced when first touched. ``returned`` is the share of sales that come back.
        """
        self._rng = rng
        self._products = len(demand) // len(WAREHOUSES)
        self._level: list[int] = self._opening(demand).tolist()
        self._full = _level(demand, FULL).tolist()
        self._reorder = _level(demand, REORDER).tolist()
        self.critical = _level(demand, CRITICAL)
        """Each pair's threshold; changed in place."""
        self._sold = np.flatnonzero(demand)
        self._touched = [0] * len(demand)
        self._ordered = [False] * len(demand)
        self._adjustments_per_ms = adjustments_per_ms
        self._returned = returned
        self._number = count()
        self._due: list[tuple[int, int, int, int, int]] = []
        """(time, running number, pair, reason, pieces returned): what is to come but sales."""
        self.lost_sales = 0
        chosen = np.argsort(-demand, kind="stable")[:opening_events]
        self._open(np.sort(chosen).tolist(), open_at, open_for)

    def _opening(self, demand: np.ndarray) -> np.ndarray:
        low, high, pieces = OPENING
        return np.ceil(self._rng.uniform(low, high, len(demand)) * demand + pieces).astype(int)

    def _open(self, pairs: list[int], at: int, during: int) -> None:
        """Announces shelves one after the other."""
        for order, pair in enumerate(pairs):
            self._plan(at + order * during // len(pairs), pair, _OPENING)

    def expect(self, demand: np.ndarray, now: int, open_for: int) -> None:
        """Another demand from ``now`` on: new products' shelves open, withdrawn ones' are not filled again."""
        sold = np.flatnonzero(demand)
        new = np.setdiff1d(sold, self._sold)
        for pair, level in zip(new.tolist(), self._opening(demand[new]).tolist(), strict=True):
            self._level[pair] = level
        self._open(new.tolist(), now, open_for)
        self._full = _level(demand, FULL).tolist()
        self._reorder = np.where(demand > 0, _level(demand, REORDER), -1).tolist()
        self.critical[sold] = _level(demand, CRITICAL)[sold]
        self._sold = sold

    def play(self, sales: np.ndarray, first: np.ndarray, start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """The changes in [start, end) ms, in order, and which of ``sales`` (sorted by time) found stock.

        ``first`` is the pair that serves each sale if it has the pieces; the other warehouses are asked next.
        """
        rows: list[tuple[int, ...]] = []
        kept = np.ones(len(sales), dtype=bool)
        pairs = len(self._level)
        for _ in range(self._rng.poisson(self._adjustments_per_ms * (end - start))):
            at, chosen = self._rng.integers(start, end), self._sold[self._rng.integers(len(self._sold))]
            self._plan(int(at), int(chosen), ADJUSTMENT)
        for index, (time, quantity, pair) in enumerate(
            zip(sales["time"].tolist(), sales["quantity"].tolist(), first.tolist(), strict=True)
        ):
            self._catch_up(rows, time)
            asked = pair
            while self._level[pair] < quantity:
                pair = (pair + self._products) % pairs
                if pair == asked:
                    kept[index] = False
                    self.lost_sales += 1
                    break
            else:
                self._change(rows, time, pair, -quantity, SALE)
                if self._returned and self._rng.random() < self._returned:
                    self._plan(time + int(self._rng.uniform(*RETURN_DAYS) * DAY_MS), pair, RETURN, quantity)
        self._catch_up(rows, end)
        result = np.array(rows, dtype=STOCK_ROW)
        return result[np.argsort(result["time"], kind="stable")], kept

    def _plan(self, time: int, pair: int, reason: int, pieces: int = 0) -> None:
        heapq.heappush(self._due, (time, next(self._number), pair, reason, pieces))

    def _catch_up(self, rows: list[tuple[int, ...]], until: int) -> None:
        """Plays what is due before ``until``."""
        while self._due and self._due[0][0] < until:
            time, _, pair, reason, pieces = heapq.heappop(self._due)
            if reason == _OPENING:
                self._announce(rows, time, pair)
            elif reason == RESTOCK:
                self._ordered[pair] = False
                self._change(rows, time, pair, max(self._full[pair] - self._level[pair], 0), RESTOCK)
            elif reason == RETURN:
                self._change(rows, time, pair, pieces, RETURN)
            else:
                difference = int(self._rng.choice(DIFFERENCES))
                self._change(rows, time, pair, max(difference, -self._level[pair]), ADJUSTMENT)

    def _announce(self, rows: list[tuple[int, ...]], time: int, pair: int) -> None:
        if not self._touched[pair]:
            self._touched[pair] = time
            rows.append((0, time, 0, pair, self._level[pair], self._level[pair], RESTOCK))

    def _change(self, rows: list[tuple[int, ...]], time: int, pair: int, change: int, reason: int) -> None:
        self._announce(rows, time, pair)
        if change == 0:
            return
        time = max(time, self._touched[pair] + 1)
        self._touched[pair] = time
        self._level[pair] += change
        rows.append((0, time, 0, pair, self._level[pair], change, reason))
        if self._level[pair] <= self._reorder[pair] and not self._ordered[pair]:
            self._ordered[pair] = True
            self._plan(time + int(self._rng.uniform(*LEAD_HOURS) * DAY_MS / 24), pair, RESTOCK)


_OPENING: Final = len(REASONS)


def _level(demand: np.ndarray, rule: tuple[float, int]) -> np.ndarray:
    days, pieces = rule
    return np.ceil(days * demand + pieces).astype(int)

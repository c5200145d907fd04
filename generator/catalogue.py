"""The shop's products: prices and popularity, drawn once from a seed, and what changes of them day by day.

A product belongs to the category that the contract gives its id. Prices are log-normal per category; the
popularity of a category's products follows Zipf's law.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

import numpy as np

from contracts.catalog import CATEGORIES, MAX_PRODUCTS, category_of, product_id
from contracts.events import from_epoch_ms
from contracts.products import Product
from generator.config import DAY_MS, Changes, cumulative, midnight_ms, rng_for

FIRST_PRODUCTS: Final = 2_000
"""With which the shop was founded."""
FOUNDED: Final = date(2026, 1, 1)
"""Until then nothing of the catalogue has changed: each day since has its changes, whichever days are played."""
CHANGE_HOUR: Final = 3
"""When a day's changes take effect (UTC)."""
FEWEST: Final = 20
"""So many products of a category stay."""
PRICE_RANGE: Final = (0.75, 1.1)
"""A changed price is the first one times a number between these, uniform."""
ZIPF_EXPONENT: Final = 1.0


@dataclass(frozen=True, slots=True)
class Trade:
    """How a category sells: share of interest, chance of product → cart, of checkout → purchase, and its prices."""

    interest: float
    to_cart: float
    to_purchase: float
    median_price: float
    """EUR"""
    price_sigma: float
    """Standard deviation of ln(price)."""


TRADE: Final = {
    "electronics": Trade(0.18, 0.17, 0.62, 149.0, 0.90),
    "fashion": Trade(0.20, 0.22, 0.66, 39.0, 0.60),
    "home": Trade(0.13, 0.20, 0.70, 45.0, 0.70),
    "sports": Trade(0.09, 0.20, 0.70, 35.0, 0.60),
    "beauty": Trade(0.09, 0.27, 0.75, 18.0, 0.50),
    "toys": Trade(0.08, 0.24, 0.72, 22.0, 0.50),
    "books": Trade(0.08, 0.29, 0.78, 14.0, 0.40),
    "groceries": Trade(0.07, 0.34, 0.82, 6.0, 0.50),
    "garden": Trade(0.05, 0.18, 0.68, 32.0, 0.70),
    "automotive": Trade(0.03, 0.16, 0.66, 55.0, 0.80),
}
_MEDIANS: Final = np.array([TRADE[name].median_price for name in CATEGORIES])
_SIGMAS: Final = np.array([TRADE[name].price_sigma for name in CATEGORIES])


@dataclass(frozen=True, slots=True)
class Changed:
    """Products (by number) that a day's changes concern."""

    launched: list[int]
    withdrawn: list[int]
    repriced: list[int]

    @property
    def all(self) -> list[int]:
        return sorted({*self.launched, *self.withdrawn, *self.repriced})


class Catalogue:
    """Arrays over the products, in the order of their ids; categories by their index in ``CATEGORIES``.

    Those yet to be launched have their places at the end.
    """

    def __init__(self, seed: int, launches: int = 0) -> None:
        """The catalogue of the shop's foundation, with room for so many launches, as far as product ids allow."""
        rng = rng_for("catalogue", seed)
        size = min(FIRST_PRODUCTS + launches, MAX_PRODUCTS)
        self._seed = seed
        self.ids = [product_id(number) for number in range(1, size + 1)]
        self.category = np.array([CATEGORIES.index(category_of(name) or "") for name in self.ids], dtype=np.int64)
        deviation = np.zeros(size)
        deviation[:FIRST_PRODUCTS] = rng.standard_normal(FIRST_PRODUCTS)
        self.first_cents = np.zeros(size, dtype=np.int64)
        self.first_cents[:FIRST_PRODUCTS] = self._cents(deviation)[:FIRST_PRODUCTS]
        self.cents = self.first_cents.copy()
        """Price in euro cents."""
        self.valid_from = np.full(size, midnight_ms(FOUNDED))
        """Since when each product is as it is, ms."""
        self.available = np.arange(size) < FIRST_PRODUCTS
        self.instead = np.arange(size)
        """What is shown to who asks for a product: itself, or once it is withdrawn another of its category."""
        founded = np.flatnonzero(self.available)
        self._ranked = [
            rng.permutation(founded[self.category[founded] == index]).tolist() for index in range(len(CATEGORIES))
        ]
        popularity = np.arange(1, size + 1) ** -ZIPF_EXPONENT
        first = FIRST_PRODUCTS // len(CATEGORIES)
        self._popularity = popularity
        self._zipf = np.append(
            cumulative(popularity[:first]), 1 + np.cumsum(popularity[first:]) / popularity[:first].sum()
        )
        self.dearness = np.tanh(deviation)
        """How dear a product is within its category, about -1 to 1; its mean over views of the category is 0."""
        self._rank()

    def _cents(self, deviation: np.ndarray) -> np.ndarray:
        medians, sigmas = _MEDIANS[self.category], _SIGMAS[self.category]
        return np.maximum(np.rint(medians * np.exp(sigmas * deviation) * 100), 1).astype(np.int64)

    def _rank(self) -> None:
        """Makes what is looked up from the ranks."""
        width = max(map(len, self._ranked))
        # What no rank fills is never picked but by a rounding error.
        self.by_rank = np.array([products + products[-1:] * (width - len(products)) for products in self._ranked])
        """[category, rank] → product, the most popular first."""
        self._reach = np.array([self._zipf[len(products) - 1] for products in self._ranked])
        for products in self._ranked:
            weights = self._popularity[: len(products)]
            self.dearness[products] -= np.average(self.dearness[products], weights=weights)

    def pick(self, rng: np.random.Generator, categories: np.ndarray) -> np.ndarray:
        """A product of each category, by popularity."""
        chance = rng.random(len(categories)) * self._reach[categories]
        return self.by_rank[categories, np.searchsorted(self._zipf, chance, side="right")]

    def shares(self) -> np.ndarray:
        """Each product's share of the picks in its category."""
        result = np.zeros(len(self.ids))
        for products in self._ranked:
            reach = self._zipf[: len(products)]
            result[products] = np.diff(reach, prepend=0.0) / reach[-1]
        return result

    def change(self, day: int, changes: Changes) -> Changed:
        """The changes of a day (from the epoch): the same whichever of the shop's processes asks."""
        rng = rng_for("assortment", self._seed, day)
        repriced, withdrawn = self._reprice(rng, changes.prices), self._withdraw(rng, changes.withdrawals)
        changed = Changed(self._launch(rng, changes.launches), withdrawn, repriced)
        self.valid_from[changed.all] = change_ms(day)
        on_sale = np.flatnonzero(self.available)
        deviation = np.log(self.cents[on_sale] / 100 / _MEDIANS[self.category[on_sale]])
        self.dearness[on_sale] = np.tanh(deviation / _SIGMAS[self.category[on_sale]])
        self._rank()
        return changed

    def _reprice(self, rng: np.random.Generator, count: int) -> list[int]:
        on_sale = np.flatnonzero(self.available)
        chosen = rng.choice(on_sale, min(count, len(on_sale)), replace=False)
        before = self.cents[chosen]
        factors = rng.uniform(*PRICE_RANGE, len(chosen))
        self.cents[chosen] = np.maximum(np.rint(self.first_cents[chosen] * factors), 1).astype(np.int64)
        return chosen[self.cents[chosen] != before].tolist()

    def _withdraw(self, rng: np.random.Generator, count: int) -> list[int]:
        withdrawn: list[int] = []
        for number in rng.permutation(np.flatnonzero(self.available)).tolist():
            ranked = self._ranked[self.category[number]]
            if len(withdrawn) == count:
                break
            if len(ranked) > FEWEST:
                rank = ranked.index(number)
                del ranked[rank]
                self.available[number] = False
                self.instead[self.instead == number] = ranked[min(rank, len(ranked) - 1)]
                withdrawn.append(number)
        return withdrawn

    def _launch(self, rng: np.random.Generator, count: int) -> list[int]:
        """New products, with any popularity. None once their room is used up."""
        first = int(np.count_nonzero(self.first_cents))
        launched = list(range(first, min(first + count, len(self.ids))))
        deviation = np.zeros(len(self.ids))
        deviation[launched] = rng.standard_normal(len(launched))
        self.first_cents[launched] = self.cents[launched] = self._cents(deviation)[launched]
        self.available[launched] = True
        for number in launched:
            ranked = self._ranked[self.category[number]]
            ranked.insert(int(rng.integers(len(ranked) + 1)), number)
        return launched

    def records(self, products: list[int] | np.ndarray) -> list[Product]:
        """What is published of products."""
        return [
            Product(
                product_id=self.ids[number],
                category=CATEGORIES[self.category[number]],
                price=Decimal(int(self.cents[number])).scaleb(-2),
                available=bool(self.available[number]),
                valid_from=from_epoch_ms(int(self.valid_from[number])),
            )
            for number in products
        ]

    def known(self) -> np.ndarray:
        """The products that were ever on sale."""
        return np.flatnonzero(self.first_cents)


def change_ms(day: int) -> int:
    """When the changes of a day (from the epoch) take effect."""
    return day * DAY_MS + CHANGE_HOUR * DAY_MS // 24


def first_change(after_ms: int) -> int:
    """The first day (from the epoch) whose changes take effect after a time."""
    return max((after_ms - CHANGE_HOUR * DAY_MS // 24) // DAY_MS + 1, founded_day())


def founded_day() -> int:
    """From the epoch."""
    return midnight_ms(FOUNDED) // DAY_MS

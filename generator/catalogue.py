"""The shop's products: prices and popularity, drawn once from a seed.

A product belongs to the category that the contract gives its id. Prices are log-normal per category; the
popularity of a category's products follows Zipf's law.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from contracts.catalog import CATEGORIES, PRODUCT_CATEGORY
from generator.config import cumulative, rng_for

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


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Arrays over the products, in the order of the contract's ids; categories by their index in ``CATEGORIES``."""

    ids: list[str]
    category: np.ndarray
    cents: np.ndarray
    """Price in euro cents."""
    dearness: np.ndarray
    """How dear a product is within its category, about -1 to 1; its mean over views of the category is 0."""
    by_rank: np.ndarray
    """[category, rank] → product, the most popular first."""
    zipf: np.ndarray
    """Cumulative popularity over the ranks of a category."""

    @classmethod
    def draw(cls, seed: int) -> "Catalogue":
        rng = rng_for("catalogue", seed)
        ids = list(PRODUCT_CATEGORY)
        category = np.array([CATEGORIES.index(name) for name in PRODUCT_CATEGORY.values()], dtype=np.int64)
        trades = [TRADE[name] for name in CATEGORIES]
        medians = np.array([trade.median_price for trade in trades])[category]
        sigmas = np.array([trade.price_sigma for trade in trades])[category]
        deviation = rng.standard_normal(len(ids))
        cents = np.maximum(np.rint(medians * np.exp(sigmas * deviation) * 100), 1).astype(np.int64)

        by_rank = np.stack([rng.permutation(np.flatnonzero(category == index)) for index in range(len(CATEGORIES))])
        popularity = np.arange(1, by_rank.shape[1] + 1) ** -ZIPF_EXPONENT
        dearness = np.tanh(deviation)
        for products in by_rank:
            dearness[products] -= np.average(dearness[products], weights=popularity)
        return cls(ids, category, cents, dearness, by_rank, cumulative(popularity))

    def pick(self, rng: np.random.Generator, categories: np.ndarray) -> np.ndarray:
        """A product of each category, by popularity."""
        return self.by_rank[categories, np.searchsorted(self.zipf, rng.random(len(categories)), side="right")]

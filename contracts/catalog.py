"""The shop's catalogue as far as generator and jobs must agree on it: categories, product ids, warehouses.

Which products there are, and what they cost, is data: the generator publishes it (``contracts.products``).
"""

import re
from functools import lru_cache
from typing import Final

CATEGORIES: Final = (
    "electronics",
    "fashion",
    "home",
    "sports",
    "beauty",
    "toys",
    "books",
    "groceries",
    "garden",
    "automotive",
)
MAX_PRODUCTS: Final = 99_999
WAREHOUSES: Final = ("north", "south")
_PRODUCT_ID: Final = re.compile(r"P([0-9]{5})", re.ASCII)


def product_id(number: int) -> str:
    """The id of the product of this number, from 1 to :data:`MAX_PRODUCTS`."""
    return f"P{number:05d}"


@lru_cache(maxsize=2 * MAX_PRODUCTS)
def category_of(product: str) -> str | None:
    """The category of a product id, told by its number; None for what is no product id."""
    found = _PRODUCT_ID.fullmatch(product)
    number = int(found[1]) if found else 0
    return CATEGORIES[number % len(CATEGORIES)] if number else None

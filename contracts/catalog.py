"""The shop's catalogue as far as generator and jobs must agree on it: categories, product ids, warehouses."""

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
CATALOG_SIZE: Final = 2_000
WAREHOUSES: Final = ("north", "south")

PRODUCT_CATEGORY: Final[dict[str, str]] = {
    f"P{number:05d}": CATEGORIES[number % len(CATEGORIES)] for number in range(1, CATALOG_SIZE + 1)
}
"""Every product id of the catalogue with its category. A product outside it is refused as unknown."""

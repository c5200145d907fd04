"""How the shop's visitors behave: ``demo``, where much is bought, and ``realistic``, after what shops report.

README.md states both in words, and where the figures of ``realistic`` come from.
"""

from dataclasses import dataclass
from typing import Final

HOME, HOME_RETURNING, CATEGORY, PRODUCT, CART, CHECKOUT, SEARCH, REMOVAL = range(8)
TO_CATEGORY, TO_PRODUCT, TO_CHECKOUT, TO_PURCHASE, TO_CART, TO_SEARCH, TO_REMOVAL, TO_EXIT = range(8)

Chances = dict[int, tuple[float | None, ...]]
"""From a page to category, product, checkout, purchase, cart, search, removal; the rest leaves. ``None`` is the
category's own (``TRADE``)."""
NOWHERE: Final = (0.0,) * 7


@dataclass(frozen=True, slots=True)
class Preset:
    name: str
    chances: Chances
    devices: dict[str, float]
    """Share of the visitors who prefer each."""
    preferred_device: float
    """How often it is used; else any."""
    quantity: tuple[float, ...]
    """Chances of 1, 2, … pieces put into the cart."""
    hours: tuple[float, ...]
    """Relative intensity of arrivals at each full hour; in between it is interpolated, round the clock."""
    pages: float
    """Pages of a person's session on average, found by playing."""
    activity_sigma: float = 1.0
    """Standard deviation of ln(activity): a few visitors come many times a day, most rarely."""
    zone: str = "UTC"
    """Time zone of ``hours`` and of the weekdays."""
    entries: dict[str, tuple[float, ...]] | None = None
    """By referrer, chances that a session begins on home, a product, a search, a category; None: on home."""
    bounces: dict[str, float] | None = None
    """By device, the chance that a session has one page only; None: as from any other page."""
    to_cart: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Factors of product → cart on desktop, mobile, tablet."""
    to_purchase: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Factors of checkout → purchase on desktop, mobile, tablet."""
    eagerness: dict[str, float] | None = None
    """By referrer, a factor of product → cart; None: 1."""
    again: float = 1.0
    """The same once something is in the cart."""
    anonymous: float = 0.0
    """Share of the visitors who have no account."""
    returned: float = 0.0
    """Share of the sales that come back, 3 to 14 days later."""


DEMO: Final = Preset(
    "demo",
    {
        HOME: (0.55, 0.15, 0.0, 0.0, 0.0, 0.0, 0.0),
        HOME_RETURNING: (0.35, 0.45, 0.0, 0.0, 0.0, 0.0, 0.0),
        CATEGORY: (0.08, 0.62, 0.0, 0.0, 0.0, 0.0, 0.0),
        PRODUCT: (0.15, 0.30, 0.0, 0.0, None, 0.0, 0.0),
        CART: (0.0, 0.22, 0.62, 0.0, 0.0, 0.0, 0.0),
        CHECKOUT: (0.0, 0.0, 0.0, None, 0.0, 0.0, 0.0),
        SEARCH: NOWHERE,
        REMOVAL: NOWHERE,
    },
    {"desktop": 0.36, "mobile": 0.56, "tablet": 0.08},
    0.8,
    (0.78, 0.15, 0.05, 0.02),
    (30, 18, 11, 8, 8, 14, 32, 62, 92, 112, 122, 126, 134, 128, 118, 114, 118, 128, 146, 168, 180, 164, 116, 64),
    3.1,
)

REALISTIC: Final = Preset(
    "realistic",
    {
        HOME: (0.45, 0.25, 0.0, 0.0, 0.0, 0.30, 0.0),
        HOME_RETURNING: (0.25, 0.55, 0.0, 0.0, 0.0, 0.20, 0.0),
        CATEGORY: (0.12, 0.58, 0.0, 0.0, 0.0, 0.06, 0.0),
        PRODUCT: (0.16, 0.34, 0.0, 0.0, None, 0.08, 0.0),
        CART: (0.08, 0.36, 0.20, 0.0, 0.0, 0.02, 1 / 3),
        CHECKOUT: (0.0, 0.0, 0.0, None, 0.0, 0.0, 0.0),
        SEARCH: (0.06, 0.60, 0.0, 0.0, 0.0, 0.10, 0.0),
        REMOVAL: (0.15, 0.60, 0.0, 0.0, 0.0, 0.05, 0.0),
    },
    {"desktop": 0.32, "mobile": 0.65, "tablet": 0.03},
    1.0,
    (0.66, 0.20, 0.09, 0.05),
    (38, 22, 13, 9, 9, 16, 42, 84, 128, 158, 172, 164, 156, 150, 146, 142, 140, 142, 150, 168, 186, 168, 120, 72),
    3.4,
    activity_sigma=1.2,
    zone="Europe/Berlin",
    entries={
        "direct": (0.70, 0.15, 0.05, 0.10),
        "search": (0.25, 0.50, 0.05, 0.20),
        "social": (0.20, 0.60, 0.0, 0.20),
        "email": (0.20, 0.30, 0.0, 0.50),
        "ads": (0.15, 0.50, 0.0, 0.35),
    },
    bounces={"desktop": 0.42, "mobile": 0.50, "tablet": 0.45},
    to_cart=(0.455, 0.525, 0.465),
    to_purchase=(0.85, 0.53, 0.72),
    eagerness={"direct": 1.1, "search": 1.0, "social": 0.6, "email": 1.6, "ads": 0.8},
    again=5.3,
    anonymous=0.5,
    returned=0.2,
)
PRESETS: Final = {preset.name: preset for preset in (DEMO, REALISTIC)}

BOT_CHANCES: Final[Chances] = {
    HOME: (0.60, 0.35, 0.0, 0.0, 0.0, 0.0, 0.0),
    HOME_RETURNING: (0.60, 0.35, 0.0, 0.0, 0.0, 0.0, 0.0),
    CATEGORY: (0.15, 0.80, 0.0, 0.0, 0.0, 0.0, 0.0),
    PRODUCT: (0.10, 0.85, 0.0, 0.0, 0.0, 0.0, 0.0),
    CART: NOWHERE,
    CHECKOUT: NOWHERE,
    SEARCH: (0.15, 0.80, 0.0, 0.0, 0.0, 0.0, 0.0),
    REMOVAL: NOWHERE,
}
"""Of a bot, which walks through categories and products, 20 pages on average, and buys nothing."""
BOT_PAGES: Final = 20.0
BOT_PACE: Final = 0.1
"""A bot's time on a page, as a share of a person's."""

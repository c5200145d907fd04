"""What happens in a session: a Markov walk Home → Category → Product → Cart → Checkout → Purchase.

Each page leads to the next with a chance that depends on the page and the category (README.md has the table); all
sessions of a block walk together, one page at a time.
"""

from dataclasses import dataclass
from typing import Final, get_args

import numpy as np

from contracts.catalog import CATALOG_SIZE, CATEGORIES
from contracts.events import PaymentMethod, Referrer
from generator.catalogue import TRADE, Catalogue
from generator.config import cumulative
from generator.visitors import COUNTRIES, DEVICES, Visitors

HOME, HOME_RETURNING, CATEGORY, PRODUCT, CART, CHECKOUT = range(6)
TO_CATEGORY, TO_PRODUCT, TO_CHECKOUT, TO_PURCHASE, TO_CART, TO_EXIT = range(6)

PRODUCT_TO_CATEGORY: Final = 0.15
PRODUCT_TO_PRODUCT: Final = 0.30
CHANCES: Final = {
    # from: (category, product, checkout, purchase, cart); the rest leaves
    HOME: (0.55, 0.15, 0.0, 0.0, 0.0),
    HOME_RETURNING: (0.35, 0.45, 0.0, 0.0, 0.0),
    CATEGORY: (0.08, 0.62, 0.0, 0.0, 0.0),
    PRODUCT: (PRODUCT_TO_CATEGORY, PRODUCT_TO_PRODUCT, 0.0, 0.0, None),
    CART: (0.0, 0.22, 0.62, 0.0, 0.0),
    CHECKOUT: (0.0, 0.0, 0.0, None, 0.0),
}
"""Chances of the next page; ``None`` is the category's own (``TRADE``)."""

DWELL_SECONDS: Final = {HOME: 8.0, HOME_RETURNING: 8.0, CATEGORY: 15.0, PRODUCT: 25.0, CART: 15.0, CHECKOUT: 45.0}
"""Median time on a page; log-normal."""
DWELL_SIGMA: Final = 0.8
MIN_DWELL_MS: Final = 200
MAX_PAGES: Final = 100
"""A longer session is broken off; about one in 10^12 gets there."""
FAVOURITE_SHARE: Final = 0.6
"""How often a visitor chooses one of the two favourite categories rather than any by its interest."""
FIRST_FAVOURITE: Final = 0.7
PREFERRED_DEVICE: Final = 0.8
QUANTITY: Final = (0.78, 0.15, 0.05, 0.02)
"""Chances of 1, 2, 3 and 4 pieces put into the cart."""
REFERRERS: Final[tuple[str, ...]] = get_args(Referrer)
REFERRER_SHARES: Final = {"direct": 0.30, "search": 0.36, "social": 0.14, "email": 0.09, "ads": 0.11}
PAYMENTS: Final[tuple[str, ...]] = get_args(PaymentMethod)
PAYMENT_SHARES: Final = {"card": 0.55, "paypal": 0.27, "transfer": 0.08, "invoice": 0.10}

# A view numbers what a click shows: home, a category, a product's page, the cart with a product, the checkout.
VIEW_HOME: Final = 0
VIEW_CATEGORY: Final = 1
VIEW_PRODUCT: Final = VIEW_CATEGORY + len(CATEGORIES)
VIEW_CART: Final = VIEW_PRODUCT + CATALOG_SIZE
VIEW_CHECKOUT: Final = VIEW_CART + CATALOG_SIZE

CLICK_ROW: Final = np.dtype(
    [("send", "i8"), ("time", "i8"), ("session", "i8"), ("user", "i4"), ("view", "i2"), ("origin", "i2")]
)
"""``origin`` numbers device, referrer and country together: see ``origin``."""
PURCHASE_ROW: Final = np.dtype(
    [
        ("send", "i8"),
        ("time", "i8"),
        ("session", "i8"),
        ("user", "i4"),
        ("product", "i2"),
        ("quantity", "i2"),
        ("payment", "i2"),
    ]
)


def origin(device: np.ndarray, referrer: np.ndarray, country: np.ndarray) -> np.ndarray:
    return (device * len(REFERRERS) + referrer) * len(COUNTRIES) + country


def _thresholds() -> np.ndarray:
    """[from, category, to]: cumulative chances of the destinations, in the order of the ``TO_`` constants."""
    table = np.empty((len(CHANCES), len(CATEGORIES), 6))
    for page, chances in CHANCES.items():
        for index, name in enumerate(CATEGORIES):
            own = TRADE[name].to_purchase if page == CHECKOUT else TRADE[name].to_cart
            table[page, index, :5] = np.cumsum([own if chance is None else chance for chance in chances])
    table[:, :, 5] = 1.0
    return table


@dataclass(frozen=True, slots=True)
class Tables:
    """What every step looks up."""

    thresholds: np.ndarray
    to_cart: np.ndarray
    dwell: np.ndarray
    interest: np.ndarray
    referrers: np.ndarray
    payments: np.ndarray
    quantities: np.ndarray

    @classmethod
    def build(cls) -> "Tables":
        return cls(
            _thresholds(),
            np.array([TRADE[name].to_cart for name in CATEGORIES]),
            np.log([DWELL_SECONDS[page] * 1000 for page in range(len(DWELL_SECONDS))]),
            cumulative(TRADE[name].interest for name in CATEGORIES),
            cumulative(REFERRER_SHARES[name] for name in REFERRERS),
            cumulative(PAYMENT_SHARES[name] for name in PAYMENTS),
            cumulative(QUANTITY),
        )


def _draw(rng: np.random.Generator, cumulated: np.ndarray, count: int) -> np.ndarray:
    return np.searchsorted(cumulated, rng.random(count), side="right")


class Walk:
    """Plays sessions of the visitors through the catalogue."""

    def __init__(self, visitors: Visitors, catalogue: Catalogue) -> None:
        self.visitors = visitors
        self.catalogue = catalogue
        self._tables = Tables.build()

    def play(
        self, rng: np.random.Generator, begins: np.ndarray, wanted: np.ndarray, first_session: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """All clicks and purchases of the sessions that begin at ``begins`` (ms), numbered from ``first_session``.

        ``wanted`` is the category that the session keeps to, or -1.
        """
        tables, visitors, catalogue = self._tables, self.visitors, self.catalogue
        count = len(begins)
        user = _draw(rng, visitors.activity, count)
        device = np.where(
            rng.random(count) < PREFERRED_DEVICE, visitors.device[user], rng.integers(0, len(DEVICES), count)
        )
        origins = origin(device, _draw(rng, tables.referrers, count), visitors.country[user])
        returning = (rng.random(count) < visitors.return_rate[user]) & (wanted < 0)

        session = np.arange(count)
        page = np.where(returning, HOME_RETURNING, HOME)
        category = np.zeros(count, dtype=np.int64)
        product = np.zeros(count, dtype=np.int64)
        view = np.full(count, VIEW_HOME)
        now = begins.copy()
        clicks: list[np.ndarray] = []
        carts: list[tuple[np.ndarray, np.ndarray]] = []
        orders: list[tuple[np.ndarray, np.ndarray]] = []

        for _ in range(MAX_PAGES):
            if not len(session):
                break
            rows = np.empty(len(session), dtype=CLICK_ROW)
            rows["time"] = now
            rows["session"] = session
            rows["user"] = user[session]
            rows["view"] = view
            rows["origin"] = origins[session]
            clicks.append(rows)

            chance = rng.random(len(session))
            thresholds = tables.thresholds[page, category]
            on_product = np.flatnonzero(page == PRODUCT)
            reluctance = visitors.sensitivity[user[session[on_product]]] * catalogue.dearness[product[on_product]]
            thresholds[on_product, TO_CART] -= tables.to_cart[category[on_product]] * reluctance
            to = (chance[:, None] >= thresholds).sum(axis=1)
            dwell = np.exp(tables.dwell[page] + DWELL_SIGMA * rng.standard_normal(len(session)))
            now = now + MIN_DWELL_MS + dwell.astype(np.int64)

            bought = to == TO_PURCHASE
            orders.append((session[bought], now[bought]))
            stays = np.flatnonzero((to != TO_PURCHASE) & (to != TO_EXIT))
            session, page, category, product, now, to = (
                values[stays] for values in (session, page, category, product, now, to)
            )

            chooses = np.flatnonzero((to == TO_CATEGORY) | ((to == TO_PRODUCT) & (page == HOME)))
            category[chooses] = self._choose_category(rng, user[session[chooses]], wanted[session[chooses]])
            wishes = np.flatnonzero((to == TO_PRODUCT) & (page == HOME_RETURNING))
            looks = np.flatnonzero((to == TO_PRODUCT) & (page != HOME_RETURNING))
            product[looks] = catalogue.pick(rng, category[looks])
            product[wishes] = visitors.wish[user[session[wishes]]]
            category[wishes] = catalogue.category[product[wishes]]

            page = _PAGE_OF[to]
            view = _FIRST_VIEW[to] + np.where(to == TO_CATEGORY, category, np.where(to == TO_CHECKOUT, 0, product))
            carted = to == TO_CART
            carts.append((session[carted], product[carted]))

        walked = np.concatenate(clicks)
        walked["session"] += first_session
        purchases = self._orders(rng, user, carts, orders)
        purchases["session"] += first_session
        return walked, purchases

    def _choose_category(self, rng: np.random.Generator, user: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        which = (rng.random(len(user)) >= FIRST_FAVOURITE).astype(np.int64)
        favourite = self.visitors.favourites[user, which]
        any_category = _draw(rng, self._tables.interest, len(user))
        free = np.where(rng.random(len(user)) < FAVOURITE_SHARE, favourite, any_category)
        return np.where(wanted >= 0, wanted, free)

    def _orders(
        self,
        rng: np.random.Generator,
        user: np.ndarray,
        carts: list[tuple[np.ndarray, np.ndarray]],
        orders: list[tuple[np.ndarray, np.ndarray]],
    ) -> np.ndarray:
        """A purchase for each product in the cart of each session that bought; a product put in twice adds up."""
        bought_at = np.full(len(user), -1, dtype=np.int64)
        for sessions, times in orders:
            bought_at[sessions] = times
        session = np.concatenate([sessions for sessions, _ in carts])
        product = np.concatenate([products for _, products in carts])
        bought = bought_at[session] >= 0
        lines, line = np.unique(session[bought] * CATALOG_SIZE + product[bought], return_inverse=True)
        pieces = 1 + _draw(rng, self._tables.quantities, len(line))
        rows = np.empty(len(lines), dtype=PURCHASE_ROW)
        rows["session"], rows["product"] = np.divmod(lines, CATALOG_SIZE)
        rows["quantity"] = np.bincount(line, weights=pieces, minlength=len(lines))
        rows["time"] = bought_at[rows["session"]]
        rows["user"] = user[rows["session"]]
        payment = _draw(rng, self._tables.payments, len(user))
        rows["payment"] = payment[rows["session"]]
        return rows


_PAGE_OF: Final = np.array([CATEGORY, PRODUCT, CHECKOUT, -1, CART, -1])
_FIRST_VIEW: Final = np.array([VIEW_CATEGORY, VIEW_PRODUCT, VIEW_CHECKOUT, -1, VIEW_CART, -1])

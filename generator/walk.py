"""What happens in a session: a Markov walk Home → Category → Product → Cart → Checkout → Purchase.

Each page leads to the next with a chance that depends on the page and the category (README.md has the table); all
sessions of a block walk together, one page at a time.
"""

from dataclasses import dataclass
from typing import Final, get_args

import numpy as np

from contracts.catalog import CATEGORIES, MAX_PRODUCTS
from contracts.events import PaymentMethod, Referrer
from generator.catalogue import TRADE, Catalogue
from generator.config import cumulative
from generator.presets import (
    BOT_CHANCES,
    BOT_PACE,
    BOT_PAGES,
    CART,
    CATEGORY,
    CHECKOUT,
    HOME,
    HOME_RETURNING,
    PRODUCT,
    REMOVAL,
    SEARCH,
    TO_CART,
    TO_CATEGORY,
    TO_EXIT,
    TO_PRODUCT,
    TO_PURCHASE,
    TO_REMOVAL,
    Chances,
    Preset,
)
from generator.records import WHEN, joined
from generator.visitors import COUNTRIES, DEVICES, Visitors

DWELL_SECONDS: Final = {
    HOME: 8.0,
    HOME_RETURNING: 8.0,
    CATEGORY: 15.0,
    PRODUCT: 25.0,
    CART: 15.0,
    CHECKOUT: 45.0,
    SEARCH: 12.0,
    REMOVAL: 8.0,
}
"""Median time on a page; log-normal."""
DWELL_SIGMA: Final = 0.8
MIN_DWELL_MS: Final = 200
MAX_PAGES: Final = 100
"""A longer session is broken off; about one in 10^12 gets there."""
FAVOURITE_SHARE: Final = 0.6
"""How often a visitor chooses one of the two favourite categories rather than any by its interest."""
FIRST_FAVOURITE: Final = 0.7
REFERRERS: Final[tuple[str, ...]] = get_args(Referrer)
REFERRER_SHARES: Final = {"direct": 0.30, "search": 0.36, "social": 0.14, "email": 0.09, "ads": 0.11}
PAYMENTS: Final[tuple[str, ...]] = get_args(PaymentMethod)
PAYMENT_SHARES: Final = {"card": 0.55, "paypal": 0.27, "transfer": 0.08, "invoice": 0.10}

# A view numbers what a click shows: first the pages without a product, then for each product its page, the cart with it
# and the cart without it.
VIEW_HOME, VIEW_CHECKOUT, VIEW_SEARCH, VIEW_CATEGORY = range(4)
VIEW_PRODUCT, VIEW_CART, VIEW_REMOVAL = range(VIEW_CATEGORY + len(CATEGORIES), VIEW_CATEGORY + len(CATEGORIES) + 3)
VIEWS_OF_PRODUCT: Final = 3
BOT: Final = len(DEVICES)
"""The kind of a session is its device, or this."""

VISIT: Final = [("held", "?"), ("session", "i8"), ("user", "i4"), ("unknown", "?")]
"""``unknown``: a visitor without an account whom the shop does not know again; the visit is all that it sees."""
CLICK_ROW: Final = np.dtype([*WHEN, *VISIT, ("view", "i4"), ("origin", "i2")])
"""``origin`` numbers device, referrer and country together: see ``origin``."""
PURCHASE_ROW: Final = np.dtype(
    [
        *WHEN,
        *VISIT,
        ("product", "i4"),
        ("quantity", "i2"),
        ("cents", "i8"),
        ("payment", "i2"),
    ]
)


def origin(device: np.ndarray, referrer: np.ndarray, country: np.ndarray) -> np.ndarray:
    return (device * len(REFERRERS) + referrer) * len(COUNTRIES) + country


def _thresholds(chances: Chances, to_cart: float, to_purchase: float) -> np.ndarray:
    """[from, category, to]: cumulative chances of the destinations, in the order of the ``TO_`` constants."""
    table = np.empty((len(chances), len(CATEGORIES), TO_EXIT + 1))
    for page, row in chances.items():
        for index, name in enumerate(CATEGORIES):
            own = TRADE[name].to_purchase * to_purchase if page == CHECKOUT else TRADE[name].to_cart * to_cart
            table[page, index, :TO_EXIT] = np.cumsum([own if chance is None else chance for chance in row])
    table[:, :, TO_EXIT] = 1.0
    return table


@dataclass(frozen=True, slots=True)
class Tables:
    """What every step looks up."""

    thresholds: np.ndarray
    """[kind, from, category, to]"""
    to_cart: np.ndarray
    """[kind, category]"""
    dwell: np.ndarray
    interest: np.ndarray
    referrers: np.ndarray
    payments: np.ndarray
    quantities: np.ndarray
    entries: np.ndarray | None
    """[referrer, entry]: cumulative, entries in the order of ``_ENTRIES``"""
    bounces: np.ndarray | None
    """By kind."""
    eagerness: np.ndarray
    """By referrer."""

    @classmethod
    def build(cls, preset: Preset) -> "Tables":
        factors = list(zip(preset.to_cart, preset.to_purchase, strict=True))
        own = np.array([TRADE[name].to_cart for name in CATEGORIES])
        return cls(
            np.stack([_thresholds(preset.chances, *each) for each in factors] + [_thresholds(BOT_CHANCES, 0.0, 0.0)]),
            np.stack([own * to_cart for to_cart, _ in factors] + [own * 0.0]),
            np.log([DWELL_SECONDS[page] * 1000 for page in range(len(DWELL_SECONDS))]),
            cumulative(TRADE[name].interest for name in CATEGORIES),
            cumulative(REFERRER_SHARES[name] for name in REFERRERS),
            cumulative(PAYMENT_SHARES[name] for name in PAYMENTS),
            cumulative(preset.quantity),
            np.stack([cumulative(preset.entries[name]) for name in REFERRERS]) if preset.entries else None,
            np.array([*(preset.bounces[name] for name in DEVICES), 0.0]) if preset.bounces else None,
            np.array([preset.eagerness[name] if preset.eagerness else 1.0 for name in REFERRERS]),
        )


def _draw(rng: np.random.Generator, cumulated: np.ndarray, count: int) -> np.ndarray:
    return np.searchsorted(cumulated, rng.random(count), side="right")


class Walk:
    """Plays sessions of the visitors through the catalogue."""

    def __init__(self, visitors: Visitors, catalogue: Catalogue, preset: Preset, bots: float = 0.0) -> None:
        """``bots`` make this share of the pages seen."""
        self.visitors = visitors
        self.catalogue = catalogue
        self._preset = preset
        self._tables = Tables.build(preset)
        self._bot_sessions = bots * preset.pages / (bots * preset.pages + (1 - bots) * BOT_PAGES)

    def play(
        self,
        rng: np.random.Generator,
        begins: np.ndarray,
        wanted: np.ndarray,
        first_session: int,
        known: np.ndarray | float = 1.0,
    ) -> tuple[np.ndarray, np.ndarray]:
        """All clicks and purchases of the sessions that begin at ``begins`` (ms), numbered from ``first_session``.

        ``wanted`` is the category that the session keeps to, or -1; ``known`` the cumulative activity of the visitors
        who know the shop at the time.
        """
        tables, visitors, catalogue = self._tables, self.visitors, self.catalogue
        count = len(begins)
        user = np.searchsorted(visitors.activity, rng.random(count) * known, side="right")
        is_bot = np.zeros(count, dtype=bool)
        if self._bot_sessions:
            is_bot = rng.random(count) < self._bot_sessions
            user[is_bot] = rng.integers(len(visitors.activity), len(visitors.ids), np.count_nonzero(is_bot))
        device = np.where(
            rng.random(count) < self._preset.preferred_device,
            visitors.device[user],
            rng.integers(0, len(DEVICES), count),
        )
        referrer = _draw(rng, tables.referrers, count)
        origins = origin(device, referrer, visitors.country[user])
        returning = (rng.random(count) < visitors.return_rate[user]) & (wanted < 0)
        unknown = visitors.anonymous[user] & ~returning
        kind = np.where(is_bot, BOT, device)
        eagerness = tables.eagerness[referrer]

        session = np.arange(count)
        page, category, product, view = self._enter(rng, user, referrer, returning, wanted)
        now = begins.copy()
        clicks: list[np.ndarray] = []
        carts: list[tuple[np.ndarray, np.ndarray]] = []
        removals: list[tuple[np.ndarray, np.ndarray]] = []
        orders: list[tuple[np.ndarray, np.ndarray]] = []

        for step in range(MAX_PAGES):
            if not len(session):
                break
            rows = np.zeros(len(session), dtype=CLICK_ROW)
            rows["time"] = now
            rows["session"] = session
            rows["user"] = user[session]
            rows["unknown"] = unknown[session]
            rows["view"] = view
            rows["origin"] = origins[session]
            clicks.append(rows)

            chance = rng.random(len(session))
            thresholds = tables.thresholds[kind[session], page, category]
            on_product = np.flatnonzero(page == PRODUCT)
            there = session[on_product]
            reluctance = visitors.sensitivity[user[there]] * catalogue.dearness[product[on_product]]
            reluctance = 1 - eagerness[there] * (1 - reluctance)
            change = tables.to_cart[kind[there], category[on_product]] * reluctance
            thresholds[on_product, TO_CART:TO_EXIT] -= change[:, None]
            if step == 0 and tables.bounces is not None:
                chance *= thresholds[:, TO_EXIT - 1]  # leads on, but for those who leave at once
            to = (chance[:, None] >= thresholds).sum(axis=1)
            if step == 0 and tables.bounces is not None:
                to[rng.random(len(session)) < tables.bounces[kind]] = TO_EXIT
            dwell = np.exp(tables.dwell[page] + DWELL_SIGMA * rng.standard_normal(len(session)))
            dwell[is_bot[session]] *= BOT_PACE
            now = now + MIN_DWELL_MS + dwell.astype(np.int64)

            bought = to == TO_PURCHASE
            orders.append((session[bought], now[bought]))
            stays = np.flatnonzero((to != TO_PURCHASE) & (to != TO_EXIT))
            session, page, category, product, now, to = (
                values[stays] for values in (session, page, category, product, now, to)
            )

            chooses = np.flatnonzero((to == TO_CATEGORY) | ((to == TO_PRODUCT) & ((page == HOME) | (page == SEARCH))))
            category[chooses] = self._choose_category(rng, user[session[chooses]], wanted[session[chooses]])
            wishes = np.flatnonzero((to == TO_PRODUCT) & (page == HOME_RETURNING))
            looks = np.flatnonzero((to == TO_PRODUCT) & (page != HOME_RETURNING))
            product[looks] = catalogue.pick(rng, category[looks])
            product[wishes] = catalogue.instead[visitors.wish[user[session[wishes]]]]
            category[wishes] = catalogue.category[product[wishes]]

            page = _PAGE_OF[to]
            view = _view(page, category, product)
            carted, removed = to == TO_CART, to == TO_REMOVAL
            carts.append((session[carted], product[carted]))
            removals.append((session[removed], product[removed]))
            eagerness[session[carted]] = tables.eagerness[referrer[session[carted]]] * self._preset.again

        walked = joined(clicks)
        walked["session"] += first_session
        purchases = self._orders(rng, user, carts, removals, orders)
        purchases["unknown"] = unknown[purchases["session"]]
        purchases["session"] += first_session
        return walked, purchases

    def _enter(
        self,
        rng: np.random.Generator,
        user: np.ndarray,
        referrer: np.ndarray,
        returning: np.ndarray,
        wanted: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Page, category, product and view with which sessions begin."""
        page = np.where(returning, HOME_RETURNING, HOME)
        category = np.zeros(len(user), dtype=np.int64)
        product = np.zeros(len(user), dtype=np.int64)
        if self._tables.entries is not None:
            entry = (rng.random(len(user))[:, None] >= self._tables.entries[referrer]).sum(axis=1)
            page = np.where(entry == 0, page, _ENTRIES[entry])
            category = self._choose_category(rng, user, wanted)
            product = self.catalogue.pick(rng, category)
        return page, category, product, _view(page, category, product)

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
        removals: list[tuple[np.ndarray, np.ndarray]],
        orders: list[tuple[np.ndarray, np.ndarray]],
    ) -> np.ndarray:
        """A purchase for each product in the cart of each session that bought; a product put in twice adds up.

        ``carts`` and ``removals`` are what was put in and taken out at each step.
        """
        bought_at = np.full(len(user), -1, dtype=np.int64)
        for sessions, times in orders:
            bought_at[sessions] = times
        put, added = _in_cart(carts)
        taken, removed = _in_cart(removals)
        bought = bought_at[put // MAX_PRODUCTS] >= 0
        put, added = put[bought], added[bought]
        if len(taken):
            last = dict(zip(taken.tolist(), removed.tolist(), strict=True))  # in the order of the steps
            put = put[added > np.array([last.get(line, -1) for line in put.tolist()])]
        lines, line = np.unique(put, return_inverse=True)
        pieces = 1 + _draw(rng, self._tables.quantities, len(line))
        rows = np.zeros(len(lines), dtype=PURCHASE_ROW)
        rows["session"], rows["product"] = np.divmod(lines, MAX_PRODUCTS)
        rows["quantity"] = np.bincount(line, weights=pieces, minlength=len(lines))
        rows["cents"] = self.catalogue.cents[rows["product"]]
        rows["time"] = bought_at[rows["session"]]
        rows["user"] = user[rows["session"]]
        payment = _draw(rng, self._tables.payments, len(user))
        rows["payment"] = payment[rows["session"]]
        return rows


def _in_cart(steps: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Session and product in one number, and the step, of what was put in or taken out."""
    lines = [sessions * MAX_PRODUCTS + products for sessions, products in steps]
    numbers = [np.full(len(each), step) for step, each in enumerate(lines)]
    return np.concatenate(lines), np.concatenate(numbers)


def _view(page: np.ndarray, category: np.ndarray, product: np.ndarray) -> np.ndarray:
    of_product = np.where(_SHOWS_PRODUCT[page], VIEWS_OF_PRODUCT * product, 0)
    return _FIRST_VIEW[page] + np.where(page == CATEGORY, category, of_product)


_PAGE_OF: Final = np.array([CATEGORY, PRODUCT, CHECKOUT, -1, CART, SEARCH, REMOVAL, -1])
"""By destination."""
_FIRST_VIEW: Final = np.array(
    [VIEW_HOME, VIEW_HOME, VIEW_CATEGORY, VIEW_PRODUCT, VIEW_CART, VIEW_CHECKOUT, VIEW_SEARCH, VIEW_REMOVAL]
)
"""By page."""
_SHOWS_PRODUCT: Final = np.isin(np.arange(REMOVAL + 1), (PRODUCT, CART, REMOVAL))
_ENTRIES: Final = np.array([HOME, PRODUCT, SEARCH, CATEGORY])

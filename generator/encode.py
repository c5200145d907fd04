"""Rows to JSON, a block at a time: NumPy prepares the columns, one format string a stream joins them.

The format strings are made for the fields of the contract's event types; a missing or unknown one is an error when the
shop opens. What fields in a row take from the same table is looked up as one text, with the fields' names.
"""

from collections.abc import Mapping
from typing import Any, Final, get_args

import numpy as np

from contracts.catalog import CATEGORIES
from contracts.events import CLICKS, INVENTORY, PURCHASES, Page, PaymentMethod, Purchase, Stream
from generator.catalogue import Catalogue
from generator.config import Config, entropy
from generator.stock import REASONS
from generator.visitors import ANONYMOUS, COUNTRIES, DEVICES, Visitors
from generator.walk import REFERRERS, VIEWS_OF_PRODUCT

Fields = str | tuple[str, ...]
_HEX: Final = np.frombuffer("".join(f"{byte:02x}" for byte in range(256)).encode(), dtype="u2")
_OF_MINUTE: Final = np.array([f'{ms // 1000:02d}.{ms % 1000:03d}Z"' for ms in range(60_000)], dtype=object)
_NULL: Final = "null"
_OF_VIEW: Final = ("page", "product_id", "category")
_OF_ORIGIN: Final = ("device", "referrer", "country")
_OF_PRODUCT: Final = ("product_id", "category")
(CURRENCY,) = get_args(Purchase.__annotations__["currency"])


class Lines:
    """The JSON texts of a stream's events."""

    def __init__(self, stream: Stream, columns: Mapping[Any, str]) -> None:
        """``columns``: by field, in their order, how it is written from a column, in the way of ``%``; without ``%`` it
        is always the same. A column for several fields in a row, then a tuple, has their names as well (:func:`named`).
        Raises ``TypeError`` where these are not the stream's fields.
        """
        given = [name for fields in columns for name in _names(fields)]
        if given != list(stream.event.__struct_fields__):
            raise TypeError(f"columns {given} are not the fields of {stream.name}, {stream.event.__struct_fields__}")
        written = (f'"{fields}":{text}' if isinstance(fields, str) else text for fields, text in columns.items())
        self._line = "{" + ",".join(written) + "}"

    def of(self, *columns: list[Any]) -> list[str]:
        """A text for each row of the columns, which are those that vary."""
        return list(map(self._line.__mod__, zip(*columns, strict=True)))


def _names(fields: Fields) -> tuple[str, ...]:
    return (fields,) if isinstance(fields, str) else fields


def quoted(texts: list[str] | tuple[str, ...]) -> np.ndarray:
    """JSON strings, to be looked up by index."""
    return np.array([f'"{text}"' for text in texts], dtype=object)


def named(fields: tuple[str, ...], *values: np.ndarray) -> np.ndarray:
    """JSON members of these fields, to be looked up by the index that the values have in common."""
    rows = zip(*values, strict=True)
    return np.array([",".join(map('"{}":{}'.format, fields, row)) for row in rows], dtype=object)


def times(ms: np.ndarray) -> list[str]:
    """Event times as JSON strings."""
    minutes, rest = np.divmod(ms, 60_000)
    there = np.zeros(np.ptp(minutes) + 1, dtype=bool)
    index = minutes - minutes.min()
    there[index] = True
    distinct = (minutes.min() + np.flatnonzero(there)).astype("datetime64[m]")
    texts = np.array([f'"{text}:' for text in np.datetime_as_string(distinct)], dtype=object)
    return (texts[(np.cumsum(there) - 1)[index]] + _OF_MINUTE[rest]).tolist()


def money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def total_cents(purchases: np.ndarray) -> np.ndarray:
    """What purchases cost in all, in euro cents."""
    return purchases["cents"] * purchases["quantity"]


class EventIds:
    """Version 4 UUIDs. Their first 32 bits name the run, and replicas' cannot meet; the rest is random."""

    def __init__(self, config: Config, rng: np.random.Generator, start: int) -> None:
        """``start`` tells runs of equal settings apart that must not repeat their ids; 0 for a day played."""
        run = entropy("events", config.identity, start) % 2**31
        replicas = config.share.replicas
        self.prefix = f"{run - run % replicas + config.share.replica:08x}"
        self._rng = rng

    def draw(self, count: int) -> list[str]:
        random = np.frombuffer(self._rng.bytes(12 * count), dtype="u1").reshape(count, 12).copy()
        random[:, 2] = random[:, 2] & 0x0F | 0x40
        random[:, 4] = random[:, 4] & 0x3F | 0x80
        digits = _HEX[random].view("u1").reshape(count, 24)
        text = np.full((count, 36), ord("-"), dtype="u4")
        text[:, :8] = np.frombuffer(self.prefix.encode(), dtype="u1")
        for start, width, source in ((9, 4, 0), (14, 4, 4), (19, 4, 8), (24, 12, 12)):
            text[:, start : start + width] = digits[:, source : source + width]
        ids: list[str] = text.view("U36").ravel().tolist()
        return ids


class Encoder:
    """JSON values and keys of rows, in the rows' order."""

    def __init__(
        self, prefix: str, catalogue: Catalogue, visitors: Visitors, warehouses: tuple[str, ...], critical: np.ndarray
    ) -> None:
        """``prefix`` begins session and order ids; ``critical`` is the threshold of each product and warehouse, now."""
        self._prefix = prefix
        self._critical = critical
        session, order = (f'"{kind}{prefix}-%x"' for kind in "so")
        when = {"event_id": '"%s"', "event_time": "%s"}
        self._click_lines = Lines(
            CLICKS, {**when, "user_id": '"%s"', "session_id": session, _OF_VIEW: "%s", _OF_ORIGIN: "%s"}
        )
        who = {"order_id": order, "user_id": '"%s"', "session_id": session}
        paid = {"unit_price": '"%s"', "total": '"%s"', "currency": f'"{CURRENCY}"', "payment_method": "%s"}
        self._purchase_lines = Lines(
            PURCHASES, {**when, **who, _OF_PRODUCT: "%s", "country": "%s", "quantity": "%d", **paid}
        )
        moved = {"product_id": "%s", "warehouse": "%s", "stock_level": "%d", "change": "%d", "reason": "%s"}
        self._inventory_lines = Lines(INVENTORY, {**when, **moved, "critical_threshold": "%d"})
        self._product_keys = np.array(catalogue.ids, dtype=object)
        self._user_keys = np.array(visitors.ids, dtype=object)
        self._user_countries = quoted(COUNTRIES)[visitors.country]
        self._products = quoted(catalogue.ids)
        self._categories = quoted(CATEGORIES)
        product_categories = self._categories[catalogue.category]
        self._sold = named(_OF_PRODUCT, self._products, product_categories)
        self._warehouses = quoted(warehouses)
        self._payments = quoted(get_args(PaymentMethod))
        self._reasons = quoted(REASONS)
        origins = [(device, referrer, country) for device in DEVICES for referrer in REFERRERS for country in COUNTRIES]
        self._origins = named(_OF_ORIGIN, *(quoted(texts) for texts in zip(*origins, strict=True)))

        # By view, in the numbering of walk.py.
        home, category, product, cart, checkout, search, removal = quoted(get_args(Page))
        plain = [home, checkout, search]
        pages = np.array(
            plain + [category] * len(CATEGORIES) + [product, cart, removal] * len(catalogue.ids), dtype=object
        )
        none = np.array([_NULL] * len(plain), dtype=object)
        of_no_product = np.array([_NULL] * (len(plain) + len(CATEGORIES)), dtype=object)
        products = np.concatenate([of_no_product, np.repeat(self._products, VIEWS_OF_PRODUCT)])
        categories = np.concatenate([none, self._categories, np.repeat(product_categories, VIEWS_OF_PRODUCT)])
        self._views = named(_OF_VIEW, pages, products, categories)

    def clicks(self, rows: np.ndarray, ids: list[str]) -> tuple[list[str], list[str]]:
        users = self._users(rows)
        values = self._click_lines.of(
            ids,
            times(rows["time"] + rows["skew"]),
            users,
            rows["session"].tolist(),
            self._views[rows["view"]].tolist(),
            self._origins[rows["origin"]].tolist(),
        )
        return values, users

    def purchases(self, rows: np.ndarray, ids: list[str]) -> tuple[list[str], list[str]]:
        users = self._users(rows)
        sessions = rows["session"].tolist()
        values = self._purchase_lines.of(
            ids,
            times(rows["time"] + rows["skew"]),
            sessions,  # a session has one order
            users,
            sessions,
            self._sold[rows["product"]].tolist(),
            self._user_countries[rows["user"]].tolist(),
            rows["quantity"].tolist(),
            list(map(money, rows["cents"].tolist())),
            list(map(money, total_cents(rows).tolist())),
            self._payments[rows["payment"]].tolist(),
        )
        return values, users

    def inventory(self, rows: np.ndarray, ids: list[str]) -> tuple[list[str], list[str]]:
        warehouse, product = np.divmod(rows["pair"], len(self._products))
        values = self._inventory_lines.of(
            ids,
            times(rows["time"] + rows["skew"]),
            self._products[product].tolist(),
            self._warehouses[warehouse].tolist(),
            rows["level"].tolist(),
            rows["change"].tolist(),
            self._reasons[rows["reason"]].tolist(),
            self._critical[rows["pair"]].tolist(),
        )
        return values, self._product_keys[product].tolist()

    def is_critical(self, rows: np.ndarray) -> np.ndarray:
        """``StockChange.is_critical`` of rows; a test compares them."""
        threshold = self._critical[rows["pair"]]
        return (rows["level"] <= threshold) & (threshold < rows["level"] - rows["change"])

    def _users(self, rows: np.ndarray) -> list[str]:
        users = self._user_keys[rows["user"]]
        unknown = np.flatnonzero(rows["unknown"])
        users[unknown] = [f"{ANONYMOUS}-{self._prefix}-{number:x}" for number in rows["session"][unknown].tolist()]
        return users.tolist()

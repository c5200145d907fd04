"""Rows to JSON, a block at a time: NumPy prepares the columns, one format string a stream joins them.

The format strings are made from the fields of the contract's event types; the columns are given by the same names, and
a missing or unknown one is an error at the first block.
"""

from typing import Any, Final, get_args

import numpy as np

from contracts.catalog import CATEGORIES
from contracts.events import CLICKS, INVENTORY, PURCHASES, Page, PaymentMethod, Purchase, Stream
from generator.catalogue import Catalogue
from generator.config import Config, entropy
from generator.stock import REASONS
from generator.visitors import ANONYMOUS, COUNTRIES, DEVICES, Visitors
from generator.walk import REFERRERS, VIEWS_OF_PRODUCT

_HEX: Final = np.frombuffer("".join(f"{byte:02x}" for byte in range(256)).encode(), dtype="u2")
_MILLISECONDS: Final = np.array([f'.{ms:03d}Z"' for ms in range(1000)], dtype=object)
_NULL: Final = "null"
(CURRENCY,) = get_args(Purchase.__annotations__["currency"])


def json_lines(stream: Stream, **columns: list[Any]) -> list[str]:
    """JSON texts of the stream's events from columns of JSON fragments, one column a field."""
    fields = stream.event.__struct_fields__
    if set(columns) != set(fields):
        raise TypeError(f"columns {sorted(columns)} are not the fields of {stream.name}, {sorted(fields)}")
    line = "{" + ",".join(f'"{field}":%s' for field in fields) + "}"
    return list(map(line.__mod__, zip(*(columns[field] for field in fields), strict=True)))


def quoted(texts: list[str] | tuple[str, ...]) -> np.ndarray:
    """JSON strings, to be looked up by index."""
    return np.array([f'"{text}"' for text in texts], dtype=object)


def times(ms: np.ndarray) -> list[str]:
    """Event times as JSON strings."""
    seconds, rest = np.divmod(ms, 1000)
    distinct, index = np.unique(seconds, return_inverse=True)
    texts = np.array([f'"{text}' for text in np.datetime_as_string(distinct.astype("datetime64[s]"))], dtype=object)
    return (texts[index] + _MILLISECONDS[rest]).tolist()


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
        text = np.full((count, 36), ord("-"), dtype="u1")
        text[:, :8] = np.frombuffer(self.prefix.encode(), dtype="u1")
        for start, width, source in ((9, 4, 0), (14, 4, 4), (19, 4, 8), (24, 12, 12)):
            text[:, start : start + width] = digits[:, source : source + width]
        joined = text.tobytes().decode("ascii")
        return [joined[at : at + 36] for at in range(0, 36 * count, 36)]


class Encoder:
    """JSON values and keys of rows, in the rows' order."""

    def __init__(
        self, prefix: str, catalogue: Catalogue, visitors: Visitors, warehouses: tuple[str, ...], critical: np.ndarray
    ) -> None:
        """``prefix`` begins session and order ids; ``critical`` is the threshold of each product and warehouse, now."""
        self._prefix = prefix
        self._critical = critical
        self._product_keys = np.array(catalogue.ids, dtype=object)
        self._user_keys = np.array(visitors.ids, dtype=object)
        self._products = quoted(catalogue.ids)
        self._categories = quoted(CATEGORIES)
        self._product_categories = self._categories[catalogue.category]
        self._warehouses = quoted(warehouses)
        self._payments = quoted(get_args(PaymentMethod))
        self._reasons = quoted(REASONS)
        origins = [(device, referrer, country) for device in DEVICES for referrer in REFERRERS for country in COUNTRIES]
        self._devices, self._referrers, self._countries = (quoted(texts) for texts in zip(*origins, strict=True))

        # By view, in the numbering of walk.py.
        home, category, product, cart, checkout, search, removal = quoted(get_args(Page))
        plain = [home, checkout, search]
        self._view_page = np.array(
            plain + [category] * len(CATEGORIES) + [product, cart, removal] * len(catalogue.ids), dtype=object
        )
        none = np.array([_NULL] * len(plain), dtype=object)
        of_no_product = np.array([_NULL] * (len(plain) + len(CATEGORIES)), dtype=object)
        self._view_product = np.concatenate([of_no_product, np.repeat(self._products, VIEWS_OF_PRODUCT)])
        self._view_category = np.concatenate(
            [none, self._categories, np.repeat(self._product_categories, VIEWS_OF_PRODUCT)]
        )

    def clicks(self, rows: np.ndarray, ids: list[str]) -> tuple[list[str], list[str]]:
        users = self._users(rows)
        view, origin = rows["view"], rows["origin"]
        values = json_lines(
            CLICKS,
            event_id=[f'"{text}"' for text in ids],
            event_time=times(rows["time"] + rows["skew"]),
            user_id=[f'"{user}"' for user in users],
            session_id=self._numbered("s", rows["session"]),
            page=self._view_page[view].tolist(),
            product_id=self._view_product[view].tolist(),
            category=self._view_category[view].tolist(),
            device=self._devices[origin].tolist(),
            referrer=self._referrers[origin].tolist(),
            country=self._countries[origin].tolist(),
        )
        return values, users

    def purchases(self, rows: np.ndarray, ids: list[str]) -> tuple[list[str], list[str]]:
        users = self._users(rows)
        product = rows["product"]
        values = json_lines(
            PURCHASES,
            event_id=[f'"{text}"' for text in ids],
            event_time=times(rows["time"] + rows["skew"]),
            order_id=self._numbered("o", rows["session"]),
            user_id=[f'"{user}"' for user in users],
            session_id=self._numbered("s", rows["session"]),
            product_id=self._products[product].tolist(),
            category=self._product_categories[product].tolist(),
            quantity=rows["quantity"].tolist(),
            unit_price=[f'"{money(cents)}"' for cents in rows["cents"].tolist()],
            total=[f'"{money(cents)}"' for cents in total_cents(rows).tolist()],
            currency=[f'"{CURRENCY}"'] * len(rows),
            payment_method=self._payments[rows["payment"]].tolist(),
        )
        return values, users

    def inventory(self, rows: np.ndarray, ids: list[str]) -> tuple[list[str], list[str]]:
        warehouse, product = np.divmod(rows["pair"], len(self._products))
        values = json_lines(
            INVENTORY,
            event_id=[f'"{text}"' for text in ids],
            event_time=times(rows["time"] + rows["skew"]),
            product_id=self._products[product].tolist(),
            warehouse=self._warehouses[warehouse].tolist(),
            stock_level=rows["level"].tolist(),
            change=rows["change"].tolist(),
            reason=self._reasons[rows["reason"]].tolist(),
            critical_threshold=self._critical[rows["pair"]].tolist(),
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

    def _numbered(self, kind: str, numbers: np.ndarray) -> list[str]:
        return [f'"{kind}{self._prefix}-{number:x}"' for number in numbers.tolist()]

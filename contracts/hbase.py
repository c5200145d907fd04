"""HBase's tables, the speed layer: families, qualifiers, row keys and the values of cells.

Writers, readers and docs/contracts.md take all of it from here; what a key is made of and how it is read back stand
side by side.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import blake2b
from struct import Struct
from typing import Any, Final, NamedTuple

import msgspec

from contracts.events import UNKNOWN_COUNTRY, epoch_ms
from contracts.topics import RETENTION

NOTHING: Final = Decimal("0.00")
"""No money, in EUR."""


class Progress(msgspec.Struct):
    """Up to which offset a Kafka partition is counted (``end``, the offset after the last one).

    ``newest_ms``: the running maximum of event times, milliseconds since 1970 UTC. ``topic_id``: Kafka's id of the
    topic that the offsets belong to. ``generation``: which rebuild made the tables, empty before the first. ``base``:
    what versions of cells are above offsets, the ends of topics of this name that were there before. ``whole``: whether
    the tables that came after version 0.1.0, ``traffic_by_minute`` and ``sales_by_minute``, have all below ``end`` too.
    """

    end: int = 0
    newest_ms: int | None = None
    topic_id: str = ""
    generation: str = ""
    base: int = 0
    whole: bool = False

    @property
    def version(self) -> int:
        """The version of cells that count up to here."""
        return self.base + self.end


UNCOUNTED: Final = Progress(whole=True)
"""Where a partition stands of which nothing is counted yet."""
REBUILDING: Final = "rebuilding"
"""The ``topic_id`` of progress while HBase is made anew from the landed files; the speed job does not go on from it."""


class Revenue(msgspec.Struct, omit_defaults=True):
    """On-time revenue of a minute (EUR) and how many purchases it is made of."""

    amount: Decimal = NOTHING
    purchases: int = 0
    orders: int = 0
    """What version 0.1.0 called ``purchases``; cells that it wrote are read, none is written."""

    def __post_init__(self) -> None:
        self.purchases, self.orders = self.purchases + self.orders, 0


class Stock(msgspec.Struct):
    """Stock after the newest change (``time``, UTC)."""

    level: int
    threshold: int
    time: datetime


class Visit(msgspec.Struct, omit_defaults=True):
    """The newest click of a user; ``category`` is the last one looked at, if any, at ``category_time``."""

    page: str
    category: str | None
    device: str
    country: str
    time: datetime
    category_time: datetime | None = None
    """Left out where it is ``time``, and by version 0.1.0."""

    def looked_at(self) -> datetime:
        """When the category was looked at."""
        return self.category_time or self.time


class Spending(msgspec.Struct, omit_defaults=True):
    """All purchases of a user: how many, their amount in EUR, and when the newest was made."""

    amount: Decimal
    time: datetime
    purchases: int = 0
    orders: int = 0
    """As in :class:`Revenue`."""

    def __post_init__(self) -> None:
        self.purchases, self.orders = self.purchases + self.orders, 0


def add_revenue(parts: Iterable[Revenue]) -> Revenue:
    """The sum of several minutes or partitions."""
    found = list(parts)
    return Revenue(sum((part.amount for part in found), NOTHING), sum(part.purchases for part in found))


class Traffic(msgspec.Struct, omit_defaults=True):
    """The clicks of a minute, each counted once: distinct users, and clicks by page.

    ``categories``: views of product pages by category. ``countries``: the users by country, that of their first click
    of the minute.
    """

    visitors: int = 0
    pages: dict[str, int] = {}
    categories: dict[str, int] = {}
    countries: dict[str, int] = {}


NONE_BOUGHT: Final = (NOTHING, 0, 0)
"""The fields of :class:`Bought` and :class:`Sold` where nothing is."""


class Bought(msgspec.Struct):
    """What was bought: amount in EUR, units, and purchases."""

    amount: Decimal
    units: int
    purchases: int

    def add(self, other: "Bought", sign: int = 1) -> None:
        """Counts ``other`` too; with the sign -1 no longer."""
        self.amount += sign * other.amount
        self.units += sign * other.units
        self.purchases += sign * other.purchases


class Sold(Bought, omit_defaults=True):
    """What was bought of a category, ``countries``: by which country's buyers, :data:`UNKNOWN_COUNTRY` among them.

    What was counted before the speed layer knew countries is in the sum alone.
    """

    countries: dict[str, Bought] = {}

    def by_country(self) -> dict[str, Bought]:
        """The whole sum by country; what is in it alone is of :data:`UNKNOWN_COUNTRY`."""
        rest = self.without_country()
        if not rest.purchases:
            return self.countries
        rest.add(self.countries.get(UNKNOWN_COUNTRY, Bought(*NONE_BOUGHT)))
        return {**self.countries, UNKNOWN_COUNTRY: rest}

    def without_country(self) -> Bought:
        """What is in the sum alone."""
        rest = Bought(self.amount, self.units, self.purchases)
        for bought in self.countries.values():
            rest.add(bought, -1)
        return rest


Sales = dict[str, Sold]
"""The purchases of a minute by category and country, those later than the watermark as well."""


def add_traffic(parts: Iterable[Traffic]) -> Traffic:
    """The sum of several partitions, or of minutes: a user counts as a visitor in each minute."""
    found = list(parts)
    return Traffic(
        sum(part.visitors for part in found),
        _sums(part.pages for part in found),
        _sums(part.categories for part in found),
        _sums(part.countries for part in found),
    )


def _sums(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for part in parts:
        sums.update(part)
    return dict(sorted(sums.items()))


def add_sales(parts: Iterable[Sales]) -> Sales:
    """The sum of several minutes or partitions."""
    sums: Sales = {}
    for part in parts:
        for category, sold in part.items():
            into = sums.setdefault(category, Sold(*NONE_BOUGHT))
            into.add(sold)
            for country, bought in sold.countries.items():
                into.countries.setdefault(country, Bought(*NONE_BOUGHT)).add(bought)
    for sold in sums.values():
        sold.countries = dict(sorted(sold.countries.items()))
    return dict(sorted(sums.items()))


def by_country(sales: Sales) -> dict[str, Bought]:
    """The sum over the categories, by country."""
    sums: dict[str, Bought] = {}
    for sold in sales.values():
        for country, bought in sold.by_country().items():
            sums.setdefault(country, Bought(*NONE_BOUGHT)).add(bought)
    return dict(sorted(sums.items()))


@dataclass(frozen=True, slots=True)
class Qualifier:
    """A column with a name of its own."""

    family: str
    name: str

    @property
    def column(self) -> bytes:
        return f"{self.family}:{self.name}".encode()


VALUE_FAMILY: Final = "v"
VISIT_FAMILY: Final = "c"
SPENDING_FAMILY: Final = "p"
LATE_AMOUNT: Final = Qualifier("l", "amount")
ALERT: Final = Qualifier("a", "alert")
SEEN_AT: Final = Qualifier("o", "at")


def partition_column(family: str, partition: int) -> bytes:
    """``v:3``: the column of a Kafka partition in a family that has one for each."""
    return f"{family}:{partition}".encode()


def partition_of(column: bytes) -> int:
    """The Kafka partition of a column."""
    return int(column.rpartition(b":")[2])


def family_of(column: bytes) -> str:
    return column.partition(b":")[0].decode()


def minute_key(minute: datetime) -> bytes:
    """The row key of a minute (an aware time) in the tables by minute, and the prefix of its in ``revenue_late``."""
    return f"{minute.astimezone(UTC):%Y%m%d%H%M}".encode()


def minute_of(key: bytes) -> datetime:
    """The minute (UTC) of a row key that :func:`minute_key` or :func:`late_key` made."""
    return datetime.strptime(key.partition(b"/")[0].decode(), "%Y%m%d%H%M").replace(tzinfo=UTC)


def late_key(event_time: datetime, event_id: str) -> bytes:
    """The row key of a late purchase in ``revenue_late``."""
    return minute_key(event_time) + f"/{event_id}".encode()


class SeenClick(NamedTuple):
    """A click in ``seen_clicks``: what :func:`digest` makes of its user and of its id, and the version it has there."""

    user: bytes
    event: bytes
    version: int


_SEEN_CLICK: Final = Struct(">16s16sq")


def digest(text: str) -> bytes:
    """16 bytes that stand for a user or an event (BLAKE2b, RFC 7693): nobody finds two texts with the same ones."""
    return blake2b(text.encode(), digest_size=16).digest()


def seen_key(minute: bytes, user: bytes) -> bytes:
    """The row key in ``seen_clicks`` of the users of a minute (its key) whose digests begin with the same byte.

    So the row that a late click needs is small, and those of the minute that just passes are 256 at any rate.
    """
    return minute + f"/{user[:1].hex()}".encode()


def seen_column(partition: int, begin: int, end: int) -> bytes:
    """The column in ``seen_clicks`` of what the versions ``[begin, end)`` of a partition were the first to have."""
    return f"{SEEN_AT.family}:{partition}/{begin}-{end}".encode()


def seen_partition(column: bytes) -> int:
    """The Kafka partition of a column that :func:`seen_column` made."""
    return int(column.partition(b":")[2].partition(b"/")[0])


def pack_seen(clicks: Iterable[SeenClick]) -> bytes:
    """The value of a cell of ``seen_clicks``: 40 bytes a click, the version as 8 bytes, big-endian."""
    return b"".join(_SEEN_CLICK.pack(*click) for click in clicks)


def unpack_seen(value: bytes) -> Iterator[SeenClick]:
    """The clicks of a cell. Raises ``struct.error`` for a value that :func:`pack_seen` did not make."""
    return map(SeenClick._make, _SEEN_CLICK.iter_unpack(value))


def stock_key(product_id: str, warehouse: str = "") -> bytes:
    """The row key of a product's stock in a warehouse; without one, the prefix of all of them."""
    return f"{product_id}/{warehouse}".encode()


def product_of(key: bytes) -> str:
    return key.decode().partition("/")[0]


def warehouse_of(key: bytes) -> str:
    return key.decode().partition("/")[2]


_LAST_MS: Final = 9_999_999_999_999


def alert_key(event_time: datetime, product_id: str, event_id: str) -> bytes:
    """The row key of an alert, also its key in the alerts topic: the newest sorts first."""
    reverse = _LAST_MS - epoch_ms(event_time)
    return f"{reverse:013d}/{product_id}/{event_id}".encode()


def seen_at(partition: int, offset: int) -> bytes:
    """The value of :data:`SEEN_AT`: where in the purchases' topic an event was first seen."""
    return f"{partition}/{offset}".encode()


@dataclass(frozen=True, slots=True)
class HBaseTable:
    """An HBase table: families with happybase's ``create_table`` options, and how its row key is made and scanned."""

    name: str
    families: dict[str, dict[str, Any]]
    row_key: str
    description: str


def _family(versions: int = 1, **options: Any) -> dict[str, Any]:
    """A family as happybase creates it; Thrift's own defaults are no block cache and no Bloom filter."""
    return {"max_versions": versions, "block_cache_enabled": True, "bloom_filter_type": "ROW", **options}


VERSIONED: Final[dict[str, dict[str, Any]]] = {VALUE_FAMILY: _family(3)}
"""A family with a column for each Kafka partition that feeds the row (``v:0``, ``v:1``, …), its value a JSON object.

The cell's version (HBase timestamp) is the offset up to which the value counts, so a value written again is the same
cell, an older one never hides a newer, and a replay reads what was there before its first offset.
"""

REVENUE_BY_MINUTE: Final = HBaseTable(
    "revenue_by_minute",
    VERSIONED,
    "minute as YYYYMMDDHHMM (UTC)",
    "Revenue on time: {amount, purchases} of a minute, absolute. A range of minutes is one scan; sum over the "
    "partitions.",
)
REVENUE_LATE: Final = HBaseTable(
    "revenue_late",
    {LATE_AMOUNT.family: _family()},
    "minute as YYYYMMDDHHMM (UTC), '/', event_id",
    "Purchases later than the watermark, left out of revenue_by_minute: one row an event, its total in l:amount.",
)
TRAFFIC_BY_MINUTE: Final = HBaseTable(
    "traffic_by_minute",
    VERSIONED,
    "minute as YYYYMMDDHHMM (UTC)",
    "{visitors, pages, categories, countries}: the users of a minute, its clicks by page, views of product pages by "
    "category, and the users by country; late ones and no copies. Sum over the partitions.",
)
SALES_BY_MINUTE: Final = HBaseTable(
    "sales_by_minute",
    VERSIONED,
    "minute as YYYYMMDDHHMM (UTC)",
    "{category: {amount, units, purchases, countries: {country: {amount, units, purchases}}}}: the purchases of a "
    "minute by category and the buyer's country, late ones too; their sum is that of revenue_by_minute and "
    "revenue_late. Sum over the partitions.",
)
STOCK: Final = HBaseTable(
    "stock",
    VERSIONED,
    "product_id, '/', warehouse",
    "{level, threshold, time} after the newest change; one product is one prefix scan, the newest time wins.",
)
USER_PROFILES: Final = HBaseTable(
    "user_profiles",
    {VISIT_FAMILY: _family(3), SPENDING_FAMILY: _family(3)},
    "user_id",
    "Of the clicks (c): {page, category, device, country, time, category_time} of the newest; of the purchases (p): "
    "{purchases, amount, time}. One user is one get.",
)
STOCK_ALERTS: Final = HBaseTable(
    "stock_alerts",
    {ALERT.family: _family()},
    "9999999999999 minus event time in ms (13 digits), '/', product_id, '/', event_id",
    "Critical-stock alerts, newest first; a:alert is the JSON also sent to the alerts topic.",
)
_KEPT_SECONDS: Final = int(RETENTION.total_seconds())
"""As long as Kafka keeps what may be a copy."""
SEEN_PURCHASES: Final = HBaseTable(
    "seen_purchases",
    {SEEN_AT.family: _family(time_to_live=_KEPT_SECONDS)},
    "event_id",
    "Where a purchase was first seen (o:at, '<partition>/<offset>'), so that its copies count once. Kept 7 days.",
)
SEEN_CLICKS: Final = HBaseTable(
    "seen_clicks",
    {SEEN_AT.family: _family(time_to_live=_KEPT_SECONDS)},
    "minute as YYYYMMDDHHMM (UTC), '/', first byte of the users' digests (2 hex digits)",
    "The clicks that a batch was the first to have (o:<partition>/<begin>-<end>: 16 bytes each of the user's and the "
    "event's BLAKE2b, 8 of the offset), so that a click, and a user of a minute, counts once. Kept 7 days.",
)
SPEED_PROGRESS: Final = HBaseTable(
    "speed_progress",
    VERSIONED,
    "topic",
    "{end, newest_ms, topic_id, generation, whole}: up to which offset a partition is counted, the newest event time "
    "there, the id that Kafka gave the topic, the rebuild that made the tables, and whether those by minute that came "
    "after version 0.1.0 have all of it.",
)
HBASE_TABLES: Final = (
    REVENUE_BY_MINUTE,
    REVENUE_LATE,
    TRAFFIC_BY_MINUTE,
    SALES_BY_MINUTE,
    STOCK,
    USER_PROFILES,
    STOCK_ALERTS,
    SEEN_PURCHASES,
    SEEN_CLICKS,
    SPEED_PROGRESS,
)

"""The three event types: the one place where a field of an event is named and typed.

From these classes come the generator's JSON, the validation in the streaming jobs, the Arrow and Spark schemas, the
Hive columns and the table in docs/contracts.md. JSON is UTF-8; money is a string with two decimals; ``event_time`` is
ISO-8601 in UTC with milliseconds.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from contracts.catalog import category_of

EventId = Annotated[
    str,
    Meta(
        pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z",
        description="UUID, lower case; the same on every copy of an event",
    ),
]
EventTime = Annotated[datetime, Meta(tz=True, description="when it happened, ISO-8601 UTC, milliseconds")]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Money = Annotated[Decimal, Meta(description="EUR with two decimals, written as a JSON string")]
Page = Literal["home", "category", "product", "cart", "checkout", "search", "removal"]
Device = Literal["desktop", "mobile", "tablet"]
Referrer = Literal["direct", "search", "social", "email", "ads"]
PaymentMethod = Literal["card", "paypal", "transfer", "invoice"]
StockReason = Literal["sale", "restock", "adjustment", "return"]
Country = Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z", description="ISO 3166-1 alpha-2")]
UNKNOWN_COUNTRY: Final = "unknown"
"""What purchases without a country are counted as; no code can be that."""
Count = Annotated[int, Meta(ge=0, le=2**53)]


class Event(msgspec.Struct, kw_only=True, gc=False, forbid_unknown_fields=True):
    """What every event has."""

    event_id: EventId
    event_time: EventTime


class Click(Event, kw_only=True, gc=False):
    """A page seen by a visitor: `cart` puts its product into the cart, `removal` takes it out. Keyed by ``user_id``."""

    user_id: Name
    session_id: Name
    page: Page
    product_id: Name | None = None
    category: Name | None = None
    device: Device
    referrer: Referrer
    country: Country

    def problem(self) -> str | None:
        if self.page == "product" and self.product_id is None:
            return "page product without product_id"
        if self.page == "category" and self.category is None:
            return "page category without category"
        if self.product_id is not None:
            return product_problem(self.product_id, self.category)
        return None


class Purchase(Event, kw_only=True, gc=False):
    """One product bought in an order. Keyed by ``user_id``."""

    order_id: Name
    user_id: Name
    session_id: Name
    product_id: Name
    category: Name
    country: Annotated[Country | None, Meta(description="ISO 3166-1 alpha-2, of the buyer; null where not told")] = None
    quantity: Annotated[int, Meta(ge=1, le=10_000)]
    unit_price: Money
    total: Money
    currency: Literal["EUR"]
    payment_method: PaymentMethod

    def problem(self) -> str | None:
        for field in ("unit_price", "total"):
            amount: Decimal = getattr(self, field)
            if not amount.is_finite() or amount.as_tuple().exponent != -2:
                return f"{field} {amount} is not an amount with two decimals"
            if amount < 0:
                return f"{field} {amount} is negative"
            if amount >= MAX_MONEY:
                return f"{field} {amount} is not below {MAX_MONEY}"
        if self.total != self.unit_price * self.quantity:
            return f"total {self.total} is not quantity {self.quantity} times unit_price {self.unit_price}"
        return product_problem(self.product_id, self.category)


class Alert(msgspec.Struct):
    """A product's stock in a warehouse fell to its critical threshold or below; ``event_time`` as in the event.

    The value of a record in the alerts topic and of a row in HBase's ``stock_alerts``.
    """

    event_id: str
    event_time: str
    product_id: str
    warehouse: str
    stock_level: int
    critical_threshold: int


class StockChange(Event, kw_only=True, gc=False):
    """A change of a product's stock in a warehouse. Keyed by ``product_id``."""

    product_id: Name
    warehouse: Name
    stock_level: Annotated[Count, Meta(description="stock after the change, absolute")]
    change: Annotated[int, Meta(ge=-(2**53), le=2**53, description="signed; stock_level minus the level before")]
    reason: StockReason
    critical_threshold: Count

    def problem(self) -> str | None:
        if self.stock_level < self.change:
            return f"stock_level {self.stock_level} after a change of {self.change} means a negative stock before"
        return product_problem(self.product_id, None)

    def is_critical(self) -> bool:
        """Whether this very change took the stock from above its critical threshold to it or below."""
        before = self.stock_level - self.change
        return critical(self.stock_level, self.critical_threshold) and not critical(before, self.critical_threshold)

    def alert(self) -> Alert:
        """What is raised when it is critical."""
        return Alert(
            self.event_id,
            timestamp(self.event_time),
            self.product_id,
            self.warehouse,
            self.stock_level,
            self.critical_threshold,
        )


def critical(level: int, threshold: int) -> bool:
    """Whether a stock of ``level`` units is critical."""
    return level <= threshold


WATERMARK: Final = timedelta(minutes=10)
"""How far behind the newest event of its Kafka partition an event may be and still count as on time."""
MAX_MONEY: Final = Decimal(10) ** 10
MAX_EVENT_BYTES: Final = 64 * 1024
"""A longer Kafka value is no event; it goes to the dead letters."""
MAX_EVENT_AGE: Final = timedelta(days=30)
"""How much older than its append to Kafka an event may be."""
MAX_CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far a producer's clock may run ahead of the broker's."""


def product_problem(product_id: str, category: str | None) -> str | None:
    known = category_of(product_id)
    if known is None:
        return f"unknown product {product_id!r}"
    if category is not None and category != known:
        return f"product {product_id} is of category {known!r}, not {category!r}"
    return None


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream of events: its name (HDFS folder and Hive table), Kafka topic, type and the field that keys it.

    ``kind`` and ``amount``: the fields by which its rows are counted and added up where layers are compared.
    """

    name: str
    topic: str
    event: type[Click] | type[Purchase] | type[StockChange]
    key: str
    kind: str | None = None
    amount: str | None = None


CLICKS: Final = Stream("clicks", "ecommerce-clicks", Click, "user_id", kind="page")
PURCHASES: Final = Stream("purchases", "ecommerce-purchases", Purchase, "user_id", amount="total")
INVENTORY: Final = Stream("inventory", "ecommerce-inventory", StockChange, "product_id", kind="reason", amount="change")
STREAMS: Final = (CLICKS, PURCHASES, INVENTORY)
BY_NAME: Final = {stream.name: stream for stream in STREAMS}
BY_TOPIC: Final = {stream.topic: stream for stream in STREAMS}


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


class BadEvent(ValueError):
    """Why a record is no event of its stream; the text is the reason kept with the dead letter."""


def decoder(stream: Stream, ahead: bool = False) -> "msgspec.json.Decoder[Click | Purchase | StockChange]":
    """A JSON decoder that checks names, types, patterns and bounds of the stream's fields.

    It refuses fields that the event does not have; ``ahead``: passes them over, as a later version's producer may send
    them. The event is then of a class derived from the stream's.
    """
    if not ahead:
        return msgspec.json.Decoder(stream.event)
    name = f"{stream.event.__name__}Ahead"
    return msgspec.json.Decoder(msgspec.defstruct(name, [], bases=(stream.event,), forbid_unknown_fields=False))


def unknown_fields(stream: Stream, value: bytes) -> str:
    """The fields of a JSON object that the stream's event does not have, as JSON."""
    fields = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
    unknown = {name: raw for name, raw in fields.items() if name not in stream.event.__struct_fields__}
    return msgspec.json.encode(unknown).decode(errors="replace")


def check_time(event_time: datetime, appended: datetime) -> None:
    """Raises :class:`BadEvent` where an event cannot have happened at its time (an aware one, of any offset and year).

    ``appended`` is the broker's append time of the record (UTC): a bound that a replay sees again, unlike "now".
    """
    if event_time - appended > MAX_CLOCK_SKEW:
        raise BadEvent(f"event_time {event_time.isoformat()} is after its append to Kafka, {timestamp(appended)}")
    if appended - event_time > MAX_EVENT_AGE:
        raise BadEvent(f"event_time {event_time.isoformat()} is over {MAX_EVENT_AGE.days} days old")


def epoch_ms(moment: datetime) -> int:
    """Whole milliseconds from 1970 (UTC) to an aware time of any offset and year, rounded down."""
    return (moment - _EPOCH) // _MILLISECOND


def from_epoch_ms(ms: int) -> datetime:
    """The time (UTC) so many milliseconds after 1970. Raises ``OverflowError`` outside of the years 1 to 9999."""
    return _EPOCH + ms * _MILLISECOND


def timestamp(moment: datetime) -> str:
    """``event_time`` as the contract spells it: ``2026-11-23T09:30:00.125Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""What the API answers, typed. Money is EUR as a decimal string, times are UTC in ISO 8601."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from contracts.events import UNKNOWN_COUNTRY, timestamp

Money = Annotated[
    Decimal,
    PlainSerializer(lambda amount: f"{amount:.2f}", return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^-?[0-9]+\.[0-9]{2}$", "examples": ["1234.50"]}),
]
Share = Annotated[
    Decimal,
    PlainSerializer(lambda share: f"{share:.4f}", return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]+\.[0-9]{4}$", "examples": ["0.3321"]}),
]
Moment = Annotated[
    datetime,
    PlainSerializer(timestamp, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-23T09:30:00.000Z"]}),
]
Layer = Literal["batch", "speed"]


class Answer(BaseModel):
    """The base of all."""

    model_config = ConfigDict(frozen=True)


class Period(Answer):
    """Revenue of a minute, hour or day."""

    start: Moment
    revenue: Money
    purchases: int = Field(description="An order has a purchase for each of its products.")
    late: Money = Field(description="The part of the revenue that came later than the watermark; batch does not tell.")
    source: Layer = Field(description="The layer that answered: batch for closed days, else speed.")


class RevenueRange(Answer):
    """Revenue of a range: its total, and the periods that had any."""

    start: Moment
    end: Moment
    revenue: Money
    purchases: int
    late: Money
    closed_days: list[date] = Field(description="Days of the range whose figures are final until more of them lands.")
    periods: list[Period]


class Today(Answer):
    """The running totals of the UTC day."""

    day: date
    as_of: Moment
    revenue: Money
    purchases: int
    late: Money
    hours: list[Period]


class Bought(Answer):
    """What was bought."""

    revenue: Money
    units: int
    purchases: int


class PeriodTraffic(Answer):
    """Clicks and purchases of a minute, hour or day, each once, those that came late as well."""

    start: Moment
    visitors: int = Field(description="Users of each minute, added up over the minutes.")
    pages: dict[str, int] = Field(description="Clicks by page.")
    categories: dict[str, int] = Field(description="Views of product pages by category.")
    countries: dict[str, int] = Field(description="Visitors by country.")
    sales: dict[str, Bought] = Field(description="Purchases by category.")
    sales_by_country: dict[str, Bought] = Field(description=f"Purchases by the buyer's country, or {UNKNOWN_COUNTRY}.")


class TrafficRange(Answer):
    """Traffic of a range: the periods that had any, from the speed layer."""

    start: Moment
    end: Moment
    periods: list[PeriodTraffic]


class Sale(Bought):
    """What was bought of a category by a country's buyers."""

    category: str
    country: str = Field(description=f"ISO 3166-1 alpha-2, or {UNKNOWN_COUNTRY}.")


class Sales(Answer):
    """Purchases of days by category and the buyer's country, each once, those that came late as well."""

    days: list[date]
    closed_days: list[date] = Field(description="Days that batch answered for: final until more of them lands.")
    categories: dict[str, Bought]
    countries: dict[str, Bought]
    sales: list[Sale]


class FunnelStep(Answer):
    """A step of Home → Product → Purchase."""

    step: int
    name: str
    sessions: int
    of_first: Share | None = Field(description="Share of the first step's sessions; null where that has none.")
    of_previous: Share | None = Field(description="Share of the previous step's sessions.")


class Funnel(Answer):
    """The conversion funnel of closed days. A session across midnight counts on each of its days."""

    days: list[date] = Field(description="The closed days that are counted.")
    open_days: list[date] = Field(description="Days of the range that are not closed, and so not counted.")
    steps: list[FunnelStep]


class CategoryAffinity(Answer):
    """A category, viewed against bought."""

    category: str
    views: int
    units: int
    revenue: Money
    affinity: Share | None = Field(description="Share of the units over share of the views; 1 is the shop's average.")


class ProductAffinity(CategoryAffinity):
    """A product, viewed against bought."""

    product_id: str


class CategoryAffinities(Answer):
    """Of closed days, most viewed first."""

    days: list[date]
    open_days: list[date]
    categories: list[CategoryAffinity]


class ProductAffinities(Answer):
    """A page of the products of closed days, most viewed first."""

    days: list[date]
    open_days: list[date]
    total: int = Field(description="Products in all pages.")
    next_offset: int | None = Field(description="`offset` of the next page; null on the last one.")
    products: list[ProductAffinity]


class StockLevel(Answer):
    """A product's stock in a warehouse."""

    product_id: str
    warehouse: str
    level: int = Field(description="Units after the newest change.")
    threshold: int = Field(description="The level at which it is critical.")
    critical: bool
    since: Moment = Field(description="When it changed last.")


class ProductStock(Answer):
    """A product's stock in every warehouse that ever had it."""

    product_id: str
    warehouses: list[StockLevel]


class Stocks(Answer):
    """A page of stock, by product and warehouse."""

    total: int
    next_offset: int | None
    stock: list[StockLevel]


class Visit(Answer):
    """A user's newest click."""

    page: str
    category: str | None = Field(description="The category looked at last.")
    device: str
    country: str
    time: Moment


class UserProfile(Answer):
    """What is known of a user."""

    user_id: str
    visit: Visit | None
    purchases: int
    spent: Money
    last_purchase: Moment | None


class StockAlert(Answer):
    """A product's stock fell to its critical threshold or below."""

    event_id: str
    event_time: str
    product_id: str
    warehouse: str
    stock_level: int
    critical_threshold: int


class Alerts(Answer):
    """A page of alerts, newest first."""

    next_after: str | None = Field(description="`after` of the next page; null where this one was not full.")
    alerts: list[StockAlert]


class DayState(Answer):
    """What the batch layer has made of a day."""

    day: date
    state: Literal["running", "open", "differs", "closed"] = Field(
        description="`closed`: computed from all that has landed, and reconciled. `differs`: batch and speed do not "
        "agree. `open`: over, and to be computed. `running`: not over."
    )
    closed_at: Moment | None


class Days(Answer):
    """Days, oldest first."""

    days: list[DayState]


class Freshness(Answer):
    """How fresh each layer is."""

    as_of: Moment
    newest_landed: Moment | None = Field(description="Time of the newest event in the batch layer's files.")
    newest_counted: Moment | None = Field(description="Time of the newest event that the speed layer has counted.")
    landed_until: Moment | None = Field(description="All that Kafka had at this time is landed, where SQL reads it.")
    last_closed_day: date | None
    open_days: list[date] = Field(description="Days that are over, have rows, and are not closed.")

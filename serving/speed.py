"""The speed layer's views, read from HBase. Amounts are EUR as ``Decimal``, times UTC.

Each raises as ``clients.hbase.attempt``, within :data:`PATIENCE_SECONDS` where HBase cannot be reached.
"""

from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from clients import hbase
from contracts.events import Alert
from contracts.hbase import (
    NOTHING,
    REVENUE_BY_MINUTE,
    REVENUE_LATE,
    SPEED_PROGRESS,
    SPENDING_FAMILY,
    STOCK,
    STOCK_ALERTS,
    USER_PROFILES,
    VISIT_FAMILY,
    Progress,
    Revenue,
    Spending,
    Stock,
    Visit,
    add_revenue,
    family_of,
    minute_key,
    minute_of,
    partition_of,
    product_of,
    stock_key,
    warehouse_of,
)
from contracts.settings import Settings

PATIENCE_SECONDS: Final = 10


class Profile(msgspec.Struct):
    """What is known of a user: the newest click, and all purchases."""

    user_id: str
    visit: Visit | None
    purchases: int
    amount: Decimal
    last_purchase: datetime | None


def revenue(settings: Settings, start: datetime, end: datetime) -> dict[datetime, Revenue]:
    """On-time revenue of the minutes in ``[start, end)`` that have any, summed over Kafka's partitions."""
    found = hbase.scan(
        settings, REVENUE_BY_MINUTE, PATIENCE_SECONDS, row_start=minute_key(start), row_stop=minute_key(end)
    )
    return {
        minute_of(key): add_revenue(msgspec.json.decode(value, type=Revenue) for value in cells.values())
        for key, cells in found
    }


def late_revenue(settings: Settings, start: datetime, end: datetime) -> dict[datetime, Revenue]:
    """Revenue of purchases later than the watermark, by the minute in ``[start, end)`` that they belong to."""
    minutes: dict[datetime, list[Revenue]] = {}
    for key, cells in hbase.scan(
        settings, REVENUE_LATE, PATIENCE_SECONDS, row_start=minute_key(start), row_stop=minute_key(end)
    ):
        minutes.setdefault(minute_of(key), []).extend(Revenue(Decimal(cell.decode()), 1) for cell in cells.values())
    return {minute: add_revenue(parts) for minute, parts in minutes.items()}


def stock(settings: Settings, product: str) -> dict[str, Stock]:
    """A product's stock by warehouse; empty when it never changed."""
    return {
        warehouse_of(key): _newest(cells)
        for key, cells in hbase.scan(settings, STOCK, PATIENCE_SECONDS, row_prefix=stock_key(product))
    }


def stocks(settings: Settings) -> dict[tuple[str, str], Stock]:
    """All stock there is, by product and warehouse, in the order of the products."""
    return {
        (product_of(key), warehouse_of(key)): _newest(cells)
        for key, cells in hbase.scan(settings, STOCK, PATIENCE_SECONDS)
    }


def _newest(cells: dict[bytes, bytes]) -> Stock:
    """Of the Kafka partitions' stock the one that changed last."""
    return max((msgspec.json.decode(value, type=Stock) for value in cells.values()), key=lambda stock: stock.time)


def profile(settings: Settings, user: str) -> Profile | None:
    """A user's profile; None for one never seen."""
    row = hbase.attempt(
        settings, lambda connection: connection.table(USER_PROFILES.name).row(user.encode()), PATIENCE_SECONDS
    )
    if not row:
        return None
    visits = [
        msgspec.json.decode(cell, type=Visit) for column, cell in row.items() if family_of(column) == VISIT_FAMILY
    ]
    spent = [
        msgspec.json.decode(cell, type=Spending) for column, cell in row.items() if family_of(column) == SPENDING_FAMILY
    ]
    return Profile(
        user,
        max(visits, key=lambda visit: visit.time, default=None),
        sum(spending.purchases for spending in spent),
        sum((spending.amount for spending in spent), NOTHING),
        max((spending.time for spending in spent), default=None),
    )


def alerts(settings: Settings, newest: int | None = None) -> list[Alert]:
    """The newest stock alerts, or all of them, newest first."""
    return [alert for _, alert in alerts_after(settings, newest)]


def alerts_after(settings: Settings, newest: int | None, after: str = "") -> list[tuple[str, Alert]]:
    """The newest stock alerts, each with its row key; of those after a key, older ones, where one is given."""
    begin = f"{after}\0".encode() if after else None
    found = hbase.scan(settings, STOCK_ALERTS, PATIENCE_SECONDS, row_start=begin, limit=newest)
    return [(key.decode(), msgspec.json.decode(cell, type=Alert)) for key, cells in found for cell in cells.values()]


def progress(settings: Settings, below: int | None = None, seconds: float = PATIENCE_SECONDS) -> dict[str, Progress]:
    """What is counted of each Kafka partition, keyed ``topic/partition``; or was at versions ``below``."""
    return {
        f"{row.decode()}/{partition_of(column)}": msgspec.json.decode(value, type=Progress)
        for row, cells in hbase.scan(settings, SPEED_PROGRESS, seconds, timestamp=below)
        for column, value in cells.items()
    }

"""The speed layer's views, read from HBase. Amounts are EUR as ``Decimal``, times UTC.

Each raises as ``clients.hbase.attempt``, within :data:`PATIENCE_SECONDS` where HBase cannot be reached, and
:class:`BrokenPromise` where a row is not what the speed layer writes.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Final, TypeVar

import msgspec

from clients import hbase
from contracts.errors import BrokenPromise
from contracts.events import Alert
from contracts.hbase import (
    NOTHING,
    REVENUE_BY_MINUTE,
    REVENUE_LATE,
    SALES_BY_MINUTE,
    SPEED_PROGRESS,
    SPENDING_FAMILY,
    STOCK,
    STOCK_ALERTS,
    TRAFFIC_BY_MINUTE,
    USER_PROFILES,
    VISIT_FAMILY,
    HBaseTable,
    Progress,
    Revenue,
    Sales,
    Spending,
    Stock,
    Traffic,
    Visit,
    add_revenue,
    add_sales,
    add_traffic,
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
Value = TypeVar("Value", Revenue, Traffic, Sales)


class Profile(msgspec.Struct):
    """What is known of a user: the newest click, and all purchases."""

    user_id: str
    visit: Visit | None
    purchases: int
    amount: Decimal
    last_purchase: datetime | None


@contextmanager
def _reading(table: HBaseTable, key: bytes) -> Iterator[None]:
    try:
        yield
    except (ValueError, ArithmeticError, msgspec.MsgspecError) as error:
        raise BrokenPromise(
            f"row {key.decode(errors='backslashreplace')!r} of HBase's table {table.name} is not what the speed layer "
            f"writes: {error}; delete the row, or make the tables anew with `python -m jobs.rebuild`"
        ) from error


def revenue(settings: Settings, start: datetime, end: datetime) -> dict[datetime, Revenue]:
    """On-time revenue of the minutes in ``[start, end)`` that have any, summed over Kafka's partitions."""
    return _by_minute(settings, REVENUE_BY_MINUTE, Revenue, add_revenue, start, end)


def late_revenue(settings: Settings, start: datetime, end: datetime) -> dict[datetime, Revenue]:
    """Revenue of purchases later than the watermark, by the minute in ``[start, end)`` that they belong to."""
    minutes: dict[datetime, list[Revenue]] = {}
    for key, cells in _minutes(settings, REVENUE_LATE, start, end):
        with _reading(REVENUE_LATE, key):
            minutes.setdefault(minute_of(key), []).extend(Revenue(Decimal(cell.decode()), 1) for cell in cells.values())
    return {minute: add_revenue(parts) for minute, parts in minutes.items()}


def traffic(settings: Settings, start: datetime, end: datetime) -> dict[datetime, Traffic]:
    """Visitors and clicks of the minutes in ``[start, end)`` that have any, late ones too."""
    return _by_minute(settings, TRAFFIC_BY_MINUTE, Traffic, add_traffic, start, end)


def sales(settings: Settings, start: datetime, end: datetime) -> dict[datetime, Sales]:
    """Purchases by category of the minutes in ``[start, end)`` that have any, late ones too."""
    return _by_minute(settings, SALES_BY_MINUTE, Sales, add_sales, start, end)


def _by_minute(
    settings: Settings,
    table: HBaseTable,
    kind: type[Value],
    add: Callable[[Iterable[Value]], Value],
    start: datetime,
    end: datetime,
) -> dict[datetime, Value]:
    """The values of minutes, summed over the partitions that have a column each."""
    minutes: dict[datetime, Value] = {}
    for key, cells in _minutes(settings, table, start, end):
        with _reading(table, key):
            minutes[minute_of(key)] = add(msgspec.json.decode(cell, type=kind) for cell in cells.values())
    return minutes


def _minutes(
    settings: Settings, table: HBaseTable, start: datetime, end: datetime
) -> Iterable[tuple[bytes, dict[bytes, bytes]]]:
    return hbase.scan(settings, table, PATIENCE_SECONDS, row_start=minute_key(start), row_stop=minute_key(end))


def stock(settings: Settings, product: str) -> dict[str, Stock]:
    """A product's stock by warehouse; empty when it never changed."""
    found = hbase.scan(settings, STOCK, PATIENCE_SECONDS, row_prefix=stock_key(product))
    return {warehouse_of(key): _newest(key, cells) for key, cells in found}


def stocks(settings: Settings) -> dict[tuple[str, str], Stock]:
    """All stock there is, by product and warehouse, in the order of the products."""
    found = hbase.scan(settings, STOCK, PATIENCE_SECONDS)
    return {(product_of(key), warehouse_of(key)): _newest(key, cells) for key, cells in found}


def _newest(key: bytes, cells: dict[bytes, bytes]) -> Stock:
    """Of the Kafka partitions' stock the one that changed last."""
    with _reading(STOCK, key):
        return max((msgspec.json.decode(cell, type=Stock) for cell in cells.values()), key=lambda stock: stock.time)


def profile(settings: Settings, user: str) -> Profile | None:
    """A user's profile; None for one never seen."""
    key = user.encode()
    row = hbase.attempt(settings, lambda connection: connection.table(USER_PROFILES.name).row(key), PATIENCE_SECONDS)
    if not row:
        return None
    cells = [(family_of(column), cell) for column, cell in row.items()]
    with _reading(USER_PROFILES, key):
        visits = [msgspec.json.decode(cell, type=Visit) for family, cell in cells if family == VISIT_FAMILY]
        spent = [msgspec.json.decode(cell, type=Spending) for family, cell in cells if family == SPENDING_FAMILY]
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
    found: list[tuple[str, Alert]] = []
    for key, cells in hbase.scan(settings, STOCK_ALERTS, PATIENCE_SECONDS, row_start=begin, limit=newest):
        with _reading(STOCK_ALERTS, key):
            found += [(key.decode(), msgspec.json.decode(cell, type=Alert)) for cell in cells.values()]
    return found


def progress(settings: Settings, below: int | None = None, seconds: float = PATIENCE_SECONDS) -> dict[str, Progress]:
    """What is counted of each Kafka partition, keyed ``topic/partition``; or was at versions ``below``."""
    counted: dict[str, Progress] = {}
    for key, cells in hbase.scan(settings, SPEED_PROGRESS, seconds, timestamp=below):
        with _reading(SPEED_PROGRESS, key):
            for column, cell in cells.items():
                counted[f"{key.decode()}/{partition_of(column)}"] = msgspec.json.decode(cell, type=Progress)
    return counted

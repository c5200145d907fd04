"""The speed layer's views, read from HBase. Amounts are EUR as ``Decimal``, times UTC."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

import happybase
import msgspec

from contracts.command import CommandError
from contracts.settings import Settings
from contracts.tables import REVENUE_BY_MINUTE, REVENUE_LATE, STOCK, STOCK_ALERTS, USER_PROFILES, HBaseTable
from jobs import hbase
from jobs.streaming.views import Alert, Revenue, Spending, Stock, Visit

HBASE_SETTINGS = ("hbase_thrift_host", "hbase_thrift_port")
PATIENCE_SECONDS = 10
Result = TypeVar("Result")
Row = tuple[bytes, dict[bytes, bytes]]


class Profile(msgspec.Struct):
    """What is known of a user: the newest click, and all purchases."""

    user_id: str
    visit: Visit | None
    purchases: int
    amount: Decimal
    last_purchase: datetime | None


def revenue(settings: Settings, start: datetime, end: datetime) -> dict[datetime, Revenue]:
    """On-time revenue of the minutes in ``[start, end)`` that have any, summed over Kafka's partitions."""
    return {
        _minute(key): _total(cells.values())
        for key, cells in _scan(settings, REVENUE_BY_MINUTE, row_start=_row_key(start), row_stop=_row_key(end))
    }


def late_revenue(settings: Settings, start: datetime, end: datetime) -> dict[datetime, Revenue]:
    """Revenue of purchases later than the watermark, by the minute in ``[start, end)`` that they belong to."""
    minutes: dict[datetime, Revenue] = {}
    for key, cells in _scan(settings, REVENUE_LATE, row_start=_row_key(start), row_stop=_row_key(end)):
        minute = minutes.setdefault(_minute(key.partition(b"/")[0]), Revenue())
        for amount in cells.values():
            minute.amount += Decimal(amount.decode())
            minute.orders += 1
    return minutes


def stock(settings: Settings, product: str) -> dict[str, Stock]:
    """A product's stock by warehouse; empty when it never changed."""
    return {
        key.decode().rpartition("/")[2]: max(
            (msgspec.json.decode(value, type=Stock) for value in cells.values()), key=lambda stock: stock.time
        )
        for key, cells in _scan(settings, STOCK, row_prefix=f"{product}/".encode())
    }


def profile(settings: Settings, user: str) -> Profile | None:
    """A user's profile; None for one never seen."""
    row = _attempt(settings, lambda connection: connection.table(USER_PROFILES.name).row(user.encode()))
    if not row:
        return None
    visits = [msgspec.json.decode(value, type=Visit) for column, value in row.items() if column.startswith(b"c:")]
    spent = [msgspec.json.decode(value, type=Spending) for column, value in row.items() if column.startswith(b"p:")]
    return Profile(
        user,
        max(visits, key=lambda visit: visit.time, default=None),
        sum(spending.orders for spending in spent),
        sum((spending.amount for spending in spent), Decimal("0.00")),
        max((spending.time for spending in spent), default=None),
    )


def alerts(settings: Settings, newest: int) -> list[Alert]:
    """The newest stock alerts, newest first."""
    return [
        msgspec.json.decode(value, type=Alert)
        for _, cells in _scan(settings, STOCK_ALERTS, limit=newest)
        for value in cells.values()
    ]


def _total(values: Any) -> Revenue:
    parts = [msgspec.json.decode(value, type=Revenue) for value in values]
    return Revenue(sum((part.amount for part in parts), Decimal("0.00")), sum(part.orders for part in parts))


def _row_key(minute: datetime) -> bytes:
    return f"{minute:%Y%m%d%H%M}".encode()


def _minute(key: bytes) -> datetime:
    return datetime.strptime(key.decode(), "%Y%m%d%H%M").replace(tzinfo=UTC)


def _scan(settings: Settings, table: HBaseTable, **arguments: Any) -> list[Row]:
    return _attempt(settings, lambda connection: list(connection.table(table.name).scan(**arguments)))


def _attempt(settings: Settings, work: Callable[[happybase.Connection], Result]) -> Result:
    """``jobs.hbase.attempt`` that raises ``CommandError`` when HBase cannot be reached or refuses, within seconds."""
    address = f"{settings.hbase_thrift_host}:{settings.hbase_thrift_port}"
    try:
        return hbase.attempt(settings, work, PATIENCE_SECONDS)
    except hbase.BROKEN as error:
        raise CommandError(
            f"cannot reach HBase's Thrift server at {address} ({error}); "
            "start it (make local-up) or set --hbase-thrift-host and --hbase-thrift-port"
        ) from error
    except hbase.HBaseIOError as error:
        reason = str(getattr(error, "message", error)).partition("\n")[0]
        raise CommandError(f"HBase (Thrift server at {address}) refused: {reason}") from error

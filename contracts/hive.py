"""Hive's tables, the raw streams and the marts, with the DDL that goes with them.

Types are those that Spark, Hive 4 and Impala 4 read alike from Parquet: STRING, BIGINT, DECIMAL, TIMESTAMP (UTC).
"""

import types
import typing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
import pyarrow as pa

from contracts import paths
from contracts.events import STREAMS, UNKNOWN_COUNTRY, Stream

DATABASE: Final = "ecommerce"
MONEY: Final = "DECIMAL(12,2)"
MONEY_SUM: Final = "DECIMAL(18,2)"
BECOMES_CRITICAL: Final = "stock_level <= critical_threshold AND critical_threshold < stock_level - `change`"
"""``StockChange.is_critical`` as a condition on a row of ``inventory``."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class HiveTable:
    """An external Parquet table of the database ``ecommerce``."""

    name: str
    columns: tuple[Column, ...]
    partitions: tuple[str, ...]
    location: str
    description: str

    @property
    def qualified(self) -> str:
        return f"{DATABASE}.{self.name}"

    def ddl(self, hdfs_uri: str) -> str:
        """``CREATE EXTERNAL TABLE IF NOT EXISTS`` for Hive, Impala and Spark's Thrift server alike."""
        columns = ",\n  ".join(f"`{column.name}` {column.type}" for column in self.columns)
        partitions = ", ".join(f"`{name}` STRING" for name in self.partitions)
        return (
            f"CREATE EXTERNAL TABLE IF NOT EXISTS {self.qualified} (\n  {columns}\n)\n"
            f"PARTITIONED BY ({partitions})\nSTORED AS PARQUET\nLOCATION '{hdfs_uri}{self.location}'"
        )


LINEAGE: Final = (
    Column("kafka_partition", "BIGINT", "partition of the topic that the event was read from"),
    Column("kafka_offset", "BIGINT", "its offset there"),
    Column(
        "unknown_fields",
        "STRING",
        "fields of the JSON that the version which landed it did not know, as JSON; null where there were none",
    ),
)
_HIVE_TYPES: Final = {str: "STRING", int: "BIGINT", Decimal: MONEY, datetime: "TIMESTAMP"}
_ARROW_TYPES: Final[dict[str, pa.DataType]] = {
    "STRING": pa.string(),
    "BIGINT": pa.int64(),
    "TIMESTAMP": pa.timestamp("ms", tz="UTC"),
    MONEY: pa.decimal128(12, 2),
    MONEY_SUM: pa.decimal128(18, 2),
}


def _hive_type(annotation: Any) -> str:
    """The Hive type of a field's annotation, seen through ``Annotated``, ``Literal`` and ``| None``."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _hive_type(typing.get_args(annotation)[0])
    if origin in (types.UnionType, typing.Union):
        return _hive_type(next(arg for arg in typing.get_args(annotation) if arg is not types.NoneType))
    if origin is typing.Literal:
        return "STRING"
    return _HIVE_TYPES[annotation]


def _description(annotation: Any) -> str:
    if typing.get_origin(annotation) is not typing.Annotated:
        return ""
    return next((m.description for m in annotation.__metadata__ if isinstance(m, msgspec.Meta) and m.description), "")


def event_columns(stream: Stream) -> tuple[Column, ...]:
    """The columns of a stream's events, in the order of the JSON."""
    hints = typing.get_type_hints(stream.event, include_extras=True)
    return tuple(
        Column(name, _hive_type(hints[name]), _description(hints[name])) for name in stream.event.__struct_fields__
    )


def raw_table(stream: Stream) -> HiveTable:
    """The landed events of a stream, partitioned by event time in UTC."""
    return HiveTable(
        stream.name,
        event_columns(stream) + LINEAGE,
        ("date", "hour"),
        paths.stream_folder(stream.name),
        (stream.event.__doc__ or "").strip().replace("``", "`"),
    )


def arrow_schema(columns: tuple[Column, ...]) -> pa.Schema:
    return pa.schema([(column.name, _ARROW_TYPES[column.type]) for column in columns])


def spark_schema(columns: tuple[Column, ...]) -> str:
    """The columns as the DDL string that Spark makes a ``StructType`` of."""
    return ", ".join(f"`{column.name}` {column.type}" for column in columns)


def _mart(name: str, description: str, *columns: tuple[str, str] | tuple[str, str, str]) -> HiveTable:
    return HiveTable(
        name, tuple(Column(*column) for column in columns), ("date",), paths.mart_folder(name), description
    )


TALLY_AMOUNT: Final = (28, 2)
"""Digits, and decimals among them, of the amounts that are added up where layers are compared."""
RAW: Final = {stream.name: raw_table(stream) for stream in STREAMS}

MARTS: Final = {
    table.name: table
    for table in (
        _mart(
            "revenue_daily",
            "Revenue of the day.",
            ("orders", "BIGINT"),
            ("purchases", "BIGINT", "an order has a purchase for each of its products"),
            ("units", "BIGINT"),
            ("revenue", MONEY_SUM, "EUR"),
        ),
        _mart(
            "revenue_hourly",
            "Revenue by hour of the day.",
            ("hour", "STRING", "00 to 23, UTC"),
            ("orders", "BIGINT"),
            ("purchases", "BIGINT", "an order has a purchase for each of its products"),
            ("units", "BIGINT"),
            ("revenue", MONEY_SUM, "EUR"),
        ),
        _mart(
            "revenue_minutely",
            "Revenue by minute: the batch side of the serving views and of the reconciliation.",
            ("minute", "STRING", "YYYY-MM-DDTHH:MM, UTC"),
            ("orders", "BIGINT"),
            ("purchases", "BIGINT", "an order has a purchase for each of its products"),
            ("revenue", MONEY_SUM, "EUR"),
        ),
        _mart(
            "sales_daily",
            "Purchases of the day by category and the buyer's country; the batch side of the reconciliation of both.",
            ("category", "STRING"),
            ("country", "STRING", f"ISO 3166-1 alpha-2, or {UNKNOWN_COUNTRY}"),
            ("purchases", "BIGINT"),
            ("units", "BIGINT"),
            ("revenue", MONEY_SUM, "EUR"),
        ),
        _mart(
            "conversion_funnel",
            "Sessions that reached each step, Home → Product → Purchase.",
            ("step", "BIGINT", "1 to 3"),
            ("name", "STRING", "home, product, purchase"),
            ("sessions", "BIGINT"),
            ("users", "BIGINT"),
            ("of_first", "DECIMAL(7,4)", "share of the first step's sessions"),
            ("of_previous", "DECIMAL(7,4)", "share of the previous step's sessions"),
        ),
        _mart(
            "category_affinity",
            "Categories viewed against bought.",
            ("category", "STRING"),
            ("views", "BIGINT", "views of product pages"),
            ("viewing_sessions", "BIGINT"),
            ("buying_sessions", "BIGINT", "sessions that bought from it"),
            ("units", "BIGINT"),
            ("revenue", MONEY_SUM, "EUR"),
            ("view_rank", "BIGINT"),
            ("bought_rank", "BIGINT", "by units"),
            ("affinity", "DECIMAL(9,4)", "share of units bought over share of views; 1 is the shop's average"),
        ),
        _mart(
            "product_affinity",
            "Products viewed against bought.",
            ("product_id", "STRING"),
            ("category", "STRING"),
            ("views", "BIGINT"),
            ("viewing_sessions", "BIGINT"),
            ("buying_sessions", "BIGINT"),
            ("units", "BIGINT"),
            ("revenue", MONEY_SUM, "EUR"),
            ("affinity", "DECIMAL(9,4)", "share of units bought over share of views; 1 is the shop's average"),
        ),
        _mart(
            "stock_daily",
            "Stock at the end of the day and its movements, by product and warehouse.",
            ("product_id", "STRING"),
            ("warehouse", "STRING"),
            ("stock_level", "BIGINT", "after the day's last change"),
            ("sold", "BIGINT"),
            ("restocked", "BIGINT", "by restocks and returns"),
            ("adjusted", "BIGINT", "signed"),
            ("critical_threshold", "BIGINT"),
            ("alerts", "BIGINT", "changes that took the stock to its threshold or below"),
        ),
        _mart(
            "reconciliation",
            "Batch revenue of each minute against the speed layer's.",
            ("minute", "STRING", "YYYY-MM-DDTHH:MM, UTC"),
            ("batch", MONEY_SUM, "EUR"),
            ("speed", MONEY_SUM, "EUR"),
            ("late", MONEY_SUM, "EUR of events later than the watermark, which the speed layer records apart"),
            ("difference", MONEY_SUM, "batch - speed - late; 0.00 when the layers agree"),
        ),
    )
}

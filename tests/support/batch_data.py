"""Hand-made events for the batch tests, written as the Parquet files that ingest lands."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pyarrow as pa
import pyarrow.parquet as pq

from contracts import paths
from contracts.catalog import category_of
from contracts.hive import RAW, arrow_schema
from jobs.streaming.landing import parquet

DAY = "2026-11-21"
NEXT_DAY = "2026-11-22"


@dataclass
class Landed:
    """Rows of each stream; a row's offset is its place in its stream."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))

    def _add(self, stream: str, name: str, at: str, **values: Any) -> None:
        time = datetime.fromisoformat(at).replace(tzinfo=UTC)
        lineage = {"kafka_partition": 0, "kafka_offset": len(self.rows[stream])}
        event = {"event_id": str(uuid5(NAMESPACE_URL, f"{stream}/{name}")), "event_time": time}
        self.rows[stream].append(event | values | lineage)

    def click(
        self, name: str, at: str, session: str, page: str, product: str | None = None, user: str = "", **changes: Any
    ) -> None:
        values = {
            "user_id": user or f"user-of-{session}",
            "session_id": session,
            "page": page,
            "product_id": product,
            "category": category_of(product) if product else None,
            "device": "mobile",
            "referrer": "direct",
            "country": "DE",
        }
        self._add("clicks", name, at, **(values | changes))

    def purchase(
        self,
        name: str,
        at: str,
        session: str,
        product: str,
        price: str,
        quantity: int = 1,
        order: str = "",
        user: str = "",
        country: str | None = None,
    ) -> None:
        self._add(
            "purchases",
            name,
            at,
            order_id=order or f"order-{name}",
            user_id=user or f"user-of-{session}",
            session_id=session,
            product_id=product,
            category=category_of(product),
            country=country,
            quantity=quantity,
            unit_price=Decimal(price),
            total=Decimal(price) * quantity,
            currency="EUR",
            payment_method="card",
        )

    def stock(
        self, name: str, at: str, product: str, level: int, change: int, reason: str, warehouse: str = "north"
    ) -> None:
        self._add(
            "inventory",
            name,
            at,
            product_id=product,
            warehouse=warehouse,
            stock_level=level,
            change=change,
            reason=reason,
            critical_threshold=10,
        )

    def land_again(self, stream: str) -> None:
        """A second copy of every row of a stream, as a producer's duplicates that came after the watermark."""
        first = list(self.rows[stream])
        self.rows[stream] += [row | {"kafka_offset": len(first) + row["kafka_offset"]} for row in first]

    def files(self, part: int = 0) -> Iterable[tuple[str, bytes]]:
        """HDFS paths and the Parquet files to write there, one an hour, numbered ``part``."""
        for stream, rows in self.rows.items():
            hours: dict[str, list[dict[str, Any]]] = defaultdict(list)
            for row in rows:
                hours[paths.hour_folder(stream, row["event_time"])].append(row)
            schema = arrow_schema(RAW[stream].columns)
            for folder, members in hours.items():
                write = parquet if folder[-1] in "13579" else as_version_0_1_0
                yield f"{folder}/part-{part}.parquet", write(pa.Table.from_pylist(members, schema))


def as_version_0_1_0(table: pa.Table) -> bytes:
    """Parquet as the first version landed it, with its timestamps and columns; a day of these tests has both."""
    buffer = BytesIO()
    if "total" in table.column_names:
        assert table["country"].null_count == table.num_rows
        table = table.drop_columns(["country"])
    table = table.drop_columns(["unknown_fields"])
    pq.write_table(table, buffer, compression="snappy", use_deprecated_int96_timestamps=True)
    return buffer.getvalue()


def shop_days() -> Landed:
    """Two days of a small shop. What the marts make of DAY is worked out by hand in test_sql.py."""
    shop = Landed()
    # s1: the whole funnel, two products in one order that spans two minutes.
    shop.click("c1", f"{DAY}T09:00:00.000", "s1", "home")
    shop.click("c2", f"{DAY}T09:01:00.000", "s1", "product", "P00001")
    shop.click("c3", f"{DAY}T09:02:00.000", "s1", "product", "P00002")
    shop.purchase("p1", f"{DAY}T09:05:59.999", "s1", "P00001", "10.10", 2, "o1", country="DE")
    shop.purchase("p2", f"{DAY}T09:06:00.000", "s1", "P00002", "0.05", 1, "o1", country="DE")
    # s2: the same user as s1, product at the very moment of home, bought before seeing a product only.
    shop.purchase("p3", f"{DAY}T10:00:00.000", "s2", "P00011", "99.99", user="user-of-s1")
    shop.click("c4", f"{DAY}T10:30:00.000", "s2", "home", user="user-of-s1")
    shop.click("c5", f"{DAY}T10:30:00.000", "s2", "product", "P00001", user="user-of-s1")
    # s3: product before home and none after it.
    shop.click("c6", f"{DAY}T11:00:00.000", "s3", "product", "P00003")
    shop.click("c7", f"{DAY}T11:00:00.001", "s3", "home")
    # s4: enters on a product page, never sees home, buys.
    shop.click("c8", f"{DAY}T12:00:00.000", "s4", "product", "P00001")
    shop.purchase("p4", f"{DAY}T12:01:00.000", "s4", "P00001", "10.10")
    # s5: runs past midnight: home and product on DAY, the purchase on NEXT_DAY; home again on NEXT_DAY.
    shop.click("c9", f"{DAY}T23:58:00.000", "s5", "home")
    shop.click("c10", f"{DAY}T23:59:59.999", "s5", "product", "P00003")
    shop.click("c11", f"{NEXT_DAY}T00:00:00.000", "s5", "home")
    shop.purchase("p5", f"{NEXT_DAY}T00:00:00.000", "s5", "P00003", "5.00")
    # The last moment of DAY, in a product that nobody looked at.
    shop.purchase("p6", f"{DAY}T23:59:59.999", "s6", "P00004", "1.00", 3, country="FR")
    # A product page that does not name its category, of a product that others name and of one that nobody does.
    shop.click("c12", f"{DAY}T13:00:00.000", "s7", "product", "P00001", category=None)
    shop.click("c13", f"{DAY}T13:00:01.000", "s7", "product", "P00005", category=None)
    # Landed out of order: the last change of the day is the second row; two at one moment, the later offset counts.
    shop.stock("i1", f"{DAY}T08:00:00.000", "P00001", 12, -3, "sale")
    shop.stock("i3", f"{DAY}T18:00:00.000", "P00001", 49, 40, "restock")
    shop.stock("i2", f"{DAY}T09:00:00.000", "P00001", 9, -3, "sale")
    shop.stock("i4", f"{DAY}T09:00:00.000", "P00001", 11, -1, "sale", "south")
    shop.stock("i5", f"{DAY}T09:00:00.000", "P00001", 10, -1, "adjustment", "south")
    shop.stock("i6", f"{NEXT_DAY}T00:00:00.000", "P00001", 48, -1, "sale")
    return shop

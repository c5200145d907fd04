"""The marts' SQL on a local Spark session with Hive's catalogue, against results worked out by hand."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from clients import hdfs as files
from clients.engine import Engine, Spark
from clients.sql import Sql
from contracts import paths
from contracts.errors import BrokenPromise, NotFound
from contracts.hive import DATABASE, LINEAGE, MARTS, MONEY_SUM, RAW, Column, arrow_schema
from jobs.batch.marts import Batch, fill, put
from jobs.batch.tasks.repair_partitions import repair_partitions
from jobs.prepare import add_columns, create_tables, missing_columns
from jobs.streaming.landing import parquet
from serving.days import Mark, mark
from tests.support.batch_data import DAY, NEXT_DAY, Landed, shop_days
from tests.support.fake_hdfs import FakeHdfs

ALL = (
    *("revenue_daily", "revenue_hourly", "revenue_minutely", "sales_daily", "conversion_funnel"),
    *("category_affinity", "product_affinity", "stock_daily"),
)
LATE_DAY = "2026-11-23"
Rows = list[tuple[Any, ...]]


class LocalSql:
    """:class:`clients.sql.Sql` on a Spark session without Hive."""

    engine: Engine = Spark()

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark

    def execute(self, statement: str) -> None:
        # Spark's own Parquet tables stand in for Hive's; no other statement can tell them apart.
        words = {
            "CREATE EXTERNAL": "CREATE",
            "\nPARTITIONED BY": "\nUSING PARQUET PARTITIONED BY",
            "STORED AS PARQUET": "",
        }
        for hive, own in words.items():
            statement = statement.replace(hive, own)
        self._spark.sql(statement).collect()

    def rows(self, query: str) -> Rows:
        return [tuple(row) for row in self._spark.sql(query).collect()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("warehouse")


@pytest.fixture(scope="module")
def sql(folder: Path) -> Iterator[LocalSql]:
    """A warehouse in which the two days of the small shop have landed."""
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.sql.warehouse.dir", str(folder / "warehouse"))
        .getOrCreate()
    )
    session = LocalSql(spark)
    for statement in session.engine.session():
        session.execute(statement)
    land(folder, shop_days())
    create_tables(session, [*RAW, *MARTS], f"file:{folder}")
    for day in (DAY, NEXT_DAY):
        register(session, folder, day)
    yield session
    session.execute(f"DROP DATABASE {DATABASE} CASCADE")
    spark.stop()


@pytest.fixture(scope="module")
def marts(batch: Batch) -> dict[str, Rows]:
    """All marts of DAY."""
    return fill_all(batch)


def land(folder: Path, shop: Landed, part: int = 0) -> None:
    for path, data in shop.files(part):
        target = folder / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def register(sql: LocalSql, folder: Path, day: str = DAY) -> None:
    found = {name: (folder / paths.stream_folder(name).lstrip("/") / f"date={day}").glob("hour=*") for name in RAW}
    hours = {name: sorted(path.name.removeprefix("hour=") for path in found[name]) for name in RAW}
    repair_partitions(sql, date.fromisoformat(day), hours)


@pytest.fixture(scope="module")
def batch(sql: LocalSql, folder: Path) -> Batch:
    return Batch(sql, FakeHdfs(), f"file:{folder}", "")


def mart(sql: Sql, name: str, day: str = DAY) -> Rows:
    columns = ", ".join(f"`{column.name}`" for column in MARTS[name].columns)
    query = f"SELECT {columns} FROM {DATABASE}.{name} WHERE `date` = '{day}' ORDER BY {columns}"  # noqa: S608
    return sql.rows(query)


def fill_all(batch: Batch, day: str = DAY) -> dict[str, Rows]:
    fill(batch, date.fromisoformat(day), *ALL)
    return {name: mart(batch.sql, name, day) for name in ALL}


def test_revenue(marts: dict[str, Rows]) -> None:
    # p1 20.20 + p2 0.05 + p3 99.99 + p4 10.10 + p6 3.00; o1 is one order of two purchases.
    assert marts["revenue_daily"] == [(4, 5, 8, Decimal("133.34"))]
    assert marts["revenue_hourly"] == [
        ("09", 1, 2, 3, Decimal("20.25")),
        ("10", 1, 1, 1, Decimal("99.99")),
        ("12", 1, 1, 1, Decimal("10.10")),
        ("23", 1, 1, 3, Decimal("3.00")),
    ]
    assert marts["revenue_minutely"] == [
        (f"{DAY}T09:05", 1, 1, Decimal("20.20")),
        (f"{DAY}T09:06", 1, 1, Decimal("0.05")),
        (f"{DAY}T10:00", 1, 1, Decimal("99.99")),
        (f"{DAY}T12:01", 1, 1, Decimal("10.10")),
        (f"{DAY}T23:59", 1, 1, Decimal("3.00")),
    ]


def test_sales(marts: dict[str, Rows]) -> None:
    # p1, p2 and p6 tell their country; p3 and p4 lie in files that have no such column.
    assert marts["sales_daily"] == [
        ("beauty", "FR", 1, 3, Decimal("3.00")),
        ("fashion", "DE", 1, 2, Decimal("20.20")),
        ("fashion", "unknown", 2, 2, Decimal("110.09")),
        ("home", "DE", 1, 1, Decimal("0.05")),
    ]


def test_funnel(marts: dict[str, Rows]) -> None:
    # home: s1, s2 (both of one user), s3, s5; product at or after home: s1, s2, s5; purchase after that: s1 alone,
    # as s2 bought before and s5 on the next day.
    assert marts["conversion_funnel"] == [
        (1, "home", 4, 3, Decimal("1.0000"), Decimal("1.0000")),
        (2, "product", 3, 2, Decimal("0.7500"), Decimal("0.7500")),
        (3, "purchase", 1, 1, Decimal("0.2500"), Decimal("0.3333")),
    ]


def test_funnel_of_the_day_after_a_session_ran_past_midnight(batch: Batch) -> None:
    fill(batch, date.fromisoformat(NEXT_DAY), "conversion_funnel")
    assert mart(batch.sql, "conversion_funnel", NEXT_DAY) == [
        (1, "home", 1, 1, Decimal("1.0000"), Decimal("1.0000")),
        (2, "product", 0, 0, Decimal("0.0000"), Decimal("0.0000")),
        (3, "purchase", 0, 0, Decimal("0.0000"), None),
    ]


def test_category_affinity(marts: dict[str, Rows]) -> None:
    # Views: fashion (P00001) c2, c5, c8, c12; home (P00002) c3; sports (P00003) c6, c10; unknown (P00005) c13: 8.
    # Units: fashion p1 2, p3 (P00011) 1, p4 1; home p2 1; beauty (P00004) p6 3: 8.
    rows = {row[0]: row[1:] for row in marts["category_affinity"]}
    assert rows == {
        "fashion": (4, 4, 3, 4, Decimal("130.29"), 1, 1, Decimal("1.0000")),
        "home": (1, 1, 1, 1, Decimal("0.05"), 3, 3, Decimal("1.0000")),
        "sports": (2, 2, 0, 0, Decimal("0.00"), 2, 4, Decimal("0.0000")),
        "beauty": (0, 0, 1, 3, Decimal("3.00"), 5, 2, None),
        "unknown": (1, 1, 0, 0, Decimal("0.00"), 3, 4, Decimal("0.0000")),
    }


def test_product_affinity(marts: dict[str, Rows]) -> None:
    rows = {row[0]: row[1:] for row in marts["product_affinity"]}
    assert rows == {
        "P00001": ("fashion", 4, 4, 2, 3, Decimal("30.30"), Decimal("0.7500")),
        "P00002": ("home", 1, 1, 1, 1, Decimal("0.05"), Decimal("1.0000")),
        "P00003": ("sports", 2, 2, 0, 0, Decimal("0.00"), Decimal("0.0000")),
        "P00004": ("beauty", 0, 0, 1, 3, Decimal("3.00"), None),
        "P00005": ("unknown", 1, 1, 0, 0, Decimal("0.00"), Decimal("0.0000")),
        "P00011": ("fashion", 0, 0, 1, 1, Decimal("99.99"), None),
    }


def test_stock(marts: dict[str, Rows]) -> None:
    # north: 15 → 12 → 9 (critical at 10: an alert) → 49; south: 12 → 11 → 10 (an alert), both at one moment.
    assert marts["stock_daily"] == [
        ("P00001", "north", 49, 6, 40, 0, 10, 1),
        ("P00001", "south", 10, 1, 0, -1, 10, 1),
    ]


def test_copies_change_nothing(sql: LocalSql, batch: Batch, folder: Path, marts: dict[str, Rows]) -> None:
    copied = shop_days()
    for stream in list(copied.rows):
        copied.land_again(stream)
    land(folder, copied)
    register(sql, folder)
    assert fill_all(batch) == marts


def test_a_day_leaves_other_days_alone(sql: LocalSql, batch: Batch, marts: dict[str, Rows]) -> None:
    assert all(fill_all(batch, NEXT_DAY).values())
    assert {name: mart(sql, name) for name in ALL} == marts


def test_late_rows_count_when_the_day_is_run_again(sql: LocalSql, batch: Batch, folder: Path) -> None:
    shop = Landed()
    shop.purchase("p1", f"{LATE_DAY}T10:00:00.000", "s1", "P00001", "1.00")
    land(folder, shop)
    register(sql, folder, LATE_DAY)
    fill(batch, date.fromisoformat(LATE_DAY), "revenue_minutely")
    shop.purchase("p2", f"{LATE_DAY}T10:00:59.999", "s1", "P00001", "0.01")
    shop.purchase("p3", f"{LATE_DAY}T00:00:00.000", "s1", "P00001", "0.02")
    land(folder, shop, part=1)
    register(sql, folder, LATE_DAY)
    fill(batch, date.fromisoformat(LATE_DAY), "revenue_minutely")
    assert mart(sql, "revenue_minutely", LATE_DAY) == [
        (f"{LATE_DAY}T00:00", 1, 1, Decimal("0.02")),
        (f"{LATE_DAY}T10:00", 2, 2, Decimal("1.01")),
    ]


def test_a_day_without_data_is_refused(batch: Batch) -> None:
    with pytest.raises(NotFound, match=r"ecommerce\.inventory have no rows on 2026-01-01"):
        fill(batch, date(2026, 1, 1), "revenue_daily")


def test_a_quiet_stream_leaves_its_marts_empty_whatever_they_held(sql: LocalSql, batch: Batch, folder: Path) -> None:
    day, shop = "2026-11-24", Landed()
    shop.click("c1", f"{day}T10:00:00.000", "s1", "home")
    land(folder, shop)
    register(sql, folder, day)
    put(batch, MARTS["revenue_daily"], date.fromisoformat(day), partial(one_row, day=day, orders=7))
    assert mart(sql, "revenue_daily", day) == [(7, 1, 1, Decimal("1.00"))]
    found = fill_all(batch, day)
    assert {name for name, rows in found.items() if rows} == {"conversion_funnel"}


def one_row(into: str, day: str, orders: int) -> str:
    values = f"{orders}, 1, 1, CAST(1 AS {MONEY_SUM}), '{day}'"
    return f"INSERT OVERWRITE TABLE {into} PARTITION (`date`) VALUES ({values})"  # noqa: S608


RUN_DAY = date(2026, 11, 20)
SALES = MARTS["revenue_daily"]


def orders(sql: LocalSql) -> list[int]:
    return [row[0] for row in mart(sql, SALES.name, str(RUN_DAY))]


def test_of_two_runs_at_once_each_leaves_a_whole_day(sql: LocalSql, batch: Batch) -> None:
    def slow(into: str) -> str:
        put(batch, SALES, RUN_DAY, partial(one_row, day=str(RUN_DAY), orders=2))
        assert orders(sql) == [2]
        return one_row(into, str(RUN_DAY), 1)

    put(batch, SALES, RUN_DAY, slow)
    assert orders(sql) == [1]


def test_a_run_that_is_no_longer_the_newest_of_a_day_writes_nothing_of_it(sql: LocalSql, batch: Batch) -> None:
    def mark_run(run: str) -> None:
        mark = Mark(run, 5, closed=run == "newer")
        files.write_whole(batch.hdfs, paths.day_mark(str(RUN_DAY)), msgspec.json.encode(mark))

    def overtaken(into: str) -> str:
        mark_run("newer")
        put(replace(batch, run="newer"), SALES, RUN_DAY, partial(one_row, day=str(RUN_DAY), orders=4))
        return one_row(into, str(RUN_DAY), 3)

    mark_run("older")
    with pytest.raises(BrokenPromise, match="run 'older' writes nothing more of 2026-11-20: run 'newer' computes it"):
        put(replace(batch, run="older"), SALES, RUN_DAY, overtaken)
    assert orders(sql) == [4]
    found = mark(batch.hdfs, RUN_DAY)
    assert found
    assert found.closed


def test_a_statement_that_was_left_behind_changes_nothing(sql: LocalSql, batch: Batch) -> None:
    left: list[str] = []

    def dies(into: str) -> str:
        left.append(one_row(into, str(RUN_DAY), 5))
        raise KeyboardInterrupt

    def but_drops(text: str) -> None:
        if not text.startswith("DROP"):
            LocalSql.execute(sql, text)

    before = orders(sql)
    with patch.object(sql, "execute", side_effect=but_drops), pytest.raises(KeyboardInterrupt):
        put(batch, SALES, RUN_DAY, dies)
    sql.execute(left[0])
    assert orders(sql) == before
    put(batch, SALES, RUN_DAY, partial(one_row, day=str(RUN_DAY), orders=6))
    sql.execute(left[0])
    assert orders(sql) == [6]


def test_a_field_that_a_later_version_adds_is_read_beside_files_that_lack_it(sql: LocalSql, folder: Path) -> None:
    """The new column lies in the middle of the new files, and at the end of the table."""
    name, day = "clicks_of_two_versions", "2026-11-25"
    first = replace(RAW["clicks"], name=name, location=f"/data/ecommerce/{name}")
    at = first.columns.index(LINEAGE[0])
    second = replace(first, columns=(*first.columns[:at], Column("campaign", "STRING"), *first.columns[at:]))
    sql.execute(first.ddl(f"file:{folder}"))
    for number, table in enumerate((first, second)):
        shop = Landed()
        shop.click(f"c{number}", f"{day}T10:00:00.000", "s1", "home")
        row = shop.rows["clicks"][0] | {"campaign": "autumn", "kafka_offset": number}
        path = folder / f"data/ecommerce/{name}/date={day}/hour=10/part-{number}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(parquet(pa.Table.from_pylist([row], arrow_schema(table.columns))))
    assert [column.name for column in missing_columns(sql, second)] == ["campaign"]
    add_columns(sql, second)
    assert missing_columns(sql, second) == []
    add_columns(sql, second)
    for statement in sql.engine.register(second, date.fromisoformat(day), ["10"]):
        sql.execute(statement)
    query = f"SELECT event_id, campaign, kafka_offset, page FROM {second.qualified} ORDER BY kafka_offset"  # noqa: S608
    rows = sql.rows(query)
    assert [row[1:] for row in rows] == [(None, 0, "home"), ("autumn", 1, "home")]

"""The batch tasks without servers: the text of their statements, arguments, CSV, the reconciliation's verdict."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import pytest

from clients.commits import Tally
from clients.engine import Engine, Impala, Spark, engine
from contracts.errors import Mistake, NotFound
from contracts.events import STREAMS
from contracts.hbase import Bought, Revenue, Sold, Traffic
from contracts.hive import MARTS, RAW
from contracts.paths import INGEST
from contracts.settings import Settings
from jobs.batch import statements
from jobs.batch.marts import Batch
from jobs.batch.options import Day
from jobs.batch.tasks import export_csv, reconcile
from jobs.prepare import create_tables
from jobs.streaming.commits import Writer
from tests.support.fake_hdfs import FakeHdfs
from tests.support.running import run

DAY = date(2026, 11, 21)
MINUTE = datetime(2026, 11, 21, 10, 5, tzinfo=UTC)


class Recorder:
    """:class:`clients.sql.Sql` that keeps what it is given and answers with prepared rows."""

    def __init__(self, rows: list[tuple[Any, ...]] | None = None, dialect: Engine | None = None) -> None:
        self.engine = dialect or Spark()
        self.statements: list[str] = []
        self._rows = rows or []

    def execute(self, statement: str) -> None:
        self.statements.append(statement)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        self.statements.append(query)
        return self._rows


def test_what_spark_is_told() -> None:
    spark = Spark()
    assert spark.session() == (
        "SET spark.sql.session.timeZone=UTC",
        "SET spark.sql.sources.partitionOverwriteMode=DYNAMIC",
        "SET hive.exec.dynamic.partition=true",
        "SET hive.exec.dynamic.partition.mode=nonstrict",
    )
    assert spark.register(RAW["clicks"], DAY, ["00", "23"]) == (
        "ALTER TABLE ecommerce.clicks ADD IF NOT EXISTS "
        "PARTITION (`date`='2026-11-21', `hour`='00') PARTITION (`date`='2026-11-21', `hour`='23')",
        "REFRESH TABLE ecommerce.clicks",
    )
    assert spark.register(RAW["clicks"], DAY, []) == ("REFRESH TABLE ecommerce.clicks",)
    assert spark.statistics(RAW["clicks"], DAY) == (
        "ANALYZE TABLE ecommerce.clicks PARTITION (`date`='2026-11-21', `hour`) COMPUTE STATISTICS NOSCAN",
    )
    assert spark.statistics(MARTS["stock_daily"], DAY) == (
        "ANALYZE TABLE ecommerce.stock_daily PARTITION (`date`='2026-11-21') COMPUTE STATISTICS NOSCAN",
    )


def test_what_impala_is_told() -> None:
    impala = Impala()
    assert impala.session() == ("SET TIMEZONE=UTC", "SET PARQUET_FALLBACK_SCHEMA_RESOLUTION=NAME")
    assert impala.register(RAW["clicks"], DAY, ["00"]) == (
        "ALTER TABLE ecommerce.clicks ADD IF NOT EXISTS PARTITION (`date`='2026-11-21', `hour`='00')",
        "REFRESH ecommerce.clicks",
    )
    assert impala.statistics(RAW["clicks"], DAY) == (
        "COMPUTE INCREMENTAL STATS ecommerce.clicks PARTITION (`date`='2026-11-21')",
    )


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(Mistake, match="unknown SQL engine 'oracle'; known are impala, spark"):
        engine("oracle")


@pytest.mark.parametrize("mart", sorted(MARTS.keys() - {"reconciliation"}))
def test_a_mart_is_overwritten_for_its_day_from_distinct_events_only(mart: str) -> None:
    text = statements.statement(mart, DAY, "own.table")
    assert "INSERT OVERWRITE TABLE own.table PARTITION (`date`)" in text
    assert text.count("INSERT") == 1
    assert "${" not in text
    landed = "|".join(stream.name for stream in STREAMS)
    reads = re.findall(rf"FROM ecommerce\.({landed}) WHERE `date` = '2026-11-21'\) landed WHERE nth = 1", text)
    assert reads
    assert len(re.findall(rf"ecommerce\.({landed})\b", text)) == len(reads)


def test_a_mart_selects_its_columns_in_the_order_of_the_contract() -> None:
    for mart in MARTS.keys() - {"reconciliation"}:
        text = statements.statement(mart, DAY, mart).rpartition("\nSELECT\n")[2].partition("\nFROM ")[0]
        selected = [re.split(r"\bAS ", line)[-1] for line in re.split(r",\n  (?=\S)", text.strip())]
        names = [re.sub(r"^\w\.|[`\s]", "", name) for name in selected]
        assert names == [*(column.name for column in MARTS[mart].columns), "date"], mart


def test_tables_and_columns_are_created_where_they_are_missing_only() -> None:
    columns = {column.name for table in (*RAW.values(), *MARTS.values()) for column in table.columns}
    session = Recorder([(name,) for name in columns - {"referrer", "warehouse"}])
    create_tables(session, ["clicks", "stock_daily"], "hdfs://name:8020")
    assert [statement.partition(" (\n")[0] for statement in session.statements] == [
        "CREATE DATABASE IF NOT EXISTS ecommerce",
        "CREATE EXTERNAL TABLE IF NOT EXISTS ecommerce.clicks",
        "DESCRIBE ecommerce.clicks",
        "ALTER TABLE ecommerce.clicks ADD COLUMNS (`referrer` STRING)",
        "CREATE EXTERNAL TABLE IF NOT EXISTS ecommerce.stock_daily",
        "DESCRIBE ecommerce.stock_daily",
        "ALTER TABLE ecommerce.stock_daily ADD COLUMNS (`warehouse` STRING)",
    ]


@pytest.mark.parametrize(
    "text", ["2026-11-31", "2026-1-1", "20261121", "yesterday", "2026-11-21' OR 1=1", "٢٠٢٦-11-21"]
)
def test_a_day_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a day written as YYYY-MM-DD"):
        Day().convert(text, None, None)


def test_a_day() -> None:
    assert Day().convert("2026-11-21", None, None) == DAY


def test_csv_is_rfc_4180() -> None:
    rows = [(1, 'say "hi", you', None, Decimal("1.10")), (-2, "a\r\nb", "é", Decimal("0.0000"))]
    assert export_csv.to_csv(["n", "text", "none", "amount"], rows) == (
        'n,text,none,amount\r\n1,"say ""hi"", you",,1.10\r\n-2,"a\r\nb",é,0.0000\r\n'.encode()
    )


def test_csv_has_the_day_first_and_rows_in_order() -> None:
    sql = Recorder([("2026-11-21", 1)])
    assert export_csv.rows(sql, MARTS["conversion_funnel"], DAY)
    assert sql.statements == [
        "SELECT `date`, `step`, `name`, `sessions`, `users`, `of_first`, `of_previous` "
        "FROM ecommerce.conversion_funnel WHERE `date` = '2026-11-21' "
        "ORDER BY `step`, `name`, `sessions`, `users`, `of_first`, `of_previous`"
    ]


def test_a_day_that_no_mart_has_is_not_exported() -> None:
    with pytest.raises(NotFound, match="no mart has rows on 2026-11-21"):
        export_csv.export(Recorder(), Settings(), DAY, None)


def test_a_local_export_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    export_csv.write_locally(tmp_path / "date=2026-11-21", "m.csv", b"old")
    export_csv.write_locally(tmp_path / "date=2026-11-21", "m.csv", b"new")
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "date=2026-11-21").iterdir()] == [("m.csv", b"new")]


def test_layers_agree_when_late_amounts_explain_the_difference() -> None:
    minutes = reconcile.compare(
        {"2026-11-21T10:05": Decimal("3.30")},
        {MINUTE: Revenue(Decimal("1.10"), 1)},
        {MINUTE: Revenue(Decimal("2.20"), 2)},
    )
    assert [minute.difference for minute in minutes] == [0]
    assert reconcile.verdict(DAY, minutes) is None


def test_layers_that_differ_are_told_with_the_minutes() -> None:
    minutes = reconcile.compare(
        {"2026-11-21T10:05": Decimal("3.30"), "2026-11-21T10:06": Decimal("1.00")},
        {MINUTE: Revenue(Decimal("3.29"), 1), MINUTE.replace(minute=7): Revenue(Decimal("0.02"), 1)},
        {},
    )
    assert reconcile.verdict(DAY, minutes) == (
        "batch and speed layer differ by 0.99 EUR in all on 2026-11-21, in 3 of 3 minutes: "
        "2026-11-21T10:05 by 0.01 (batch 3.30, speed 3.29, late 0.00); "
        "2026-11-21T10:06 by 1.00 (batch 1.00, speed 0.00, late 0.00); "
        "2026-11-21T10:07 by -0.02 (batch 0.00, speed 0.02, late 0.00)"
    )


def test_differences_that_cancel_out_are_told_too() -> None:
    minutes = [
        reconcile.Minute(f"2026-11-21T10:{number:02}", Decimal(number % 2), Decimal("0.50"), Decimal("0.00"))
        for number in range(8)
    ]
    sentence = reconcile.verdict(DAY, minutes)
    assert sentence
    assert "differ by 0.00 EUR in all" in sentence
    assert sentence.endswith("; and 3 more")


def test_the_comparison_is_written_in_one_statement() -> None:
    sql = Recorder([(1,)])
    minute = reconcile.Minute("2026-11-21T10:05", Decimal("3.30"), Decimal("1.10"), Decimal("2.20"))
    reconcile.keep(Batch(sql, FakeHdfs(), "hdfs://name:8020", ""), DAY, [minute])
    [written] = [text for text in sql.statements if text.startswith("INSERT")]
    assert written.partition("PARTITION")[2] == (
        " (`date`) VALUES\n"
        "('2026-11-21T10:05', CAST(3.30 AS DECIMAL(18,2)), CAST(1.10 AS DECIMAL(18,2)), CAST(2.20 AS DECIMAL(18,2)), "
        "CAST(0.00 AS DECIMAL(18,2)), '2026-11-21')"
    )


def test_purchases_are_compared_by_category_and_country() -> None:
    sql = Recorder([("clicks", "home", 3, Decimal("0.00")), ("purchases", "toys/DE", 2, Decimal("3.00"))])
    sold = Sold(Decimal("3.50"), 4, 3, {"DE": Bought(Decimal("3.00"), 3, 2)})
    counted = reconcile.counted_by_kind(Traffic(0, {"home": 3}), {"toys": sold})
    assert reconcile.by_kind(sql, DAY) == {"clicks/home": Tally(3), "purchases/toys/DE": Tally(2, Decimal("3.00"))}
    assert counted == {
        **reconcile.by_kind(sql, DAY),
        "purchases/toys/unknown": Tally(1, Decimal("0.50")),
    }
    assert reconcile.without_countries(counted) == {
        "clicks/home": Tally(3),
        "purchases/toys": Tally(3, Decimal("3.50")),
    }


def test_reconciling_a_day_whose_sales_are_not_filled_is_refused() -> None:
    sql = Recorder([])
    answers = iter(([("clicks", "home", 3, Decimal(0))], [(2,)]))
    refused = pytest.raises(
        NotFound, match="sales_daily has no rows on 2026-11-21, and 2 have landed; run the task rev"
    )
    with patched_rows(sql, lambda _: next(answers)), refused:
        reconcile.by_kind(sql, DAY)


def patched_rows(sql: Recorder, rows: Callable[[str], list[tuple[Any, ...]]]) -> Any:
    return patch.object(sql, "rows", side_effect=rows)


def test_rows_that_sql_lacks_are_told() -> None:
    hdfs = FakeHdfs()
    writer = Writer(hdfs, INGEST)  # type: ignore[arg-type]
    base = writer.start()
    landed = {"clicks/home": Tally(3), "purchases": Tally(2, Decimal("3.30")), "inventory/sale": Tally(1, Decimal(-2))}
    writer.append(base.next(days={str(DAY): base.sequence + 1}, tallies={str(DAY): landed}))
    same = [("inventory", "sale", 1, Decimal("-2.00"))]
    right = [("clicks", "home", 3, Decimal("0.00")), ("purchases", None, 2, Decimal("3.30")), *same]
    wrong = [("clicks", "home", 4, Decimal("0.00")), ("purchases", None, 2, Decimal("3.31")), *same]

    def told(rows: list[Any], day: date = DAY) -> str | None:
        return reconcile.unlike_landed(Batch(Recorder(rows), hdfs, "hdfs://name:8020", ""), day)  # type: ignore[arg-type]

    assert told(right) is None
    assert told(wrong) == (
        "SQL does not have the rows that ingest landed of 2026-11-21: clicks/home 4 rows (0.00) for 3 rows (0) landed; "
        "purchases 2 rows (3.31) for 2 rows (3.30) landed"
    )
    assert told(same[:0]) is not None
    assert told(wrong, DAY + timedelta(days=1)) is None, "a day without tallies"


def test_rows_are_not_compared_while_more_land() -> None:
    hdfs = FakeHdfs()
    writer = Writer(hdfs, INGEST)  # type: ignore[arg-type]
    base = writer.start()
    landed = {"clicks/home": Tally(3)}
    writer.append(base.next(days={str(DAY): base.sequence + 1}, tallies={str(DAY): landed}))

    class Landing(Recorder):
        def rows(self, statement: str) -> Any:
            newest = writer.newest()
            writer.append(newest.next(days={str(DAY): newest.sequence + 1}, tallies={str(DAY): {}}))
            return [("clicks", "home", 4, Decimal(0))]

    assert reconcile.unlike_landed(Batch(Landing(), hdfs, "", ""), DAY) is None  # type: ignore[arg-type]
    assert reconcile.unlike_landed(Batch(Recorder([("clicks", "home", 4, Decimal(0))]), hdfs, "", ""), DAY)  # type: ignore[arg-type]


def test_reconciling_a_day_that_is_not_filled_is_refused() -> None:
    sql = Recorder([])
    landed = [("purchases", 3), ("clicks", 0), ("inventory", 0)]

    def rows(query: str) -> list[tuple[Any, ...]]:
        if "UNION ALL" in query:
            return landed
        return [] if "revenue_minutely" in query else [(3,)]

    refused = pytest.raises(NotFound, match="no rows on 2026-11-21, and 3 have landed; run the task revenue first")
    with patched_rows(sql, rows), refused:
        reconcile.batch_revenue(sql, DAY)


@pytest.mark.parametrize(
    "module",
    ["check_data", "repair_partitions", "revenue", "funnel", "affinity", "stock", "reconcile", "export_csv"],
)
@pytest.mark.parametrize("package", ["jobs.batch.tasks", "jobs.batch"], ids=["now", "as in 0.1.0"])
def test_a_task_explains_itself(package: str, module: str) -> None:
    shown = run(f"{package}.{module}", "--help").stdout
    assert shown.startswith(f"Usage: python -m {package}.{module}")
    assert "--date" in shown

"""What is older than it is to be kept goes, on the real servers, and nothing else."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from clients import hbase, sql
from clients import hdfs as files
from contracts import paths
from contracts.events import Alert, timestamp
from contracts.hbase import (
    ALERT,
    LATE_AMOUNT,
    REVENUE_BY_MINUTE,
    REVENUE_LATE,
    SALES_BY_MINUTE,
    STOCK_ALERTS,
    TRAFFIC_BY_MINUTE,
    HBaseTable,
    Revenue,
    Traffic,
    alert_key,
    late_key,
    minute_key,
)
from contracts.hive import MARTS, RAW, HiveTable
from contracts.settings import Settings
from jobs import retention
from jobs.batch import days, statements
from jobs.batch.marts import Batch, put
from jobs.prepare import create_hive_tables
from serving.days import first_kept, mark
from tests.support.batch_data import Landed
from tests.support.running import Job, ok

TODAY = datetime.now(UTC).date()
TABLES = RAW["purchases"], MARTS["revenue_daily"]
OLD, KEPT = TODAY - timedelta(days=36), TODAY - timedelta(days=35)


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def a_row(day: date, into: str) -> str:
    values = "CAST(1 AS BIGINT), CAST(1 AS BIGINT), CAST(1 AS BIGINT), CAST(1 AS DECIMAL(18,2))"
    return f"INSERT OVERWRITE TABLE {into} PARTITION (`date`) SELECT {values}, '{day}'"


@pytest.fixture(scope="module")
def lake(stack: Settings) -> Iterator[None]:
    """Two days of rows, of a mart, of exports and of the speed layer; the speed layer's are gone afterwards."""
    create_hive_tables(stack, [*RAW, *MARTS])
    hdfs, shop = files.client(stack), Landed()
    for day in (OLD, KEPT):
        shop.purchase(f"of-{day}", f"{day}T12:00", "s", "P00001", "1.00")
    for path, data in shop.files():
        files.write(hdfs, path, data)
    table, mart = TABLES
    with sql.connect(stack) as session:
        batch = Batch(session, hdfs, stack.hdfs_uri, "night")
        for day in (OLD, KEPT):
            for statement in session.engine.register(table, day, ["12"]):
                session.execute(statement)
            files.write(hdfs, f"{paths.export_folder(f'{day}')}/revenue_daily.csv", b"date\n")
            days.take(hdfs, f"{day}", "night", 0)
            put(batch, mart, day, partial(a_row, day))
    rows = [row for day in (OLD, KEPT) for row in counted(day)]
    with closing(hbase.connect(stack)) as connection:
        for counted_in, key, cells in rows:
            connection.table(counted_in.name).put(key, cells, timestamp=1)
        yield
        for counted_in, key, _ in rows:
            connection.table(counted_in.name).delete(key)


def counted(day: date) -> list[tuple[HBaseTable, bytes, dict[bytes, bytes]]]:
    """A row in each of the speed layer's tables that grow with time."""
    at, alert = noon(day), msgspec.json.encode(Alert("id", timestamp(noon(day)), "P00001", "north", 1, 5))
    return [
        (REVENUE_BY_MINUTE, minute_key(at), {b"v:0": msgspec.json.encode(Revenue(Decimal("1.00"), 1))}),
        (REVENUE_LATE, late_key(at, "id"), {LATE_AMOUNT.column: b"1.00"}),
        (TRAFFIC_BY_MINUTE, minute_key(at), {b"v:0": msgspec.json.encode(Traffic(1, {"home": 1}))}),
        (SALES_BY_MINUTE, minute_key(at), {b"v:0": b"{}"}),
        (STOCK_ALERTS, alert_key(at, "P00001", "id"), {ALERT.column: alert}),
    ]


def in_sql(stack: Settings, table: HiveTable) -> set[str]:
    """Which of the two days a table has."""
    with sql.connect(stack) as session:
        days = f"'{OLD}', '{KEPT}'"
        return {row[0] for row in session.rows(f"SELECT `date` FROM {table.qualified} WHERE `date` IN ({days})")}  # noqa: S608


def in_hbase(stack: Settings) -> list[int]:
    """Rows of the two days, of the tables by minute and of the alerts."""
    minutes: dict[str, Any] = {
        "row_start": minute_key(noon(OLD)),
        "row_stop": minute_key(noon(KEPT) + timedelta(hours=1)),
    }
    alerts: dict[str, Any] = {
        "row_start": alert_key(noon(KEPT) + timedelta(hours=1), "", ""),
        "row_stop": alert_key(noon(OLD) - timedelta(hours=1), "", ""),
    }
    by_minute = (REVENUE_BY_MINUTE, REVENUE_LATE, TRAFFIC_BY_MINUTE, SALES_BY_MINUTE)
    scans = (*((table, minutes) for table in by_minute), (STOCK_ALERTS, alerts))
    return [len(hbase.scan(stack, table, **scanned)) for table, scanned in scans]


def test_nothing_goes_unless_it_is_told(stack: Settings, job: Job, lake: None) -> None:
    ok(job("jobs.retention"))
    assert [in_sql(stack, table) for table in TABLES] == [{f"{OLD}", f"{KEPT}"}] * 2
    assert in_hbase(stack) == [2] * 5
    assert first_kept(files.client(stack)) is None


def test_what_is_too_old_goes_and_nothing_else(stack: Settings, job: Job, lake: None) -> None:
    told = [argument for name in ("raw", "mart", "export", "speed") for argument in (f"--{name}-days", "35")]
    hdfs = files.client(stack)
    for _ in range(2):
        ok(job("jobs.retention", *told))
        assert [in_sql(stack, table) for table in TABLES] == [{f"{KEPT}"}] * 2
        assert in_hbase(stack) == [1] * 5
        for day, there in ((OLD, False), (KEPT, True)):
            assert files.exists(hdfs, f"{paths.stream_folder('purchases')}/date={day}") == there
            assert files.exists(hdfs, paths.export_folder(f"{day}")) == there
            assert (mark(hdfs, day) is not None) == there
            runs = Path(paths.mart_run("revenue_daily", "", "")).parent
            assert any(name.startswith(f"{day}-") for name in files.names(hdfs, str(runs))) == there
        assert first_kept(hdfs) == KEPT
    files.remove(hdfs, paths.FIRST_KEPT)
    for stream in RAW:
        files.remove(hdfs, f"{paths.stream_folder(stream)}/date={KEPT}")


def test_a_day_that_may_still_get_events_is_not_removed() -> None:
    result = CliRunner().invoke(retention.main, ["--raw-days", "34"])
    assert result.exit_code == 2
    assert "34 is less than 35: events are accepted for 30 days; 0 keeps all" in result.output


def test_days_are_dropped_whole() -> None:
    assert statements.drop_days(RAW["clicks"], ["2026-10-01"]) == (
        "ALTER TABLE ecommerce.clicks DROP IF EXISTS PARTITION (`date`='2026-10-01')",
    )

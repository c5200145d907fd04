"""The daily tasks end to end, as the commands that Airflow runs, against the real servers."""

import csv
import io
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hdfs import InsecureClient

from clients import hbase, hdfs
from clients import sql as endpoint
from contracts import paths
from contracts.events import UNKNOWN_COUNTRY
from contracts.hbase import (
    LATE_AMOUNT,
    REVENUE_BY_MINUTE,
    REVENUE_LATE,
    SALES_BY_MINUTE,
    SPEED_PROGRESS,
    TRAFFIC_BY_MINUTE,
    VALUE_FAMILY,
    Bought,
    Progress,
    Revenue,
    Sales,
    Sold,
    Traffic,
    add_sales,
    add_traffic,
    late_key,
    minute_key,
    partition_column,
)
from contracts.hive import DATABASE, MARTS, RAW
from contracts.settings import Settings
from jobs.prepare import create_hive_tables
from jobs.streaming.commits import Writer
from serving import views
from serving.layers import Layers
from tests.support import running
from tests.support.batch_data import DAY, NEXT_DAY, Landed, shop_days
from tests.support.running import Done, Job, ok

TASKS = ("check_data", "repair_partitions", "revenue", "funnel", "affinity", "stock", "reconcile", "export_csv")


@pytest.fixture(scope="module")
def run(stack: Settings) -> Job:
    """Runs a task as a process, as Airflow does."""
    variables = {"PATH": "", "HOME": str(Path.home()), **stack.as_environment()}

    def run_task(module: str, *arguments: str, day: str = DAY) -> Done:
        return running.run(f"jobs.batch.tasks.{module}", "--date", day, *arguments, variables=variables)

    return run_task


@pytest.fixture(scope="module")
def client(stack: Settings) -> InsecureClient:
    return hdfs.client(stack)


@pytest.fixture(scope="module")
def shop(stack: Settings, client: InsecureClient) -> Iterator[None]:
    """The small shop of two days in both layers: its files on HDFS, its revenue by minute in HBase."""
    shop = shop_days()
    land(client, shop)
    create_hive_tables(stack, [*RAW, *MARTS])
    write_speed(stack, shop)
    yield
    for stream in shop.rows:
        for day in ("2026-11-21", "2026-11-22"):
            hdfs.remove(client, f"{paths.stream_folder(stream)}/date={day}")


def land(client: InsecureClient, shop: Landed) -> None:
    for path, data in shop.files():
        hdfs.write(client, path, data)


def write_speed(stack: Settings, shop: Landed) -> None:
    """What the speed layer writes of these purchases: one of them came late."""
    minutes: dict[bytes, Revenue] = {}
    with closing(hbase.connect(stack)) as connection:
        for purchase in shop.rows["purchases"]:
            minute = minute_key(purchase["event_time"].replace(tzinfo=UTC))
            if purchase["total"] == 3:
                late = {LATE_AMOUNT.column: str(purchase["total"]).encode()}
                key = late_key(purchase["event_time"].replace(tzinfo=UTC), purchase["event_id"])
                connection.table(REVENUE_LATE.name).put(key, late)
                continue
            before = minutes.get(minute, Revenue())
            minutes[minute] = Revenue(before.amount + purchase["total"], before.purchases + 1)
        for minute, revenue in minutes.items():
            put_revenue(connection, minute, revenue, offset=100)
        put_traffic(connection, shop)


def put_traffic(connection: Any, shop: Landed, partition: int = 0) -> None:
    """Clicks by page, and purchases by category, those that came late among them."""
    traffic: dict[bytes, list[Traffic]] = {}
    sales: dict[bytes, list[Sales]] = {}
    for click in shop.rows["clicks"]:
        traffic.setdefault(minute_key(click["event_time"]), []).append(Traffic(0, {click["page"]: 1}))
    for purchase in shop.rows["purchases"]:
        figures = purchase["total"], purchase["quantity"], 1
        sold = Sold(*figures, {purchase["country"] or UNKNOWN_COUNTRY: Bought(*figures)})
        sales.setdefault(minute_key(purchase["event_time"]), []).append({purchase["category"]: sold})
    column = partition_column(VALUE_FAMILY, partition)
    for minute, visited in traffic.items():
        cell = {column: msgspec.json.encode(add_traffic(visited))}
        connection.table(TRAFFIC_BY_MINUTE.name).put(minute, cell, timestamp=100)
    for minute, bought in sales.items():
        cell = {column: msgspec.json.encode(add_sales(bought))}
        connection.table(SALES_BY_MINUTE.name).put(minute, cell, timestamp=100)


def put_revenue(connection: Any, minute: bytes, revenue: Revenue, offset: int) -> None:
    cell = {partition_column(VALUE_FAMILY, 0): msgspec.json.encode(revenue)}
    connection.table(REVENUE_BY_MINUTE.name).put(minute, cell, timestamp=offset)


def rows(stack: Settings) -> dict[str, list[tuple[Any, ...]]]:
    """All marts of DAY."""
    with endpoint.connect(stack) as sql:
        return {
            name: sorted(sql.rows(f"SELECT * FROM {DATABASE}.{name} WHERE `date` = '{DAY}'"), key=str)  # noqa: S608
            for name in MARTS
        }


def exported(client: InsecureClient) -> dict[str, bytes]:
    folder = paths.export_folder(DAY)
    return {name: hdfs.read(client, f"{folder}/{name}") for name in hdfs.names(client, folder)}


@pytest.fixture(scope="module")
def ingest(client: InsecureClient) -> Writer:
    """An ingest that has landed all that Kafka has."""
    writer = Writer(client, paths.INGEST)
    writer.start()
    writer.tell_landed_until(datetime.now(UTC))
    return writer


@pytest.fixture(scope="module")
def first_run(shop: None, ingest: Writer, run: Job, stack: Settings) -> dict[str, list[tuple[Any, ...]]]:
    for task in TASKS:
        ok(run(task, "--run", "scheduled__one"))
    return rows(stack)


def test_a_day_from_files_to_csv(first_run: dict[str, list[tuple[Any, ...]]], client: InsecureClient) -> None:
    assert all(first_run.values())
    files = exported(client)
    assert sorted(files) == sorted(f"{name}.csv" for name in MARTS)
    for name, data in files.items():
        mart = MARTS[name.removesuffix(".csv")]
        lines = list(csv.reader(io.StringIO(data.decode(), newline="")))
        assert lines[0] == ["date", *(column.name for column in mart.columns)]
        assert len(lines) == 1 + len(first_run[mart.name])
        assert lines[1:] == sorted(lines[1:])
        assert {line[0] for line in lines[1:]} == {DAY}
        assert data.endswith(b"\r\n")
        assert data.count(b"\n") == data.count(b"\r\n") == len(lines)
    assert files["revenue_daily.csv"] == b"date,orders,purchases,units,revenue\r\n2026-11-21,4,5,8,133.34\r\n"


def test_every_task_again_changes_nothing_though_every_row_landed_twice(
    first_run: dict[str, list[tuple[Any, ...]]], run: Job, stack: Settings, client: InsecureClient, tmp_path: Path
) -> None:
    files = exported(client)
    copied = shop_days()
    for stream in list(copied.rows):
        copied.land_again(stream)
    land(client, copied)
    for task in TASKS[:-1]:
        ok(run(task, "--run", "scheduled__again"))
    ok(run("export_csv", "--run", "scheduled__again", "--to", str(tmp_path)))
    assert rows(stack) == first_run
    assert exported(client) == files
    assert {path.name: path.read_bytes() for path in (tmp_path / f"date={DAY}").iterdir()} == files


@pytest.mark.parametrize("task", ["check_data", "revenue", "funnel", "affinity", "stock", "reconcile", "export_csv"])
def test_a_day_without_data_is_one_sentence(shop: None, ingest: Writer, run: Job, task: str) -> None:
    result = run(task, day="2020-02-29")
    assert result.returncode == 1
    error = result.stderr.splitlines()[-1]
    assert error.startswith("error: ")
    assert "2020-02-29" in error
    assert "Traceback" not in result.stderr
    if task == "check_data":
        assert "/data/ecommerce/inventory/date=2020-02-29" in error


def test_a_minute_that_differs_fails_the_reconciliation_and_is_named(
    first_run: dict[str, list[tuple[Any, ...]]], run: Job, stack: Settings
) -> None:
    with closing(hbase.connect(stack)) as connection:
        put_revenue(connection, b"202611211201", Revenue(Decimal("10.09"), 1), offset=101)
        try:
            result = run("reconcile")
        finally:
            connection.table(REVENUE_BY_MINUTE.name).delete(b"202611211201", timestamp=101)
            put_revenue(connection, b"202611211201", Revenue(Decimal("10.10"), 1), offset=102)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        "error: batch and speed layer differ by 0.01 EUR in all on 2026-11-21, in 1 of 5 minutes: "
        "2026-11-21T12:01 by 0.01 (batch 10.10, speed 10.09, late 0.00)"
    )
    ok(run("reconcile"))
    assert rows(stack)["reconciliation"] == first_run["reconciliation"]


def test_traffic_that_differs_fails_the_reconciliation_where_all_of_it_was_counted(
    first_run: dict[str, list[tuple[Any, ...]]], run: Job, stack: Settings
) -> None:
    minute, column = b"202611210901", partition_column(VALUE_FAMILY, 1)
    doubled = {column: msgspec.json.encode(Traffic(1, {"product": 1}))}
    with closing(hbase.connect(stack)) as connection:
        progress, traffic = (connection.table(table.name) for table in (SPEED_PROGRESS, TRAFFIC_BY_MINUTE))

        def reconciled(whole: bool) -> Done:
            progress.put(b"of-a-test", {column: msgspec.json.encode(Progress(1, whole=whole))})
            return run("reconcile")

        try:
            ok(reconciled(whole=True))
            traffic.put(minute, doubled, timestamp=1)
            ok(reconciled(whole=False))
            differs = reconciled(whole=True)
        finally:
            traffic.delete(minute, [column], timestamp=1)
            progress.delete(b"of-a-test")
    assert differs.returncode == 1
    assert differs.stderr.splitlines()[-1] == (
        "error: batch and speed layer differ on 2026-11-21 in what they count: "
        "clicks/product batch 8 rows (0.00), speed 9 rows (0.00)"
    )


def test_a_country_that_differs_fails_the_reconciliation_where_all_of_the_day_was_counted_by_country(
    first_run: dict[str, list[tuple[Any, ...]]], run: Job, stack: Settings
) -> None:
    """The categories agree in any case. A cell without countries is of a version that did not know them."""
    minute, column, place = b"202611210905", partition_column(VALUE_FAMILY, 0), partition_column(VALUE_FAMILY, 1)
    bought = Decimal("20.20"), 2, 1
    with closing(hbase.connect(stack)) as connection:
        progress, sales = (connection.table(table.name) for table in (SPEED_PROGRESS, SALES_BY_MINUTE))

        def reconciled(**countries: Bought) -> Done:
            sales.put(minute, {column: msgspec.json.encode({"fashion": Sold(*bought, countries)})}, timestamp=101)
            return run("reconcile")

        try:
            progress.put(b"of-a-test", {place: msgspec.json.encode(Progress(1, whole=True))})
            differs = reconciled(AT=Bought(*bought))
            ok(reconciled())
            ok(reconciled(DE=Bought(*bought)))
        finally:
            progress.delete(b"of-a-test")
    assert differs.returncode == 1
    assert differs.stderr.splitlines()[-1] == (
        "error: batch and speed layer differ on 2026-11-21 in what they count: "
        "purchases/fashion/AT batch no rows, speed 1 rows (20.20); "
        "purchases/fashion/DE batch 1 rows (20.20), speed no rows"
    )


def test_serving_takes_each_minute_from_one_layer(first_run: dict[str, list[tuple[Any, ...]]], stack: Settings) -> None:
    start, now = datetime(2026, 11, 21, tzinfo=UTC), datetime(2026, 11, 22, 12, tzinfo=UTC)
    found = views.revenue(Layers(stack), start, now, now)
    assert [(f"{minute.start:%dT%H:%M}", str(minute.revenue), minute.source) for minute in found] == [
        ("21T09:05", "20.20", "batch"),
        ("21T09:06", "0.05", "batch"),
        ("21T10:00", "99.99", "batch"),
        ("21T12:01", "10.10", "batch"),
        ("21T23:59", "3.00", "batch"),
        ("22T00:00", "5.00", "speed"),
    ]
    open_day = views.revenue(Layers(stack), start, now, start + timedelta(hours=23, minutes=59))
    assert [str(minute.late) for minute in open_day if minute.late] == ["3.00"]
    assert {minute.source for minute in open_day} == {"speed"}
    assert sum(minute.revenue for minute in open_day) == sum(minute.revenue for minute in found)
    assert date.fromisoformat(DAY) == start.date()


def bought(stack: Settings) -> tuple[list[tuple[str, str, str]], bool]:
    """Category, country and revenue of DAY's purchases as the serving view has them, and whether batch told them."""
    view = views.sales_view(Layers(stack), [date.fromisoformat(DAY)], datetime(2026, 11, 23, tzinfo=UTC))
    found = [
        (category, country, str(one.amount))
        for category, sold in view.sales.items()
        for country, one in sold.by_country().items()
    ]
    return found, bool(view.closed)


def test_both_layers_tell_the_same_purchases_by_country(
    first_run: dict[str, list[tuple[Any, ...]]], stack: Settings, client: InsecureClient
) -> None:
    by_batch = bought(stack)
    assert by_batch == (
        [
            ("beauty", "FR", "3.00"),
            ("fashion", "DE", "20.20"),
            ("fashion", "unknown", "110.09"),
            ("home", "DE", "0.05"),
        ],
        True,
    )
    mark = hdfs.read(client, paths.day_mark(DAY))
    try:
        hdfs.remove(client, paths.day_mark(DAY))
        assert bought(stack) == (by_batch[0], False)
    finally:
        hdfs.write_whole(client, paths.day_mark(DAY), mark)


def total(stack: Settings) -> tuple[Decimal, set[str]]:
    """The revenue of DAY as the serving view has it, and the layers that it comes from."""
    start = datetime.fromisoformat(DAY).replace(tzinfo=UTC)
    found = views.revenue(Layers(stack), start, start + timedelta(days=1), start + timedelta(days=2))
    return sum((minute.revenue for minute in found), Decimal(0)), {minute.source for minute in found}


def test_a_purchase_sent_the_day_after_opens_the_day_until_the_next_run(
    first_run: dict[str, list[tuple[Any, ...]]], run: Job, stack: Settings, client: InsecureClient
) -> None:
    before, layers = total(stack)
    assert layers == {"batch"}
    late = Landed()
    late.purchase("of yesterday", f"{DAY}T10:00:30.000", "s9", "P00001", "7.00")
    at = datetime.fromisoformat(f"{DAY}T10:00:30").replace(tzinfo=UTC)
    with closing(hbase.connect(stack)) as connection:
        connection.table(REVENUE_LATE.name).put(late_key(at, "of yesterday"), {LATE_AMOUNT.column: b"7.00"})
        put_traffic(connection, late, partition=1)
    writer = Writer(client, paths.INGEST)
    last = writer.start()
    for path, data in late.files(part=9):
        hdfs.write(client, path, data)
    writer.append(last.next(days=last.days | {DAY: last.sequence + 1}))
    assert total(stack) == (before + 7, {"speed"})

    refused = run("revenue", "--run", "scheduled__two", day=NEXT_DAY)
    assert "run 'scheduled__two' has planned no days" in refused.stderr
    waiting = run("check_data", "--run", "scheduled__two", "--patience", "1", day=NEXT_DAY)
    assert waiting.returncode == 1
    assert "ingest has not said yet until when all is landed" in waiting.stderr
    writer.tell_landed_until(datetime.now(UTC))
    for task in TASKS:
        ok(run(task, "--run", "scheduled__two", day=NEXT_DAY))
        assert total(stack)[0] == before + 7, task
    assert total(stack) == (before + 7, {"batch"})
    assert b",140.34\r\n" in exported(client)["revenue_daily.csv"]


def test_a_range_of_days_is_filled_again_by_one_command(
    first_run: dict[str, list[tuple[Any, ...]]], stack: Settings, client: InsecureClient
) -> None:
    for name in ("revenue_daily.csv", "conversion_funnel.csv"):
        hdfs.remove(client, f"{paths.export_folder(DAY)}/{name}")
    before = total(stack)[0], rows(stack)
    variables = {"PATH": "", "HOME": str(Path.home()), **stack.as_environment()}
    days = ("--from", "2026-11-19", "--to", NEXT_DAY)
    done = running.run("jobs.batch.backfill", *days, "--patience", "5", variables=variables)
    ok(done)
    assert "without_data=2" in done.stderr or '"without_data": 2' in done.stderr, done.stderr
    assert (total(stack)[0], rows(stack)) == before
    assert total(stack)[1] == {"batch"}
    assert sorted(exported(client)) == sorted(f"{name}.csv" for name in MARTS)
    backwards = running.run("jobs.batch.backfill", "--from", NEXT_DAY, "--to", DAY, variables=variables)
    assert backwards.returncode == 2
    assert "--to 2026-11-21 is before --from 2026-11-22" in backwards.stderr

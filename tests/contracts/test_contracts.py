"""The contracts: what is an event and what is not, and that every form of a schema is the same schema."""

import random
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts import hive
from contracts.__main__ import page
from contracts.errors import Mistake
from contracts.events import BY_NAME, STREAMS, decoder
from contracts.settings import Settings
from contracts.topics import TOPICS
from tests.support import samples
from tests.support.judging import judge

SAMPLES = {stream.name: make for stream, make in samples.BY_STREAM.items()}
NOW = datetime.now(UTC)


def refuse(stream: str, event: dict[str, Any]) -> str:
    """The reason why an event is refused; fails when it is not."""
    (reason,) = judge(BY_NAME[stream], [samples.encode(event)])
    assert isinstance(reason, str), f"{event} passed"
    return reason


@pytest.mark.parametrize("stream", SAMPLES)
def test_valid_event_passes(stream: str) -> None:
    sent = SAMPLES[stream]()
    (event,) = judge(BY_NAME[stream], [samples.encode(sent)])
    assert type(event) is BY_NAME[stream].event
    assert event.event_time == datetime.fromisoformat(sent["event_time"])
    assert msgspec.to_builtins(event) == {**sent, "event_time": event.event_time.isoformat().replace("+00:00", "Z")}


@pytest.mark.parametrize(
    ("stream", "changes", "reason"),
    [
        ("clicks", {"page": "basement"}, "Invalid enum value 'basement'"),
        ("clicks", {"user_id": 7}, "Expected `str`, got `int` - at `$.user_id`"),
        ("clicks", {"event_id": "7"}, "matching regex"),
        ("clicks", {"event_id": samples.click()["event_id"].upper()}, "matching regex"),
        ("clicks", {"event_id": samples.click()["event_id"] + "\n"}, "matching regex"),
        ("clicks", {"event_time": "yesterday"}, "Invalid RFC3339"),
        ("clicks", {"event_time": "2026-11-23T10:00:00"}, "timezone"),
        ("clicks", {"event_time": datetime(1970, 1, 1, tzinfo=UTC)}, "over 30 days old"),
        ("clicks", {"event_time": NOW + timedelta(days=365)}, "after its append"),
        ("clicks", {"product_id": None}, "page product without product_id"),
        ("clicks", {"product_id": "P00000"}, "unknown product 'P00000'"),
        ("clicks", {"category": "weapons"}, "is of category"),
        ("purchases", {"unit_price": "-9.95", "total": "-19.90"}, "unit_price -9.95 is negative"),
        ("purchases", {"total": "19.91"}, "is not quantity 2 times unit_price 9.95"),
        ("purchases", {"unit_price": "9.951"}, "not an amount with two decimals"),
        ("purchases", {"unit_price": "NaN"}, "not an amount with two decimals"),
        ("purchases", {"quantity": 0}, ">= 1"),
        ("purchases", {"quantity": 1.5}, "Expected `int`"),
        ("purchases", {"currency": "USD"}, "Invalid enum value 'USD'"),
        ("purchases", {"country": "Germany"}, "Z' - at `$.country`"),
        ("purchases", {"country": "unknown"}, "matching regex"),
        ("purchases", {"country": "DE\n"}, "matching regex"),
        ("purchases", {"country": ""}, "matching regex"),
        ("purchases", {"country": 49}, "Expected `str | null`, got `int`"),
        ("inventory", {"stock_level": -1}, ">= 0"),
        ("inventory", {"stock_level": 1, "change": 5}, "negative stock before"),
        ("inventory", {"product_id": "P2001"}, "unknown product"),
    ],
)
def test_bad_event_is_refused_with_its_reason(stream: str, changes: dict[str, Any], reason: str) -> None:
    assert reason in refuse(stream, SAMPLES[stream](**changes))


@pytest.mark.parametrize("stream", SAMPLES)
def test_every_required_field_is_required(stream: str) -> None:
    whole = SAMPLES[stream]()
    optional = {"clicks": {"product_id", "category"}, "purchases": {"country"}}
    for field in set(whole) - optional.get(stream, set()):
        assert field in refuse(stream, {name: value for name, value in whole.items() if name != field})


def test_a_purchase_of_an_earlier_producer_names_no_country() -> None:
    told = samples.purchase()
    (before, null, now) = judge(
        BY_NAME["purchases"],
        [
            samples.encode({name: value for name, value in told.items() if name != "country"}),
            samples.encode(told | {"country": None}),
            samples.encode(told),
        ],
    )
    assert [getattr(event, "country", event) for event in (before, null, now)] == [None, None, "FR"]


def test_stock_is_critical_only_when_it_crosses_its_threshold() -> None:
    def critical(level: int, change: int) -> bool:
        event = samples.stock_change(stock_level=level, change=change, critical_threshold=5)
        return bool(decoder(BY_NAME["inventory"]).decode(samples.encode(event)).is_critical())  # type: ignore[union-attr]

    assert critical(5, -1)
    assert critical(0, -9)
    assert not critical(6, -1)
    assert not critical(4, -1), "was at the threshold already"
    assert not critical(5, 3), "rose to it"


def test_sql_takes_the_same_changes_for_critical() -> None:
    rng = random.Random(41)
    changes = [
        samples.stock_change(stock_level=level, change=min(rng.randint(-9, 9), level), critical_threshold=limit)
        for level, limit in ((rng.randint(0, 12), rng.randint(0, 8)) for _ in range(2_000))
    ]
    expected = [BY_NAME["inventory"].event(**change).is_critical() for change in changes]  # type: ignore[union-attr]
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE inventory (stock_level, `change`, critical_threshold)")
        rows = [(change["stock_level"], change["change"], change["critical_threshold"]) for change in changes]
        database.executemany("INSERT INTO inventory VALUES (?, ?, ?)", rows)
        found = database.execute(f"SELECT {hive.BECOMES_CRITICAL} FROM inventory ORDER BY rowid").fetchall()  # noqa: S608
    assert [bool(critical) for (critical,) in found] == expected
    assert 0 < sum(expected) < len(expected)


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_arrow_spark_and_hive_have_the_fields_of_the_event(stream: Any) -> None:
    columns = hive.event_columns(stream)
    assert [column.name for column in columns] == list(stream.event.__struct_fields__)
    raw = hive.RAW[stream.name].columns
    assert hive.arrow_schema(raw).names == [column.name for column in raw]
    ddl = hive.RAW[stream.name].ddl("hdfs://namenode:8020")
    assert re.findall(r"^  `(\w+)`", ddl, re.M) == [column.name for column in raw]
    assert "PARTITIONED BY (`date` STRING, `hour` STRING)" in ddl
    assert {column.type for column in raw} <= {"STRING", "BIGINT", "TIMESTAMP", "DECIMAL(12,2)"}


def test_money_never_passes_through_a_float() -> None:
    event = decoder(BY_NAME["purchases"]).decode(samples.encode(samples.purchase()))
    assert event.total == Decimal("19.90")  # type: ignore[union-attr]
    assert str(hive.arrow_schema(hive.RAW["purchases"].columns).field("total").type) == "decimal128(12, 2)"


def test_topics_keep_seven_days_in_broker_time() -> None:
    for topic in TOPICS:
        assert topic.config["retention.ms"] == "604800000"
        assert topic.config["message.timestamp.type"] == "LogAppendTime"


def test_settings_survive_the_environment() -> None:
    settings = Settings(kafka_bootstrap="broker:1", hbase_thrift_port=1234)
    assert Settings.from_environment(settings.as_environment()) == settings
    with pytest.raises(Mistake, match="ECOMMERCE_SQL_PORT is 'x'"):
        Settings.from_environment({"ECOMMERCE_SQL_PORT": "x"})


def test_docs_page_is_the_code() -> None:
    written = Path(__file__).parents[2].joinpath("docs/contracts.md").read_text()
    assert written == page(), "docs/contracts.md is stale: run python -m contracts > docs/contracts.md"

"""Filters by partition at the SQL endpoint: whatever the metastore makes of them, the rows are those of the filter."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from operator import eq, ge, gt, le, lt, ne

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from clients import sql as endpoint
from clients.sql import Session
from contracts.settings import Settings

TABLE = "ecommerce.filtered"
DATES = ("2026-01-01", "2026-01-02", "2026-02-01", "2027-01-01", 'a"b', "a'b", "x=y/z", "%41", "ü", "date")
HOURS = ("00", "01", "23")
ROWS = [(day, hour, DATES.index(day) * 10 + int(hour)) for day in DATES for hour in HOURS]
OPERATORS = {"=": eq, "<>": ne, "<": lt, "<=": le, ">": gt, ">=": ge}

Row = tuple[str, str, int]


@dataclass(frozen=True)
class Filter:
    """A condition, and what it says of a row."""

    text: str
    holds: Callable[[Row], bool]


def quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def compared(column: int, name: str, value: str) -> strategies.SearchStrategy[Filter]:
    def of(operator: str) -> Filter:
        return Filter(f"`{name}` {operator} {quoted(value)}", lambda row: OPERATORS[operator](row[column], value))

    return strategies.sampled_from(sorted(OPERATORS)).map(of)


def among(column: int, name: str, values: list[str]) -> Filter:
    return Filter(f"`{name}` IN ({', '.join(map(quoted, values))})", lambda row: row[column] in values)


def between(low: str, high: str) -> Filter:
    return Filter(f"`date` BETWEEN {quoted(low)} AND {quoted(high)}", lambda row: low <= row[0] <= high)


def like(pattern: str) -> Filter:
    return Filter(f"`date` LIKE {quoted(pattern)}", lambda row: fnmatchcase(row[0], pattern.replace("%", "*")))


def negated(one: Filter) -> Filter:
    return Filter(f"NOT ({one.text})", lambda row: not one.holds(row))


def joined(word: str, one: Filter, two: Filter) -> Filter:
    both = all if word == "AND" else any
    return Filter(f"({one.text}) {word} ({two.text})", lambda row: both((one.holds(row), two.holds(row))))


days = strategies.sampled_from([*DATES, "2026-01-03", "", "DATE"])
hours = strategies.sampled_from([*HOURS, "24"])
leaves = strategies.one_of(
    days.flatmap(lambda day: compared(0, "date", day)),
    hours.flatmap(lambda hour: compared(1, "hour", hour)),
    strategies.lists(days, min_size=1, max_size=4).map(lambda some: among(0, "date", some)),
    strategies.builds(between, days, days),
    strategies.sampled_from(["2026-%", "%01", "2026-01%", "%"]).map(like),
    strategies.just(Filter("cast(`hour` AS INT) > 0", lambda row: int(row[1]) > 0)),
    strategies.just(Filter("n % 2 = 0", lambda row: row[2] % 2 == 0)),
)
filters = strategies.recursive(
    leaves,
    lambda inner: strategies.one_of(
        inner.map(negated), strategies.builds(joined, strategies.sampled_from(["AND", "OR"]), inner, inner)
    ),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def session(stack: Settings) -> Iterator[Session]:
    """A session, and a table with a partition of each day and hour."""
    with endpoint.connect(stack) as session:
        session.execute(f"DROP TABLE IF EXISTS {TABLE}")
        session.execute(f"CREATE TABLE {TABLE} (n INT) PARTITIONED BY (`date` STRING, `hour` STRING) STORED AS PARQUET")
        values = ", ".join(f"({number}, {quoted(day)}, {quoted(hour)})" for day, hour, number in ROWS)
        session.execute(f"INSERT INTO {TABLE} VALUES {values}")  # noqa: S608
        yield session
        session.execute(f"DROP TABLE {TABLE}")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(filters)
def test_the_rows_are_those_of_the_filter(session: Session, wanted: Filter) -> None:
    found = session.rows(f"SELECT `date`, `hour`, n FROM {TABLE} WHERE {wanted.text}")  # noqa: S608
    assert sorted(found) == sorted(row for row in ROWS if wanted.holds(row))

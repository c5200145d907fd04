"""What batch and speed layer answer, each question by itself; ``serving.views`` puts the answers together.

Each raises :class:`PlatformError` where the server that knows cannot be asked.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from clients import hdfs as files
from clients.commits import Commit, CommitLog
from clients.sql import connect
from contracts import paths
from contracts.events import Alert
from contracts.hbase import Progress, Revenue, Sales, Stock, Traffic
from contracts.hive import MARTS
from contracts.settings import Settings
from serving import days, speed
from serving.days import Mark

Rows = list[dict[str, Any]]
"""Rows of a mart: the values by the names of their columns, money as ``Decimal``."""


class Settled(NamedTuple):
    """A closed day: its mark, and its rows of a mart."""

    mark: Mark
    rows: Rows


class Layers:
    """Asks the servers of ``settings`` anew each time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def settled(self, table: str, chosen: Iterable[date]) -> dict[date, Settled]:
        """The rows of a mart of those days that are closed, before and after they are read: none made anew meanwhile.

        A day without rows in the mart has an empty list.
        """
        before = self.closed(chosen)
        if not before:
            return {}
        found = self.mart(table, before)
        after = self.closed(before)
        return {day: Settled(mark, found[day]) for day, mark in before.items() if after.get(day) == mark}

    def closed(self, chosen: Iterable[date]) -> dict[date, Mark]:
        """As ``serving.days.closed``; asks nobody where no day is chosen."""
        asked = list(chosen)
        return self._closed(asked) if asked else {}

    def _closed(self, asked: list[date]) -> dict[date, Mark]:
        return days.closed(files.client(self.settings), asked)

    def mart(self, table: str, chosen: Collection[date]) -> dict[date, Rows]:
        """The rows that SQL has of each of these days, closed or not."""
        columns = [column.name for column in MARTS[table].columns]
        asked = ", ".join(f"'{day}'" for day in sorted(chosen))
        names = ", ".join(f"`{name}`" for name in ("date", *columns))
        query = f"SELECT {names} FROM {MARTS[table].qualified} WHERE `date` IN ({asked})"  # noqa: S608
        with connect(self.settings) as sql:
            found = sql.rows(query)
        rows: dict[date, Rows] = {day: [] for day in chosen}
        for day, *values in found:
            rows[date.fromisoformat(day)].append(dict(zip(columns, values, strict=True)))
        return rows

    def revenue(self, start: datetime, end: datetime) -> dict[datetime, Revenue]:
        """As ``serving.speed.revenue``."""
        return speed.revenue(self.settings, start, end)

    def late_revenue(self, start: datetime, end: datetime) -> dict[datetime, Revenue]:
        """As ``serving.speed.late_revenue``."""
        return speed.late_revenue(self.settings, start, end)

    def traffic(self, start: datetime, end: datetime) -> dict[datetime, Traffic]:
        """As ``serving.speed.traffic``."""
        return speed.traffic(self.settings, start, end)

    def sales(self, start: datetime, end: datetime) -> dict[datetime, Sales]:
        """As ``serving.speed.sales``."""
        return speed.sales(self.settings, start, end)

    def stock(self, product: str) -> dict[str, Stock]:
        """As ``serving.speed.stock``."""
        return speed.stock(self.settings, product)

    def stocks(self) -> dict[tuple[str, str], Stock]:
        """As ``serving.speed.stocks``."""
        return speed.stocks(self.settings)

    def profile(self, user: str) -> speed.Profile | None:
        """As ``serving.speed.profile``."""
        return speed.profile(self.settings, user)

    def alerts(self, newest: int, after: str = "") -> Sequence[tuple[str, Alert]]:
        """As ``serving.speed.alerts_after``."""
        return speed.alerts_after(self.settings, newest, after)

    def progress(self) -> dict[str, Progress]:
        """As ``serving.speed.progress``."""
        return speed.progress(self.settings)

    def commit(self) -> Commit:
        """The newest commit of ingest."""
        return CommitLog(files.client(self.settings), paths.INGEST).newest()

    def landed_until(self) -> datetime | None:
        """Until when all that Kafka had is landed; None before ingest has told."""
        return CommitLog(files.client(self.settings), paths.INGEST).landed_until()

    def first_kept(self) -> date | None:
        """As ``serving.days.first_kept``."""
        return days.first_kept(files.client(self.settings))

    def marks(self, chosen: Iterable[date]) -> dict[date, Mark | None]:
        """As ``serving.days.marks``."""
        return days.marks(files.client(self.settings), chosen)

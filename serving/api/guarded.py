"""The layers as the API asks them: through gates, and what a closed day's marts hold but once."""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime
from threading import Lock
from typing import Final

from cachetools import LRUCache, TTLCache

from clients.commits import Commit
from clients.retry import hurry
from clients.sql import takes_sessions
from contracts.events import Alert
from contracts.hbase import Progress, Revenue, Sales, Stock, Traffic
from contracts.settings import Settings
from serving.api.gate import Gate
from serving.days import Mark
from serving.layers import Layers, Rows, Settled
from serving.speed import Profile

CACHED_ROWS: Final = 500_000
"""Rows of marts that are kept in memory at most, about 150 MB."""
STATEMENT_SECONDS: Final = 20.0
"""For one answer of the SQL endpoint about a statement, which Spark may plan for seconds where it has other work."""
STATE_SECONDS: Final = 1.0
"""How long it is remembered which days are closed."""


class GuardedLayers(Layers):
    """:class:`Layers` for many at once; each method raises within two seconds where its server does not answer."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.hbase, self.hdfs, self.sql = Gate("HBase", 16), Gate("HDFS", 8), Gate("the SQL endpoint", 4)
        self._lock = Lock()
        self._rows: LRUCache[tuple[str, date, Mark], Rows] = LRUCache(CACHED_ROWS, getsizeof=lambda rows: 1 + len(rows))
        self._marks: TTLCache[date, Mark | None] = TTLCache(4096, STATE_SECONDS)

    def settled(self, table: str, chosen: Iterable[date]) -> dict[date, Settled]:
        """SQL is asked once for a day that stays closed, which is known as of :data:`STATE_SECONDS` ago."""
        marks = self.lately_closed(chosen)
        with self._lock:
            known = {
                day: rows for day, mark in marks.items() if (rows := self._rows.get((table, day, mark))) is not None
            }
        fresh = super().settled(table, marks.keys() - known.keys())
        with self._lock:
            for day, found in fresh.items():
                self._rows[table, day, found.mark] = found.rows
        return {day: Settled(marks[day], rows) for day, rows in known.items()} | fresh

    def lately_closed(self, chosen: Iterable[date]) -> dict[date, Mark]:
        """As :meth:`closed`, as of :data:`STATE_SECONDS` ago at most."""
        asked = list(chosen)
        with self._lock:
            found = {day: self._marks[day] for day in asked if day in self._marks}
        unknown = [day for day in asked if day not in found]
        fresh = self.closed(unknown)
        found |= {day: fresh.get(day) for day in unknown}
        with self._lock:
            self._marks.update({day: found[day] for day in unknown})
        return {day: mark for day in asked if (mark := found[day])}

    def _closed(self, asked: list[date]) -> dict[date, Mark]:
        with self.hdfs():
            return super()._closed(asked)

    def mart(self, table: str, chosen: Collection[date]) -> dict[date, Rows]:
        with self.sql():
            takes_sessions(self.settings)
            with hurry(STATEMENT_SECONDS):
                return super().mart(table, chosen)

    def revenue(self, start: datetime, end: datetime) -> dict[datetime, Revenue]:
        with self.hbase():
            return super().revenue(start, end)

    def late_revenue(self, start: datetime, end: datetime) -> dict[datetime, Revenue]:
        with self.hbase():
            return super().late_revenue(start, end)

    def traffic(self, start: datetime, end: datetime) -> dict[datetime, Traffic]:
        with self.hbase():
            return super().traffic(start, end)

    def sales(self, start: datetime, end: datetime) -> dict[datetime, Sales]:
        with self.hbase():
            return super().sales(start, end)

    def stock(self, product: str) -> dict[str, Stock]:
        with self.hbase():
            return super().stock(product)

    def stocks(self) -> dict[tuple[str, str], Stock]:
        with self.hbase():
            return super().stocks()

    def profile(self, user: str) -> Profile | None:
        with self.hbase():
            return super().profile(user)

    def alerts(self, newest: int, after: str = "") -> Sequence[tuple[str, Alert]]:
        with self.hbase():
            return super().alerts(newest, after)

    def progress(self) -> dict[str, Progress]:
        with self.hbase():
            return super().progress()

    def commit(self) -> Commit:
        with self.hdfs():
            return super().commit()

    def landed_until(self) -> datetime | None:
        with self.hdfs():
            return super().landed_until()

    def first_kept(self) -> date | None:
        with self.hdfs():
            return super().first_kept()

    def marks(self, chosen: Iterable[date]) -> dict[date, Mark | None]:
        with self.hdfs():
            return super().marks(chosen)

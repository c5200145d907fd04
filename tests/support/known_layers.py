"""Layers without servers: what a test has put into them."""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import date, datetime
from typing import Any

from clients.commits import Commit, PartitionState
from contracts.events import Alert, epoch_ms
from contracts.hbase import Progress, Revenue, Sales, Stock, Traffic
from contracts.settings import Settings
from serving.days import Mark
from serving.layers import Layers, Rows
from serving.speed import Profile


class KnownLayers(Layers):
    """``failing`` is called before each answer with its name; what it raises is the server's answer."""

    def __init__(self) -> None:
        super().__init__(Settings())
        self.asked: list[str] = []
        self.closed_days: dict[date, Mark] = {}
        self.rows_of: dict[tuple[str, date], Rows] = {}
        self.on_time: dict[datetime, Revenue] = {}
        self.late: dict[datetime, Revenue] = {}
        self.visited: dict[datetime, Traffic] = {}
        self.sold: dict[datetime, Sales] = {}
        self.levels: dict[tuple[str, str], Stock] = {}
        self.profiles: dict[str, Profile] = {}
        self.raised: list[tuple[str, Alert]] = []
        self.newest: datetime | None = None
        self.failing: Callable[[str], Any] = lambda _: None

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        self.failing(what)

    def closed(self, chosen: Iterable[date]) -> dict[date, Mark]:
        self._ask("closed")
        return {day: self.closed_days[day] for day in chosen if day in self.closed_days}

    def mart(self, table: str, chosen: Collection[date]) -> dict[date, Rows]:
        self._ask(f"mart {table}")
        return {day: self.rows_of.get((table, day), []) for day in chosen}

    def revenue(self, start: datetime, end: datetime) -> dict[datetime, Revenue]:
        self._ask("revenue")
        return {minute: revenue for minute, revenue in self.on_time.items() if start <= minute < end}

    def late_revenue(self, start: datetime, end: datetime) -> dict[datetime, Revenue]:
        self._ask("late")
        return {minute: revenue for minute, revenue in self.late.items() if start <= minute < end}

    def traffic(self, start: datetime, end: datetime) -> dict[datetime, Traffic]:
        self._ask("traffic")
        return {minute: traffic for minute, traffic in self.visited.items() if start <= minute < end}

    def sales(self, start: datetime, end: datetime) -> dict[datetime, Sales]:
        self._ask("sales")
        return {minute: sales for minute, sales in self.sold.items() if start <= minute < end}

    def stock(self, product: str) -> dict[str, Stock]:
        self._ask("stock")
        return {warehouse: level for (known, warehouse), level in self.levels.items() if known == product}

    def stocks(self) -> dict[tuple[str, str], Stock]:
        self._ask("stocks")
        return self.levels

    def profile(self, user: str) -> Profile | None:
        self._ask("profile")
        return self.profiles.get(user)

    def alerts(self, newest: int, after: str = "") -> Sequence[tuple[str, Alert]]:
        self._ask("alerts")
        return [(key, alert) for key, alert in self.raised if key > after][:newest]

    def progress(self) -> dict[str, Progress]:
        self._ask("progress")
        return {"ecommerce-purchases/0": Progress(1, epoch_ms(self.newest))} if self.newest else {}

    def commit(self) -> Commit:
        self._ask("commit")
        state = PartitionState(1, epoch_ms(self.newest) if self.newest else None)
        days = {str(day): mark.sequence or 0 for day, mark in self.closed_days.items()}
        return Commit(partitions={"ecommerce-purchases/0": state}, days=days)

    def landed_until(self) -> datetime | None:
        self._ask("landed_until")
        return self.newest

    def first_kept(self) -> date | None:
        self._ask("first_kept")
        return None

    def marks(self, chosen: Iterable[date]) -> dict[date, Mark | None]:
        self._ask("marks")
        return {day: self.closed_days.get(day) for day in chosen}

"""What a speed task does with the records of its Kafka partition: values in HBase brought up to their offset.

HBase itself is the keyed state. Each row has a column for each Kafka partition that feeds it, and the cell's version
is the offset up to which the value counts: *the cell at version v holds what the partition's records below offset v
amount to*. A task takes a row's newest version up to the end of its batch, whoever wrote it, adds the records from
there on, and writes version ``end``. Written again, it is the same cell with the same value; a slower twin writes an
older version, which hides nothing; records below the partition's progress are skipped. So a replay changes nothing, a
second driver with other batches neither, and no state is held in memory between batches.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial, reduce
from typing import NamedTuple, TypeVar

import happybase
import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from clients import hbase, kafka
from contracts import hbase as tables
from contracts.catalog import category_of
from contracts.errors import BrokenPromise
from contracts.events import (
    CLICKS,
    INVENTORY,
    PURCHASES,
    UNKNOWN_COUNTRY,
    Alert,
    Click,
    Purchase,
    StockChange,
    epoch_ms,
    from_epoch_ms,
)
from contracts.hbase import (
    Bought,
    Progress,
    Revenue,
    Sales,
    SeenClick,
    Sold,
    Spending,
    Stock,
    Traffic,
    Visit,
    add_revenue,
    add_sales,
    add_traffic,
)
from contracts.settings import Settings
from contracts.topics import ALERTS
from jobs.streaming.partitions import by_partition
from jobs.streaming.records import Event, Reader, Rejected

SUMMARY = pa.schema([("summary", pa.binary())])


class Summary(msgspec.Struct):
    """What a task did: records handled by outcome, for the log."""

    partition: str
    end: int
    events: int = 0
    late: int = 0
    duplicates: int = 0
    alerts: int = 0


Value = TypeVar("Value", Revenue, Traffic, Sales, Stock, Visit, Spending)
Records = list[tuple[int, Event, bool]]
"""Offset, event, and whether it is late; in offset order."""
Announce = Callable[[Iterable[kafka.Record]], None]
"""What is done with alerts not raised before: key, value and headers for the alerts topic."""


class Read(NamedTuple):
    """Events of a partition, the offset after the last record, and the newest event time so far (ms since 1970 UTC)."""

    records: Records
    end: int
    newest_ms: int | None


Source = Callable[[int, int | None], Read]
"""Reads a partition from an offset on, given the newest event time before it."""


@dataclass(frozen=True, slots=True)
class Views:
    """For ``DataFrame.mapInArrow``: records in, a :class:`Summary` (JSON) a Kafka partition out."""

    settings: Settings
    delay: timedelta
    topic_ids: dict[str, str]
    generation: str

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        found: dict[str, list[pa.RecordBatch]] = {}
        for batch in batches:
            for key, records in by_partition(batch):
                found.setdefault(key, []).append(records)
        for key, parts in found.items():
            first = parts[0]["offset"][0].as_py()
            topic = key.rpartition("/")[0]
            source = partial(read_kafka, topic, parts, self.delay)
            announce = partial(kafka.send_all, self.settings, ALERTS)
            work = partial(count, key, self.topic_ids[topic], self.generation, first, source, announce)
            summary = hbase.attempt(self.settings, work)
            yield pa.record_batch([[msgspec.json.encode(summary)]], schema=SUMMARY)


def read_kafka(topic: str, parts: list[pa.RecordBatch], delay: timedelta, start: int, newest_ms: int | None) -> Read:
    """The events among Kafka's records (see ``records.py``) from ``start`` on."""
    reader = Reader(topic, None if newest_ms is None else from_epoch_ms(newest_ms), delay)
    records: Records = []
    end = start
    for part in parts:
        rows = part.filter(pc.greater_equal(part["offset"], start))
        records += [read for read in reader.read(rows) if not isinstance(read, Rejected)]
        if rows.num_rows:
            end = rows["offset"][-1].as_py() + 1
    return Read(records, end, None if reader.newest is None else epoch_ms(reader.newest))


def count(
    key: str,
    topic_id: str,
    generation: str,
    first: int,
    source: Source,
    announce: Announce,
    connection: happybase.Connection,
) -> Summary:
    """Brings HBase up to the end of what ``source`` reads of a Kafka partition (``topic/number``) from ``first`` on."""
    topic, _, number = key.rpartition("/")
    partition = Partition(connection, topic, topic_id, generation, int(number), first)
    read = source(partition.start, partition.newest_ms)
    partition.end = read.end
    summary = Summary(key, read.end, len(read.records), sum(late for *_, late in read.records))
    if read.records:
        UPDATES[topic](partition, read.records, summary, announce)
    partition.finish(read.newest_ms)
    return summary


class Partition:
    """The records ``[start, end)`` of a Kafka partition, and the state as of ``start``."""

    def __init__(
        self, connection: happybase.Connection, topic: str, topic_id: str, generation: str, number: int, first: int
    ) -> None:
        self.connection, self.topic, self.number = connection, topic, number
        self.topic_id, self.generation = topic_id, generation
        self._progress = connection.table(tables.SPEED_PROGRESS.name)
        self._column = tables.partition_column(tables.VALUE_FAMILY, number)
        # At start the newest progress there is; records below it are counted already.
        row = self._progress.row(self.topic.encode(), columns=[self._column])
        progress = msgspec.json.decode(row[self._column], type=Progress) if row else tables.UNCOUNTED
        if progress.topic_id == tables.REBUILDING != topic_id:
            raise BrokenPromise(
                "HBase is being made anew from the landed files, or that broke off: wait for it, or run "
                "python -m jobs.rebuild again"
            )
        if progress.topic_id not in ("", topic_id):
            raise BrokenPromise(
                f"topic {topic} is not the one that was counted so far: it was created anew, its offsets begin again; "
                f"python -m jobs.adopt --topic {topic} counts it from its beginning"
            )
        if progress.generation not in ("", generation):
            raise BrokenPromise("HBase was made anew since this job started; start it again, to go on from there")
        self.base = progress.base
        self.start = max(first, progress.end)
        self._before = progress
        self.end = self.start
        self.newest_ms = self._before.newest_ms

    def update(
        self,
        table: tables.HBaseTable,
        family: str,
        kind: type[Value],
        added: dict[bytes, list[tuple[int, Value]]],
        combine: Callable[[list[Value]], Value],
    ) -> None:
        """Writes each row's value as of ``end``, as that version: its newest one up to there, and what came since.

        ``added`` holds offsets and values in offset order. A version that another driver wrote of this batch, or part
        of it, counts as well as one of before. Where all versions are of later batches, this one is hidden.
        """
        column = tables.partition_column(family, self.number)
        handle = self.connection.table(table.name)
        until = self.base + self.end + 1
        found = dict(handle.rows(list(added), columns=[column], timestamp=until, include_timestamp=True))
        absent = [key for key in added if key not in found]
        later = {key for key, _ in handle.rows(absent, columns=[column])}
        values: dict[bytes, dict[bytes, bytes]] = {}
        for key, parts in added.items():
            cell, version = found[key][column] if key in found else (None, 0)
            known: list[Value] = [] if cell is None else [msgspec.json.decode(cell, type=kind)]
            new: list[Value] = [part for offset, part in parts if self.base + offset >= version]
            if new and key not in later:
                values[key] = {column: msgspec.json.encode(combine(known + new))}
        self.put(table, values)

    def put(self, table: tables.HBaseTable, rows: dict[bytes, dict[bytes, bytes]]) -> None:
        """Writes rows as version ``end``."""
        batch = self.connection.table(table.name).batch(timestamp=self.base + self.end)
        for key, row in rows.items():
            batch.put(key, row)
        batch.send()

    def first_purchases(self, ids: dict[bytes, int]) -> set[int]:
        """Of the offsets of events (by id) those that no earlier record had, marked as seen there.

        An event that was seen at this very offset is a replay of this batch, not a copy.
        """
        column = tables.SEEN_AT.column
        places = {key: tables.seen_at(self.number, self.base + offset) for key, offset in ids.items()}
        handle = self.connection.table(tables.SEEN_PURCHASES.name)
        known = {key: row[column] for key, row in handle.rows(list(ids))}
        # No version given: the time to live counts from the clock, not from an offset.
        with handle.batch() as batch:
            for key in ids.keys() - known.keys():
                batch.put(key, {column: places[key]})
        return {offset for key, offset in ids.items() if known.get(key, places[key]) == places[key]}

    def first_clicks(self, rows: dict[bytes, list[SeenClick]]) -> dict[int, bool]:
        """Of clicks, by row of ``seen_clicks`` in offset order, the offsets that no earlier record had.

        Beside each whether it is the first of its user in that row. They are kept in a cell of this batch, copies left
        out. A click that was seen at this very offset is a replay, not a copy, and is written once more: the cell of
        the same batch is the same, whoever writes it.
        """
        handle = self.connection.table(tables.SEEN_CLICKS.name)
        known: dict[bytes, dict[bytes, bytes]] = dict(handle.rows(list(rows)))
        column = tables.seen_column(self.number, self.base + self.start, self.base + self.end)
        found: dict[int, bool] = {}
        with handle.batch() as batch:
            for key, clicks in rows.items():
                seen = Seen(self.number, known.get(key, {}))
                fresh = [click for click in clicks if seen.is_first(click)]
                for click in fresh:
                    found[click.version - self.base] = seen.users[click.user] == click.version
                if fresh:
                    batch.put(key, {column: tables.pack_seen(fresh)})
        return found

    def finish(self, newest_ms: int | None) -> None:
        """States that the partition is counted up to ``end``. Written last: until then a replay starts over."""
        if self.end > self._before.end:
            progress = msgspec.structs.replace(
                self._before, end=self.end, newest_ms=newest_ms, topic_id=self.topic_id, generation=self.generation
            )
            self.put(tables.SPEED_PROGRESS, {self.topic.encode(): {self._column: msgspec.json.encode(progress)}})


class Seen:
    """What a row of ``seen_clicks`` has, as a Kafka partition sees it: another one's clicks were before its own."""

    def __init__(self, partition: int, row: dict[bytes, bytes]) -> None:
        self.users: dict[bytes, int] = {}
        """The version at which each user was first seen, -1 in another partition."""
        self._events: set[tuple[bytes, bytes]] = set()
        self._ours: set[SeenClick] = set()
        for column, value in row.items():
            ours = tables.seen_partition(column) == partition
            for click in tables.unpack_seen(value):
                self._events.add((click.user, click.event))
                if ours:
                    self._ours.add(click)
                version = click.version if ours else -1
                self.users[click.user] = min(version, self.users.get(click.user, version))

    def is_first(self, click: SeenClick) -> bool:
        """Whether it was seen nowhere, or at its very place; it was from now on."""
        event = click.user, click.event
        if event in self._events:
            return click in self._ours
        self._events.add(event)
        self.users.setdefault(click.user, click.version)
        return True


def _newest_stock(before: Stock, added: Stock) -> Stock:
    """The one of later event time; of two at the same time, the one that came later."""
    return before if before.time > added.time else added


def _add_spending(before: Spending, added: Spending) -> Spending:
    return Spending(before.amount + added.amount, max(before.time, added.time), before.purchases + added.purchases)


def _add_visit(before: Visit, added: Visit) -> Visit:
    """Page and category each of their newest click, so that it does not matter where batches begin."""
    newest = before if before.time > added.time else added
    keeps = before.category is not None and (added.category is None or before.looked_at() > added.looked_at())
    looked = before if keeps else added
    looked_at = None if looked.category is None or looked.looked_at() == newest.time else looked.looked_at()
    return Visit(newest.page, looked.category, newest.device, newest.country, newest.time, looked_at)


def update_clicks(partition: Partition, records: Records, summary: Summary, announce: Announce) -> None:
    """The newest of each user; each click and each user of a minute once, in that minute."""
    visits: dict[bytes, list[tuple[int, Visit]]] = defaultdict(list)
    seen: dict[bytes, list[SeenClick]] = defaultdict(list)
    found: list[tuple[int, Click, bytes]] = []
    for offset, click, _ in records:
        assert isinstance(click, Click)
        visit = Visit(click.page, click.category, click.device, click.country, click.event_time)
        visits[click.user_id.encode()].append((offset, visit))
        minute, user = tables.minute_key(click.event_time), tables.digest(click.user_id)
        of = SeenClick(user, tables.digest(click.event_id), partition.base + offset)
        seen[tables.seen_key(minute, user)].append(of)
        found.append((offset, click, minute))
    partition.update(tables.USER_PROFILES, tables.VISIT_FAMILY, Visit, visits, partial(reduce, _add_visit))

    first = partition.first_clicks(seen)
    minutes: dict[bytes, list[tuple[int, Traffic]]] = defaultdict(list)
    for offset, click, minute in found:
        if offset in first:
            minutes[minute].append((offset, _traffic(click, is_new=first[offset])))
    partition.update(tables.TRAFFIC_BY_MINUTE, tables.VALUE_FAMILY, Traffic, minutes, add_traffic)


def _traffic(click: Click, is_new: bool) -> Traffic:
    """What a click adds to its minute, one more visitor where it is the user's first."""
    category = click.category or category_of(click.product_id or "")
    viewed = {category: 1} if click.page == "product" and category else {}
    return Traffic(int(is_new), {click.page: 1}, viewed, {click.country: 1} if is_new else {})


def update_purchases(partition: Partition, records: Records, summary: Summary, announce: Announce) -> None:
    """Counts each purchase once: late ones apart, on-time ones in their minute, both by category, country and user."""
    ids: dict[bytes, int] = {}
    for offset, event, _ in records:
        ids.setdefault(event.event_id.encode(), offset)
    first = partition.first_purchases(ids)
    fresh = [record for record in records if record[0] in first]
    summary.duplicates = len(records) - len(fresh)
    minutes: dict[bytes, list[tuple[int, Revenue]]] = defaultdict(list)
    sales: dict[bytes, list[tuple[int, Sales]]] = defaultdict(list)
    users: dict[bytes, list[tuple[int, Spending]]] = defaultdict(list)
    late_rows: dict[bytes, dict[bytes, bytes]] = {}
    for offset, purchase, late in fresh:
        assert isinstance(purchase, Purchase)
        minute = tables.minute_key(purchase.event_time)
        if late:
            key = tables.late_key(purchase.event_time, purchase.event_id)
            late_rows[key] = {tables.LATE_AMOUNT.column: str(purchase.total).encode()}
        else:
            minutes[minute].append((offset, Revenue(purchase.total, 1)))
        sales[minute].append((offset, _sales(purchase)))
        users[purchase.user_id.encode()].append((offset, Spending(purchase.total, purchase.event_time, 1)))
    partition.update(tables.REVENUE_BY_MINUTE, tables.VALUE_FAMILY, Revenue, minutes, add_revenue)
    partition.put(tables.REVENUE_LATE, late_rows)
    partition.update(tables.SALES_BY_MINUTE, tables.VALUE_FAMILY, Sales, sales, add_sales)
    partition.update(tables.USER_PROFILES, tables.SPENDING_FAMILY, Spending, users, partial(reduce, _add_spending))


def _sales(purchase: Purchase) -> Sales:
    """What a purchase adds to its minute."""
    bought = purchase.total, purchase.quantity, 1
    return {purchase.category: Sold(*bought, {purchase.country or UNKNOWN_COUNTRY: Bought(*bought)})}


def update_inventory(partition: Partition, records: Records, summary: Summary, announce: Announce) -> None:
    stock: dict[bytes, list[tuple[int, Stock]]] = defaultdict(list)
    alerts: dict[bytes, Alert] = {}
    for offset, change, _ in records:
        assert isinstance(change, StockChange)
        now = Stock(change.stock_level, change.critical_threshold, change.event_time)
        stock[tables.stock_key(change.product_id, change.warehouse)].append((offset, now))
        if change.is_critical():
            alerts[tables.alert_key(change.event_time, change.product_id, change.event_id)] = change.alert()
    partition.update(tables.STOCK, tables.VALUE_FAMILY, Stock, stock, partial(reduce, _newest_stock))
    summary.alerts = _raise_alerts(partition, alerts, announce)


def _raise_alerts(partition: Partition, alerts: dict[bytes, Alert], announce: Announce) -> int:
    """Announces alerts not raised before, then keeps them in HBase; returns how many were new.

    A crash between the two sends an alert again: its key, the row key, is the same, so that a reader can tell.
    """
    table = partition.connection.table(tables.STOCK_ALERTS.name)
    known = {key for key, _ in table.rows(list(alerts))}
    new = {key: msgspec.json.encode(alert) for key, alert in alerts.items() if key not in known}
    if new:
        announce((key.decode(), value, {}) for key, value in new.items())
        partition.put(tables.STOCK_ALERTS, {key: {tables.ALERT.column: value} for key, value in new.items()})
    return len(new)


UPDATES = {CLICKS.topic: update_clicks, PURCHASES.topic: update_purchases, INVENTORY.topic: update_inventory}

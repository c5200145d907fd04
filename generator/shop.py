"""The shop: sessions, stock and imperfections put together into records in the order in which they are sent.

The model's clock advances in steps. What happens in a step is final when the step is played: visits were walked when
they began and wait in an agenda, sales meet the stock in the order of their time, and what is sent later waits in
another agenda.
"""

import heapq
import math
from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np

from contracts.catalog import CATEGORIES
from contracts.events import STREAMS
from generator.agenda import Agenda
from generator.arrivals import Arrivals, Rhythm
from generator.catalogue import Catalogue, change_ms, first_change, founded_day
from generator.config import DAY_MS, WATERMARK_MS, Config, rng_for
from generator.encode import Encoder, EventIds, total_cents
from generator.imperfections import COPY_MS, DEFECTS_OF, STALE_COPY_MS, delays, malformed
from generator.records import FACTS, Batch, Kind, joined
from generator.stock import ADJUSTMENTS_PER_SALE, STOCK_ROW, Stock
from generator.visitors import PLACES, Visitors
from generator.walk import CLICK_ROW, PURCHASE_ROW, Walk

LAST_ORDERS_MS: Final = 1_000
"""So long before the end of a day the last purchase is made and stock changes, so that all is dated that day."""
OPENING_MS: Final = 60_000
"""The opening stock is announced within the first minute (live: so that it takes at most a tenth of the rate)."""
OPENING_SHARE: Final = 0.05
"""At most this share of a day's events announces the opening stock; other shelves are announced when touched."""
WARM_UP_MS: Final = 300_000
"""Live: visits that began up to so long before the start are under way at the start: all but 1 % of them."""
BLOCK_EVENTS: Final = 10_000
LIVE_STEP_MS: Final = (50, 1_000)
BOTS: Final = 50
"""Of a share of the shop."""
LIVE_DAYS: Final = 3_653
"""Live there is room for the launches of so many days, as far as product ids allow."""
PILOT_SESSIONS: Final = 20_000
WALK_SESSIONS: Final = 20_000
"""Sessions walked at once, at most."""


@dataclass(frozen=True, slots=True)
class Averages:
    """What a session brings on average, found by playing some."""

    events: float
    pieces: np.ndarray
    """By category."""
    lines: float

    @classmethod
    def of(cls, walk: Walk, seed: int) -> "Averages":
        rng = rng_for("pilot", seed)
        nothing_wanted = np.full(PILOT_SESSIONS, -1)
        clicks, purchases = walk.play(rng, np.zeros(PILOT_SESSIONS, dtype=np.int64), nothing_wanted, 0)
        pieces = np.bincount(
            walk.catalogue.category[purchases["product"]], weights=purchases["quantity"], minlength=len(CATEGORIES)
        )
        lines = len(purchases) / PILOT_SESSIONS
        changes = lines * (1 + ADJUSTMENTS_PER_SALE)
        return cls(len(clicks) / PILOT_SESSIONS + lines + changes, pieces / PILOT_SESSIONS, lines)


class Shop:
    """Plays a share of the shop from ``start`` ms on; ``end`` is the end of the days, None when it plays now."""

    def __init__(self, config: Config, start: int, run: int = 0) -> None:
        """``run`` tells live runs of the same settings apart, so that none repeats another's event ids."""
        self.config = config
        self.start = start
        self.end = start + config.days * DAY_MS if config.day else None
        days = config.days if config.day else LIVE_DAYS
        self._change_day = first_change(start)
        launches = config.changes.launches * (start // DAY_MS + days - founded_day())
        self.catalogue = Catalogue(config.seed, max(launches, 0))
        self.visitors = Visitors.draw(
            config.seed, config.share, self.catalogue, config.preset, BOTS if config.bots else 0
        )
        if config.changes:
            for day in range(founded_day(), self._change_day):
                self.catalogue.change(day, config.changes)
        self.unpublished = self.catalogue.records(self.catalogue.known())
        """What the catalogue's topic is yet to be told."""
        self.changed = Counter[str]()
        """Products by what became of them."""
        self.walk = Walk(self.visitors, self.catalogue, config.preset, config.bots)
        averages = Averages.of(self.walk, config.seed)
        growth = config.growth if config.days > 1 else 0.0
        rhythm = Rhythm(config.preset if config.daily_rhythm else None, config.flash_sales, growth, start // DAY_MS)
        pairs = len(config.share.warehouses) * int(np.count_nonzero(self.catalogue.available))

        if config.day:
            events = config.own(config.events)
            opening = min(pairs, int(events * OPENING_SHARE))
            opening_ms = OPENING_MS
            sessions_a_day = (events - opening / config.days) / averages.events
            self._arrivals = Arrivals(rhythm, config.days * sessions_a_day / rhythm.mass(start, config.days))
            self.step_ms = max(1, math.ceil(DAY_MS * BLOCK_EVENTS / events)) if events else DAY_MS
            self.step_ms = min(self.step_ms, DAY_MS)
        else:
            rate = config.own(config.rate)
            opening = pairs
            opening_ms = max(OPENING_MS, int(pairs / (rate / 10) * 1000))
            sessions_a_day = rate / averages.events * DAY_MS / 1000
            self._arrivals = Arrivals(rhythm, sessions_a_day / DAY_MS)
            low, high = LIVE_STEP_MS
            self.step_ms = int(min(max(BLOCK_EVENTS / rate * 1000, low), high))

        self._rng = rng_for("play", config.identity, run)
        warehouse_of = np.array([place.warehouse for place in PLACES.values()])
        self._warehouse = warehouse_of[self.visitors.country]
        weights = np.array([place.weight for place in PLACES.values()])
        self._by_warehouse = np.bincount(warehouse_of, weights=weights, minlength=len(config.share.warehouses))
        self._pieces_a_day = sessions_a_day * averages.pieces
        self.stock = Stock(
            self._rng,
            self._demand(),
            start,
            opening_ms,
            opening,
            ADJUSTMENTS_PER_SALE * sessions_a_day * averages.lines / DAY_MS,
            config.preset.returned,
        )
        self._ids = EventIds(config, self._rng, run)
        self._encoder = Encoder(
            self._ids.prefix, self.catalogue, self.visitors, config.share.warehouses, self.stock.critical
        )
        self._sessions = 0
        self._clicks = Agenda(CLICK_ROW, "time")
        self._purchases = Agenda(PURCHASE_ROW, "time")
        self._outgoing = [Agenda(dtype, "send") for dtype in (CLICK_ROW, PURCHASE_ROW, STOCK_ROW)]
        self._copies: list[tuple[int, int, np.ndarray, str, str, str]] = []
        self._copied = 0
        self.now = start
        self.shift = 0
        """Live: how much later than by the model's clock everything happens, in ms; it may only grow."""
        if not config.day:
            for at in range(start - WARM_UP_MS, start, LIVE_STEP_MS[1]):
                self._visit(at, at + LIVE_STEP_MS[1])

    def _demand(self) -> np.ndarray:
        """Pieces a day of each warehouse and product."""
        demand = self._pieces_a_day[self.catalogue.category] * self.catalogue.shares()
        return np.outer(self._by_warehouse, demand).ravel()

    @property
    def finished(self) -> bool:
        """Whether the days are over and everything of them has been handed out."""
        waiting = len(self._copies) + sum(len(agenda) for agenda in self._outgoing)
        return self.end is not None and self.now >= self.end and not waiting

    def step(self) -> Batch:
        """The records sent in the next ``step_ms``."""
        until = self.now + self.step_ms
        if self.end is None or self.now < self.end:
            if self.config.changes:
                if self.now == change_ms(self._change_day):
                    self._change_catalogue()
                until = min(until, change_ms(self._change_day))
            if self.end is not None:
                until = min(until, self.end)
            self._visit(self.now, until)
            self._happen(self.now, until)
        self.now = until
        return self._send(until + self.shift)

    def _change_catalogue(self) -> None:
        """From now on: visits under way go on with the products and prices with which they began."""
        changed = self.catalogue.change(self._change_day, self.config.changes)
        self._change_day += 1
        self.stock.expect(self._demand(), self.now, OPENING_MS)
        self.unpublished += self.catalogue.records(changed.all)
        self.changed.update(
            launched=len(changed.launched), withdrawn=len(changed.withdrawn), repriced=len(changed.repriced)
        )

    def rest(self, now: int) -> Batch:
        """The records of all events that happened before ``now`` and still wait to be sent: they are sent now."""
        batch = self._send(2**62).happened_before(now, 0)
        facts = batch.facts
        facts["send"] = np.minimum(facts["send"], now)
        soon = facts["send"] - facts["happened"] <= WATERMARK_MS
        facts["kind"][soon & (facts["kind"] == Kind.DELAYED)] = Kind.VALID
        facts["kind"][soon & (facts["kind"] == Kind.STALE_COPY)] = Kind.COPY
        facts["later_day"] = facts["send"] // DAY_MS > facts["happened"] // DAY_MS
        return batch

    def _visit(self, start: int, end: int) -> None:
        """Walks the sessions that begin in [start, end); what they do before the shop's start is left out."""
        begins, wanted = self._arrivals.draw(self._rng, start, end)
        for at in range(0, len(begins), WALK_SESSIONS):
            part = slice(at, at + WALK_SESSIONS)
            known = self._known(begins[part])
            clicks, purchases = self.walk.play(self._rng, begins[part], wanted[part], self._sessions, known)
            self._sessions += len(begins[part])
            if self.end is not None:
                clicks = clicks.compress(clicks["time"] < self.end)
                purchases = purchases.compress(purchases["time"] < self.end - LAST_ORDERS_MS)
            self._clicks.add(clicks.compress(clicks["time"] >= self.start))
            self._purchases.add(purchases.compress(purchases["time"] >= self.start))

    def _known(self, begins: np.ndarray) -> np.ndarray | float:
        """The cumulative activity of the visitors who know the shop by each time; on the last day all of them do."""
        if self.end is None:
            return 1.0
        days_to_come = (self.end - 1 - begins) // DAY_MS
        known = len(self.visitors.activity) * (1 + self.config.growth) ** -days_to_come.astype(float)
        return self.visitors.activity[np.maximum(known.astype(np.int64) - 1, 0)]

    def _happen(self, start: int, end: int) -> None:
        """What happens in [start, end) takes its way out; sales meet the stock."""
        clicks = self._clicks.take(end, self.step_ms)
        purchases = self._purchases.take(end, self.step_ms)
        first = self._warehouse[purchases["user"]] * len(self.catalogue.ids) + purchases["product"]
        stock_end = end if self.end is None else max(start, min(end, self.end - LAST_ORDERS_MS))
        changes, sold = self.stock.play(purchases, first, start, stock_end)
        for agenda, rows in zip(self._outgoing, (clicks, purchases.compress(sold), changes), strict=True):
            rows["time"] += self.shift
            rows["send"] = rows["time"] + delays(self._rng, self.config.imperfections, rows["time"], self.end)
            if rows.dtype != STOCK_ROW:
                for outage in self.config.outages:
                    outage.hold(rows)
                for clock in self.config.wrong_clocks:
                    clock.set(rows, self.start)
            agenda.add(rows)

    def _send(self, until: int) -> Batch:
        """The records to be sent before ``until``, with copies and malformed ones planned on the way."""
        facts: list[np.ndarray] = []
        keys: list[str] = []
        values: list[str | bytes] = []
        ids: list[str] = []
        encode = (self._encoder.clicks, self._encoder.purchases, self._encoder.inventory)
        for index, agenda in enumerate(self._outgoing):
            rows = agenda.take(until, self.step_ms)
            if not len(rows):
                continue
            fact = np.zeros(len(rows), dtype=FACTS)
            fact["send"] = rows["send"]
            fact["happened"] = rows["time"]
            fact["time"] = rows["time"] + rows["skew"]
            fact["stream"] = index
            fact["later_day"] = rows["send"] // DAY_MS > rows["time"] // DAY_MS
            fact["misdated"] = rows["skew"] != 0
            fact["kind"] = np.where(rows["send"] - rows["time"] > WATERMARK_MS, Kind.DELAYED, Kind.VALID)
            if rows.dtype == PURCHASE_ROW:
                fact["cents"] = total_cents(rows)
            if rows.dtype == STOCK_ROW:
                fact["critical"] = self._encoder.is_critical(rows)
            else:
                fact["held"] = rows["held"]
            new_ids = self._ids.draw(len(rows))
            new_values, new_keys = encode[index](rows, new_ids)
            self._plan_copies(fact, new_keys, new_values, new_ids)
            spoilt, spoilt_keys, spoilt_values = self._spoil(fact, new_keys, new_values)
            facts += [fact, spoilt]
            keys += new_keys + spoilt_keys
            values += new_values
            values += spoilt_values
            ids += new_ids + [""] * len(spoilt)
        while self._copies and self._copies[0][0] < until:
            _, _, copy, key, value, event_id = heapq.heappop(self._copies)
            facts.append(copy)
            keys.append(key)
            values.append(value)
            ids.append(event_id)
        if not facts:
            return Batch(np.empty(0, dtype=FACTS), [], [], [])
        batch = Batch(joined(facts), keys, values, ids)
        return batch.take(np.argsort(batch.facts["send"], kind="stable"))

    def _plan_copies(self, facts: np.ndarray, keys: list[str], values: list[str], ids: list[str]) -> None:
        """Some events are sent again later; delayed ones are not: no job would know such a copy from a new event."""
        shares = self.config.imperfections
        chance = self._rng.random(len(facts))
        chosen = chance < shares.duplicate + shares.stale_duplicate
        for index in np.flatnonzero(chosen & (facts["kind"] == Kind.VALID)).tolist():
            kind, wait = (Kind.COPY, COPY_MS) if chance[index] < shares.duplicate else (Kind.STALE_COPY, STALE_COPY_MS)
            copy = facts[index : index + 1].copy()
            copy["send"] += self._rng.integers(*wait)
            copy["kind"] = kind
            self._copied += 1
            entry = (int(copy["send"][0]), self._copied, copy, keys[index], values[index], ids[index])
            heapq.heappush(self._copies, entry)

    def _spoil(
        self, facts: np.ndarray, keys: list[str], values: list[str]
    ) -> tuple[np.ndarray, list[str], list[str | bytes]]:
        """Malformed records made of some of the events, sent right after them."""
        chosen = np.flatnonzero(self._rng.random(len(facts)) < self.config.imperfections.malformed)
        spoilt = facts[chosen]
        spoilt["kind"] = Kind.MALFORMED
        spoilt_values: list[str | bytes] = []
        for index, event_id in zip(chosen.tolist(), self._ids.draw(len(chosen)), strict=True):
            stream = STREAMS[facts["stream"][index]]
            defects = DEFECTS_OF[stream]
            defect = defects[int(self._rng.integers(len(defects)))]
            spoilt_values.append(malformed(defect, stream, values[index], event_id))
        return spoilt, [keys[index] for index in chosen.tolist()], spoilt_values

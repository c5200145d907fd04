"""Plays a shop into a sink: as fast as possible, or each record at its time; ends with the days or on a signal."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import numpy as np
import structlog

from contracts.errors import Unreachable
from contracts.events import BY_TOPIC
from generator.ledger import Ledger
from generator.metrics import Metrics
from generator.records import EVENTS, Batch
from generator.shop import Shop
from generator.sinks import Sink

TICK_SECONDS: Final = 0.02
"""Paced: what falls due within a tick is sent together."""
SLOW_MS: Final = 1_000
"""Live: the shop's clock is held back when sending is later than this."""
LEDGER_SECONDS: Final = 10.0
"""How often ledger and ids are written, if Kafka has everything then."""
SETTLE_SECONDS: Final = 0.5
"""How long is waited for that."""
IDS_KEPT: Final = 250_000
"""So many ids at most wait to be written."""

log = structlog.get_logger()


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set instead of ending the process."""
    stop = threading.Event()
    previous = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@dataclass(slots=True)
class Player:
    shop: Shop
    sink: Sink
    ledger: Ledger
    metrics: Metrics
    stop: threading.Event
    progress: Callable[[int], Any]
    """Called with the number of distinct valid events so far."""
    clock: Callable[[], int] | None
    """The time at which records are sent, in ms; None plays as fast as possible."""
    ledger_path: Path | None = None
    ids_file: IO[str] | None = None
    """Takes a line an event: stream, tab, event id."""
    catalogue_file: IO[str] | None = None
    """Takes a line of JSON for each record of the catalogue."""
    _ids: list[str] = field(default_factory=list)
    """Lines for it, of events that Kafka may not have yet."""
    _written: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Plays until the day is over or ``stop`` is set; then everything that happened is sent and delivered."""
        now = self.shop.now
        if self.clock and self.shop.end is None:
            self.shop.shift = self.clock() - self.shop.start
        while not self.stop.is_set() and not self.shop.finished and not self.sink.failed:
            batch = self.shop.step()
            self._publish()
            if self.clock is None:
                self._send(batch, 0, len(batch.facts))
                now = self.shop.now
            else:
                now = self._send_paced(batch, self.clock)
            self._account()
            if time.monotonic() - self._written >= LEDGER_SECONDS or len(self._ids) > IDS_KEPT:
                self._write_settled()
        if not self.sink.failed:
            rest = self.shop.rest(now)
            self._send(rest, 0, len(rest.facts))
        self.sink.close()
        self._settle()

    def _publish(self) -> None:
        """What is new in the catalogue goes out before the events of it."""
        products, self.shop.unpublished = self.shop.unpublished, []
        self.sink.publish(products)
        if self.catalogue_file:
            self.catalogue_file.writelines(f"{msgspec.json.encode(product).decode()}\n" for product in products)

    def _account(self) -> None:
        self.ledger.lost_sales = self.shop.stock.lost_sales
        self.ledger.products = int(np.count_nonzero(self.shop.catalogue.available))
        self.ledger.changed = self.shop.changed

    def _send_paced(self, batch: Batch, clock: Callable[[], int]) -> int:
        """Sends each record when its time has come; on ``stop`` what has happened by then. Returns the time, in ms."""
        send = batch.facts["send"]
        end = self.shop.now + self.shop.shift
        at = 0
        while True:
            now = clock()
            if self.stop.is_set():
                happened = batch.happened_before(now, at)
                self._send(happened, 0, len(happened.facts))
                return now
            due = int(np.searchsorted(send, now, side="right"))
            if due > at:
                self._send(batch, at, due)
                at = due
            if at == len(send) and now >= end:
                break
            self.stop.wait(TICK_SECONDS)
        if self.shop.end is None and now - end > SLOW_MS:
            self.shop.shift += now - end
            self.metrics.held_back.inc((now - end) / 1000)
            log.warning("slower than the rate; the shop's clock is held back", seconds=(now - end) / 1000)
        return now

    def _send(self, batch: Batch, start: int, stop: int) -> None:
        self.sink.send(batch, start, stop)
        self.ledger.add(batch, start, stop)
        self.metrics.add(batch, start, stop)
        self.metrics.waiting.set(self.sink.waiting())
        if self.ids_file:
            self._ids += batch.id_lines(start, stop)
        self.progress(self.ledger.events)

    def _write_settled(self) -> None:
        """Writes ledger and ids if Kafka has all that was sent: a shop that is killed leaves nothing else in them."""
        self._written = time.monotonic()
        if (self.ledger_path or self.ids_file) and self.sink.settled(SETTLE_SECONDS) and not self.sink.failed:
            self._write()

    def _write(self) -> None:
        if self.ids_file:
            self.ids_file.writelines(self._ids)
            self.ids_file.flush()
            self._ids.clear()
        if self.ledger_path:
            self.ledger.write(self.ledger_path)

    def _settle(self) -> None:
        """Takes back what was not delivered, writes the ledger, and raises where something was not delivered."""
        lost = set()
        for failure in self.sink.failed:
            if failure.label:
                self.ledger.retract(BY_TOPIC[failure.topic], failure.label, failure.value)
                if failure.label.kind in EVENTS:
                    lost.add(failure.id_line)
        self.metrics.failed.set(len(self.sink.failed))
        self._ids = [line for line in self._ids if line not in lost]
        self._write()
        if self.sink.failed:
            first = self.sink.failed[0]
            raise Unreachable(
                f"{len(self.sink.failed)} records were not delivered, the first to {first.topic}: {first.reason}"
            )

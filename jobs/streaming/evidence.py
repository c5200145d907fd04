"""Until when all that Kafka had is landed: what a day is closed by.

Kafka is asked for the end of each partition, and once all of that is landed, the time at which it was asked is told.
Whatever Kafka took before that time is then landed, a quiet stream's nothing as well.
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import structlog

from clients import kafka
from contracts.errors import PlatformError
from contracts.settings import Settings

PAUSE_SECONDS: Final = 10.0
"""Between two questions."""
log = structlog.get_logger()


class Evidence:
    """Asks for ``topics``; ``done`` gives the offset after the last one landed of each partition (``topic/number``)."""

    def __init__(
        self,
        settings: Settings,
        topics: list[str],
        done: Callable[[], dict[str, int]],
        tell: Callable[[datetime], None],
    ) -> None:
        self._settings, self._topics, self._done, self._tell = settings, topics, done, tell
        self._asked: tuple[datetime, dict[str, int]] | None = None
        self._ask_at = 0.0
        self._lock = threading.Lock()
        self.told: datetime | None = None
        """What was told last."""

    def tell(self) -> None:
        """Asks when it is time to, and tells when it is so. A server that is away makes it later, no more."""
        with self._lock:
            try:
                self._ask_and_tell()
            except PlatformError as error:
                log.warning("not told until when all is landed", error=str(error))
                self._ask_at = time.monotonic() + PAUSE_SECONDS

    def _ask_and_tell(self) -> None:
        if not self._asked and time.monotonic() >= self._ask_at:
            now = datetime.now(UTC)
            held = kafka.ranges(self._settings, self._topics)
            # Of a partition that holds nothing, all that it ever had may be gone before ingest was there.
            self._asked = now, {place: end for place, (first, end) in held.items() if end > first}
        if self._asked:
            asked_at, ends = self._asked
            done = self._done()
            if all(done.get(place, 0) >= end for place, end in ends.items()):
                self._tell(asked_at)
                self.told = asked_at
                self._asked, self._ask_at = None, time.monotonic() + PAUSE_SECONDS

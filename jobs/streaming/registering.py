"""Makes landed hours known to the Hive Metastore as they come, so that SQL sees their rows without anybody's repair.

It never holds up landing: where the metastore is away, the hours wait; those that a crash takes are registered by the
daily run.
"""

import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import structlog

from clients import metastore
from contracts import paths
from contracts.errors import PlatformError
from contracts.hive import RAW
from contracts.settings import Settings

PAUSE_SECONDS: Final = 15.0
"""After the metastore did not answer."""
Hour = tuple[str, str]
log = structlog.get_logger()


class Registrar:
    """Remembers which hours of each stream it has registered. ``note`` and ``register`` may be of two threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._waiting: dict[str, set[Hour]] = {stream: set() for stream in RAW}
        self._registered: dict[str, set[Hour]] = {stream: set() for stream in RAW}
        self._at = 0.0
        self.waiting_since: datetime | None = None
        """Since when an hour has waited; None where none does."""

    def note(self, landed: Iterable[str]) -> None:
        """Takes the paths of landed files."""
        with self._lock:
            for path in landed:
                stream, date, hour = paths.partition_of(path)
                if (date, hour) not in self._registered[stream]:
                    self._waiting[stream].add((date, hour))
                    self.waiting_since = self.waiting_since or datetime.now(UTC)

    def register(self) -> None:
        """Registers what waits; tried again later where the metastore does not answer."""
        with self._lock:
            waiting = {stream: sorted(hours) for stream, hours in self._waiting.items() if hours}
        if not waiting or time.monotonic() < self._at:
            return
        for stream, hours in waiting.items():
            try:
                metastore.add_partitions(self._settings, RAW[stream], hours)
            except PlatformError as error:
                log.warning("hours not registered yet", stream=stream, hours=len(hours), error=str(error))
                self._at = time.monotonic() + PAUSE_SECONDS
                return
            with self._lock:
                self._waiting[stream] -= set(hours)
                self._registered[stream] |= set(hours)
        with self._lock:
            if not any(self._waiting.values()):
                self.waiting_since = None

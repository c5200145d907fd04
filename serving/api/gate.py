"""What stands before each server that the API asks: a slow or absent one holds up nobody who does not need it.

A gate lets so many calls through at once, each in a hurry (``clients.retry.hurry``). Where the server does not answer,
the next calls are told so at once until it is tried again. Source of the two ideas, bulkhead and circuit breaker:
M. Nygard, Release It!, 2nd edition, chapter 5.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import Final

from clients import retry
from contracts.errors import NotReady, Unreachable
from serving.api.traced import asking

ANSWER_SECONDS: Final = 1.6
"""For one answer of a server."""
TURN_SECONDS: Final = 0.2
"""For a place among the calls to it."""
AWAY_SECONDS: Final = 1.0
"""After a server did not answer, until it is asked again."""


class Gate:
    """The gate of the server ``name``, for ``places`` calls at once."""

    def __init__(self, name: str, places: int) -> None:
        self.name = name
        self._places = BoundedSemaphore(places)
        self._away_until = 0.0
        self._why = ""

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Around a call. Raises :class:`Unreachable` or :class:`NotReady` where the server does not answer."""
        if time.monotonic() < self._away_until:
            raise Unreachable(self._why)
        if not self._places.acquire(timeout=TURN_SECONDS):
            raise NotReady(f"{self.name} has too much to answer")
        try:
            with asking(self.name), retry.hurry(ANSWER_SECONDS):
                yield
        except (Unreachable, NotReady) as error:
            self._why = str(error)
            self._away_until = time.monotonic() + AWAY_SECONDS
            raise
        finally:
            self._places.release()

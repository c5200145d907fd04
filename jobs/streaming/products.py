"""Which products the shop's catalogue has told of: events of others land like any, and are counted."""

from collections.abc import Mapping

import structlog

from clients import kafka
from contracts.errors import PlatformError
from contracts.products import CATALOG
from contracts.settings import Settings

log = structlog.get_logger()


class Published:
    """The ids of the products of which the catalogue's topic has had a record."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._next: dict[str, int] = {}
        self.ids: frozenset[str] = frozenset()

    def lacking(self, rows: Mapping[str, int]) -> int:
        """How many of the rows, by product id, are of products that the catalogue lacks as of now.

        None while it has told of no product: not every shop publishes one.
        """
        if rows.keys() - self.ids:
            self._look()
        return sum(count for product, count in rows.items() if product not in self.ids) if self.ids else 0

    def _look(self) -> None:
        """Reads what is new; what cannot be read leaves the catalogue as it was."""
        try:
            ends = {place: end for place, (_, end) in kafka.ranges(self._settings, [CATALOG]).items()}
            new = {place: self._next.get(place, 0) for place, end in ends.items() if end > self._next.get(place, 0)}
            if new:
                found = [
                    record.key.decode(errors="replace") for record in kafka.read(self._settings, new) if record.key
                ]
                self.ids |= set(found)
                self._next = ends
        except PlatformError as error:
            log.warning("the catalogue cannot be read, its products stay as they were", error=str(error))

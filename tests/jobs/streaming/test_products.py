"""Events of products that the catalogue lacks, as ingest counts them."""

from types import SimpleNamespace
from typing import Any

import pytest

from clients import kafka
from contracts.errors import Refused
from contracts.products import CATALOG
from contracts.settings import Settings
from jobs.streaming.products import Published

PLACE = f"{CATALOG}/0"


class Topic:
    """The catalogue's topic; ``read_from`` are the offsets from which it was read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.keys: list[bytes | None] = []
        self.read_from: list[int] = []
        self.refuses = False
        monkeypatch.setattr(kafka, "ranges", self._ranges)
        monkeypatch.setattr(kafka, "read", self._read)

    def _ranges(self, _: Settings, topics: list[str]) -> Any:
        if self.refuses:
            raise Refused("no right to the topic")
        return {f"{topic}/0": (0, len(self.keys)) for topic in topics}

    def _read(self, _: Settings, starts: dict[str, int]) -> Any:
        self.read_from.append(starts[PLACE])
        return [SimpleNamespace(key=key) for key in self.keys[starts[PLACE] :]]


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Topic:
    return Topic(monkeypatch)


def test_what_a_catalogue_has_told_of_is_not_lacking(topic: Topic) -> None:
    products = Published(Settings())
    assert products.lacking({"P00001": 5}) == 0, "a shop that publishes no catalogue"
    topic.keys = [b"P00001", b"P00002", None, b"\xff"]
    assert products.lacking({"P00001": 5, "P00003": 2}) == 2
    assert products.lacking({"P00003": 2}) == 2
    topic.keys.append(b"P00003")
    assert products.lacking({"P00003": 2, "P00002": 1}) == 0, "published before its events, after the newest look"
    assert topic.read_from == [0, 4], "what was read is not read again"


def test_a_catalogue_that_cannot_be_read_stops_nothing(topic: Topic) -> None:
    topic.keys = [b"P00001"]
    products = Published(Settings())
    assert products.lacking({"P00001": 1}) == 0
    topic.refuses = True
    assert products.lacking({"P00001": 1, "P00002": 3}) == 3

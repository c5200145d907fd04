"""Rows of ``seen_clicks`` without what differs by how the records were cut into batches."""

from collections.abc import Mapping
from typing import Any

from contracts import hbase as tables
from contracts.hbase import SeenClick


def clicks_of(row: Mapping[bytes, bytes]) -> set[tuple[int, SeenClick]]:
    """The Kafka partition and what is known of each click in a row."""
    return {
        (tables.seen_partition(column), click) for column, value in row.items() for click in tables.unpack_seen(value)
    }


def without_batches(found: dict[str, dict[bytes, dict[bytes, bytes]]]) -> dict[str, Any]:
    """Tables' rows, those of ``seen_clicks`` as the clicks that they hold."""
    rows = found.get(tables.SEEN_CLICKS.name, {})
    return {**found, tables.SEEN_CLICKS.name: {key: clicks_of(row) for key, row in rows.items()}}

"""HBase in memory behind the few calls of happybase that the speed job makes, cells compacted at every write.

A real region keeps surplus versions until it compacts; here they are gone at once, the worst case for a reader of old
ones.
"""

from collections import defaultdict
from types import TracebackType
from typing import Any

from contracts.hbase import HBASE_TABLES

Cells = dict[bytes, bytes]
KEPT = {
    (table.name, family): options["max_versions"]
    for table in HBASE_TABLES
    for family, options in table.families.items()
}


class FakeHBase:
    """A connection: ``cells[table][row][column]`` holds value by version."""

    def __init__(self) -> None:
        self.cells: dict[str, dict[bytes, dict[bytes, dict[int, bytes]]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(dict))
        )
        self.clock = 10**15

    def table(self, name: str) -> "FakeTable":
        return FakeTable(self, name)

    def newest(self) -> dict[str, dict[bytes, Cells]]:
        """What readers see: each cell's newest value."""
        return {
            table: {row: {column: of[max(of)] for column, of in cells.items()} for row, cells in rows.items()}
            for table, rows in self.cells.items()
        }


class FakeTable:
    def __init__(self, hbase: FakeHBase, name: str) -> None:
        self._hbase, self._name = hbase, name

    def row(
        self,
        row: bytes,
        columns: list[bytes] | None = None,
        timestamp: int | None = None,
        include_timestamp: bool = False,
    ) -> dict[bytes, Any]:
        """Cells older than ``timestamp``, as HBase's Thrift server reads it."""
        found: dict[bytes, Any] = {}
        for column, versions in self._hbase.cells[self._name].get(row, {}).items():
            old = [version for version in versions if timestamp is None or version < timestamp]
            if old and (columns is None or column in columns):
                found[column] = (versions[max(old)], max(old)) if include_timestamp else versions[max(old)]
        return found

    def rows(
        self,
        rows: list[bytes],
        columns: list[bytes] | None = None,
        timestamp: int | None = None,
        include_timestamp: bool = False,
    ) -> list[tuple[bytes, dict[bytes, Any]]]:
        return [(row, found) for row in rows if (found := self.row(row, columns, timestamp, include_timestamp))]

    def put(self, row: bytes, data: Cells, timestamp: int | None = None) -> None:
        self.write(row, data, timestamp)

    def batch(self, timestamp: int | None = None) -> "FakeBatch":
        return FakeBatch(self, timestamp)

    def write(self, row: bytes, cells: Cells, timestamp: int | None) -> None:
        self._hbase.clock += 1
        version = self._hbase.clock if timestamp is None else timestamp
        for column, value in cells.items():
            versions = self._hbase.cells[self._name][row][column]
            versions[version] = value
            for old in sorted(versions)[: -KEPT[self._name, column.partition(b":")[0].decode()]]:
                del versions[old]


class FakeBatch:
    def __init__(self, table: FakeTable, timestamp: int | None) -> None:
        self._table, self._timestamp = table, timestamp
        self._puts: list[tuple[bytes, Cells]] = []

    def put(self, row: bytes, cells: Cells) -> None:
        self._puts.append((row, cells))

    def send(self) -> None:
        for row, cells in self._puts:
            self._table.write(row, cells, self._timestamp)
        self._puts = []

    def __enter__(self) -> "FakeBatch":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: TracebackType | None) -> None:
        if kind is None:
            self.send()

"""Several landed Parquet files as one: the same rows, sorted by event time, in today's columns and format."""

import io
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from hdfs import InsecureClient

from clients import hdfs as files
from contracts.errors import BrokenPromise
from contracts.hive import Column, arrow_schema
from jobs.streaming.landing import parquet

LARGEST: Final = 192 * 2**20
"""Bytes of files that are made into one. Arrow takes some ten times as much memory."""
OFFSETS: Final = "ecommerce.offsets"
"""The key of a compacted file's metadata under which :func:`offsets` stand."""
FOOTER_BYTES: Final = 64 * 2**10
"""What is read to find the footer of a Parquet file in."""
READERS: Final = 4
"""Files read from HDFS at a time."""


def portions(sizes: Iterable[tuple[str, int]]) -> list[list[str]]:
    """Names with their bytes, in order, as the portions that are made into one file each."""
    found: list[list[str]] = []
    room = 0
    for name, size in sizes:
        if not found or size > room:
            found.append([])
            room = LARGEST
        found[-1].append(name)
        room -= size
    return found


def merged(hdfs: InsecureClient, columns: tuple[Column, ...], paths: list[str]) -> bytes:
    """The rows of the files at ``paths`` as one Parquet file.

    Raises as ``clients.hdfs.read``, and :class:`BrokenPromise` with the path of a file that is damaged.
    Columns that a file lacks are null; those that the contract does not know (yet) stay.
    """
    with ThreadPoolExecutor(READERS) as pool:
        rows = pa.concat_tables(pool.map(partial(_read, hdfs, columns), paths), promote_options="default")
    spans = rows.group_by("kafka_partition").aggregate([("kafka_offset", "min"), ("kafka_offset", "max")]).to_pylist()
    offsets = {str(one["kafka_partition"]): (one["kafka_offset_min"], one["kafka_offset_max"]) for one in spans}
    return parquet(rows, {OFFSETS: msgspec.json.encode(offsets).decode()})


def offsets(hdfs: InsecureClient, path: str) -> dict[int, tuple[int, int]]:
    """The first and the last offset of each Kafka partition of which a compacted file has rows."""
    end = files.size(hdfs, path)
    try:
        noted = _metadata(files.read(hdfs, path, max(0, end - FOOTER_BYTES)))
    except pa.ArrowInvalid:  # the footer is longer
        noted = _metadata(files.read(hdfs, path))
    return msgspec.json.decode(noted[OFFSETS.encode()], type=dict[int, tuple[int, int]], strict=False)


def _metadata(end_of_file: bytes) -> dict[bytes, bytes]:
    return dict(pq.read_metadata(io.BytesIO(end_of_file)).metadata or {})


def _read(hdfs: InsecureClient, columns: tuple[Column, ...], path: str) -> pa.Table:
    data = files.read(hdfs, path)
    try:
        table = pq.read_table(io.BytesIO(data), coerce_int96_timestamp_unit="ms", partitioning=None)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise BrokenPromise(f"{path} ({len(data)} bytes) cannot be read as Parquet: {reason}") from error
    for field in arrow_schema(columns):
        index = table.schema.get_field_index(field.name)
        if index < 0:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
        else:
            table = table.set_column(index, field, _as(table[field.name], field.type))
    return table


def _as(values: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """Values as the contract's type; those of INT96 come without a time zone, and mean UTC."""
    return values if values.type == wanted else values.cast(wanted)

"""Kafka's record batches read in bounded memory, however much they unpack to.

A broker bounds what a batch has compressed; unpacked, a record of a megabyte may be one of gigabytes, which Kafka's
consumers (Java's, librdkafka, kafka-python) hold in memory as a whole. Within :func:`bounded` kafka-python's consumer
unpacks as it reads and cuts each key and value. The format: https://kafka.apache.org/documentation/#recordbatch.
"""

import gzip
import io
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, Protocol

import pyarrow as pa
from kafka.record import memory_records
from kafka.record.default_records import DefaultRecord, DefaultRecordBatch

from contracts.topics import MAX_MESSAGE_BYTES

KEPT_BYTES: Final = MAX_MESSAGE_BYTES + 1
"""Of each key and value: one more than any topic takes, so that what is cut is told from what is not."""
SKIP_BYTES: Final = 1024 * 1024
SNAPPY_RATIO: Final = 64
"""Snappy's format says more with three bytes at most."""
_XERIAL: Final = b"\x82SNAPPY\0"
"""With which begin the blocks of Java's library; other clients write one block without."""


class Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


@contextmanager
def bounded() -> Iterator[None]:
    """All batches that kafka-python reads in this process meanwhile; not for two threads at once."""
    usual = memory_records.DefaultRecordBatch
    memory_records.DefaultRecordBatch = BoundedBatch
    try:
        yield
    finally:
        memory_records.DefaultRecordBatch = usual


class BoundedBatch(DefaultRecordBatch):
    """A batch whose records come one by one, without headers, keys and values cut to :data:`KEPT_BYTES`."""

    __slots__ = ("_unpacked",)

    def __iter__(self) -> "BoundedBatch":
        packed = bytes(memoryview(self._buffer)[self.HEADER_STRUCT.size :])
        self._unpacked = _Counted(_STREAMS[self.compression_type](packed))
        return self

    def __next__(self) -> DefaultRecord:
        if self._next_record_index >= self._num_records:
            raise StopIteration
        self._next_record_index += 1
        unpacked = self._unpacked
        length = unpacked.varint()
        end = unpacked.position + length
        unpacked.skip(1)  # attributes, of which there are none
        timestamp, offset = unpacked.varint(), self.base_offset + unpacked.varint()
        is_broker_time = self.timestamp_type == self.LOG_APPEND_TIME
        timestamp = self.max_timestamp if is_broker_time else self.first_timestamp + timestamp
        key, value = unpacked.field(), unpacked.field()
        unpacked.skip(end - unpacked.position)  # headers
        return DefaultRecord(length, offset, timestamp, self.timestamp_type, key, value, [])


class _Counted:
    """What is read of an unpacked stream."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.position = 0

    def read(self, size: int) -> bytes:
        """Exactly so many bytes. Raises ``EOFError`` where there are fewer."""
        parts, missing = [], size
        while missing:
            part = self._stream.read(min(missing, SKIP_BYTES))
            if not part:
                raise EOFError(f"{missing} bytes of a record are missing")
            parts.append(part)
            missing -= len(part)
        self.position += size
        return b"".join(parts)

    def skip(self, size: int) -> None:
        for _ in range(size // SKIP_BYTES):
            self.read(SKIP_BYTES)
        self.read(size % SKIP_BYTES)

    def unsigned(self) -> int:
        """A number of seven bits a byte, the lowest first."""
        result = shift = 0
        while True:
            (byte,) = self.read(1)
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                return result
            shift += 7

    def varint(self) -> int:
        """A number in zigzag encoding."""
        number = self.unsigned()
        return (number >> 1) ^ -(number & 1)

    def field(self) -> bytes | None:
        size = self.varint()
        if size < 0:
            return None
        kept = self.read(min(size, KEPT_BYTES))
        self.skip(size - len(kept))
        return kept


def _arrow(codec: str, packed: bytes) -> Stream:
    return pa.CompressedInputStream(pa.BufferReader(packed), codec)


def _snappy(packed: bytes) -> Stream:
    """At most :data:`SNAPPY_RATIO` times as large: whole. Raises ``ValueError`` for a block that says more."""
    if not packed.startswith(_XERIAL):
        return io.BytesIO(_snappy_block(packed))
    blocks, place = [], 16
    while place < len(packed):
        (size,) = struct.unpack_from(">i", packed, place)
        blocks.append(_snappy_block(packed[place + 4 : place + 4 + size]))
        place += 4 + size
    return io.BytesIO(b"".join(blocks))


def _snappy_block(packed: bytes) -> bytes:
    size = _Counted(io.BytesIO(packed)).unsigned()
    if size > SNAPPY_RATIO * len(packed):
        raise ValueError(f"a Snappy block of {len(packed)} bytes says that it holds {size}")
    return bytes(pa.Codec("snappy").decompress(packed, decompressed_size=size))


_STREAMS: Final[dict[int, Callable[[bytes], Stream]]] = {
    DefaultRecordBatch.CODEC_NONE: io.BytesIO,
    DefaultRecordBatch.CODEC_GZIP: lambda packed: gzip.GzipFile(fileobj=io.BytesIO(packed)),
    DefaultRecordBatch.CODEC_SNAPPY: _snappy,
    DefaultRecordBatch.CODEC_LZ4: partial(_arrow, "lz4"),
    DefaultRecordBatch.CODEC_ZSTD: partial(_arrow, "zstd"),
}

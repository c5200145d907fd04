"""Batches read in bounded memory: the same records as kafka-python's own reading, however they are compressed."""

import gzip
import resource
import struct
from collections.abc import Callable
from typing import Any

import lz4.frame
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecords

from clients import batches
from clients.batches import KEPT_BYTES, bounded

Fields = list[tuple[bytes | None, bytes | None]]


def xerial(data: bytes) -> bytes:
    """As Java's library writes Snappy: blocks of 32 KiB."""
    blocks = [bytes(pa.Codec("snappy").compress(data[at : at + 32_768])) for at in range(0, len(data), 32_768)]
    return b"\x82SNAPPY\0\0\0\0\1\0\0\0\1" + b"".join(struct.pack(">i", len(block)) + block for block in blocks)


CODECS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "none": (DefaultRecordBatch.CODEC_NONE, bytes),
    "gzip": (DefaultRecordBatch.CODEC_GZIP, gzip.compress),
    "snappy": (DefaultRecordBatch.CODEC_SNAPPY, lambda data: bytes(pa.Codec("snappy").compress(data))),
    "snappy of Java": (DefaultRecordBatch.CODEC_SNAPPY, xerial),
    "lz4": (DefaultRecordBatch.CODEC_LZ4, lz4.frame.compress),
    "zstd": (DefaultRecordBatch.CODEC_ZSTD, lambda data: bytes(pa.Codec("zstd").compress(data))),
}
HEADER = DefaultRecordBatch.HEADER_STRUCT


def packed(body: bytes, records: int, codec: str) -> bytes:
    """A batch of offsets from 40 on, dated by the broker at 5000 ms; ``body`` is compressed already."""
    number, _ = CODECS[codec]
    attributes = number | DefaultRecordBatch.TIMESTAMP_TYPE_MASK
    header = (40, HEADER.size - 12 + len(body), 0, 2, 0, attributes, records - 1, 1000, 5000, -1, -1, -1, records)
    return HEADER.pack(*header) + body


def plain(fields: Fields) -> bytes:
    """The records of a batch."""
    builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 2**30)
    for offset, (key, value) in enumerate(fields):
        builder.append(offset, 1000 + offset, key, value, [("colour", b"red")])
    return bytes(builder.build())[HEADER.size :]


def read(batch: bytes) -> list[Any]:
    with bounded():
        return list(MemoryRecords(batch).next_batch())


@given(
    st.lists(st.tuples(st.none() | st.binary(max_size=50), st.none() | st.binary(max_size=5_000)), max_size=30),
    st.sampled_from(sorted(CODECS)),
)
def test_records_are_those_that_were_written(fields: Fields, codec: str) -> None:
    found = read(packed(CODECS[codec][1](plain(fields)), len(fields), codec))
    assert [(record.offset, record.timestamp, record.key, record.value) for record in found] == [
        (40 + number, 5000, key, value) for number, (key, value) in enumerate(fields)
    ]


def varint(value: int) -> bytes:
    out, value = bytearray(), value << 1
    while value > 0x7F:
        out.append(0x80 | value & 0x7F)
        value >>= 7
    return bytes([*out, value])


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_a_record_of_a_gigabyte_takes_little_memory(codec: str) -> None:
    """Written as several members or frames, as a patient attacker would; the next record is read as ever."""
    size, after = 2**30, plain([(None, b"after")])
    head = bytes(1) + varint(0) + varint(0) + varint(3) + b"key" + varint(size)
    compress = CODECS[codec][1]
    zeros = compress(bytes(2**24))
    body = compress(varint(len(head) + size + 1) + head) + zeros * 64 + compress(varint(0)) + compress(after)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = read(packed(body, 2, codec))
    assert [len(record.value) for record in found] == [KEPT_BYTES, len(b"after")]
    assert found[0].key == b"key"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "kilobytes"


def test_a_snappy_block_that_claims_too_much_is_refused() -> None:
    block = varint(2**31 >> 1) + b"\0" * 10
    with pytest.raises(ValueError, match="says that it holds"):
        batches._snappy(block)


def test_afterwards_batches_are_read_as_before() -> None:
    read(packed(gzip.compress(plain([(None, b"x")])), 1, "gzip"))
    assert type(MemoryRecords(packed(plain([(None, b"x")]), 1, "none")).next_batch()) is DefaultRecordBatch

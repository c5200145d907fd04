"""Records as somebody hostile or broken sends them: seeded, and of every kind that a Kafka producer can make.

Most begin as a valid event and have a few fields spoilt, so that they get past the first check; the others are bytes of
any kind. A spoilt record may well be a valid event still.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any, Final
from uuid import UUID

from contracts.catalog import WAREHOUSES, category_of, product_id
from contracts.events import CLICKS, PURCHASES, Stream, timestamp
from generator.catalogue import FIRST_PRODUCTS

_TEXTS: Final = (
    "", " ", "\x00", "a\x00b", "\ud800", "\udfff\ud800", "\u202e", "é" * 200, "𝔘" * 200, "x" * 201, "x" * 70_000,
    "null",
    "../../etc", "a/b/c", "'; DROP TABLE clicks; --", "${date}", "%s%n", "\r\n", "ı", "NaN", "-0", "\ufffe",
)  # fmt: skip
_NUMBERS: Final = (
    "0", "-0", "1", "-1", "1.5", "1e400", "-1e400", "1e-400", "9" * 19, "9" * 400, str(2**53), str(2**53 + 1),
    str(2**63), str(-(2**63) - 1), "0.1", "1E2", "00", "+1", "NaN", "Infinity", "-Infinity", "1_000",
)  # fmt: skip
_AMOUNTS: Final = (
    "9.95", "-9.95", "-0.00", "0.00", "1e2", "1E+999999999", "NaN", "sNaN", "Infinity", "9999999999.99",
    "10000000000.00", "9" * 5000 + ".00", "1.0", "1.000", " 1.00", "1_0.00", "١.٠٠", "0x1", "",
)  # fmt: skip
_TIMES: Final = (
    "0001-01-01T00:00:00.000Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999-14:00",
    "9999-12-31T23:59:59.9999999Z",
    "1969-12-31T23:59:59.999Z", "2026-02-30T00:00:00Z", "2026-11-25T24:00:00Z", "2026-11-25T23:59:60Z", "2026-11-25",
    "2026-11-25T10:00:00", "2026-11-25 10:00:00Z", "yesterday", "", "0", "1763000000", "-2026-11-25T10:00:00Z",
    "2026-11-25T10:00:00.123456789123456789Z", "2026-11-25T10:00:00+99:99", "٢٠٢٦-11-25T10:00:00Z",
)  # fmt: skip


def event(rng: Random, stream: Stream, now: datetime) -> dict[str, Any]:
    """A valid event of about ``now``, its time written with any offset and precision."""
    product = product_id(rng.randint(1, FIRST_PRODUCTS))
    category = category_of(product)
    moment = now - timedelta(milliseconds=rng.randrange(3_600_000))
    offset = timezone(timedelta(minutes=rng.choice((0, 0, 0, 120, -330, 840, -720))))
    precision = rng.choice(("milliseconds", "milliseconds", "seconds", "microseconds"))
    at = timestamp(moment) if rng.random() < 0.5 else moment.astimezone(offset).isoformat(timespec=precision)
    base: dict[str, Any] = {"event_id": str(UUID(int=rng.getrandbits(128))), "event_time": at}
    user = {"user_id": f"u{rng.randrange(50)}", "session_id": f"s{rng.randrange(9)}"}
    if stream is CLICKS:
        page = {"page": "product", "product_id": product, "category": category}
        return {**base, **user, **page, "device": "mobile", "referrer": "ads", "country": "DE"}
    if stream is PURCHASES:
        bought = {"product_id": product, "category": category, "quantity": 2, "unit_price": "9.95", "total": "19.90"}
        paid = {"currency": "EUR", "payment_method": "card"}
        told = rng.choice(({"country": "DE"}, {"country": "FR"}, {"country": None}, {}))
        return {**base, **user, "order_id": "o", **bought, **told, **paid}
    stock = {"stock_level": rng.randrange(20), "change": -1, "reason": "sale", "critical_threshold": 5}
    return {**base, "product_id": product, "warehouse": rng.choice(WAREHOUSES), **stock}


def record(rng: Random, stream: Stream, now: datetime) -> bytes | None:
    """The value of a record: a valid event, a spoilt one, or anything else."""
    return rng.choice(_KINDS)(rng, stream, now)


def _valid(rng: Random, stream: Stream, now: datetime) -> bytes:
    return json.dumps(event(rng, stream, now)).encode()


def _spoilt(rng: Random, stream: Stream, now: datetime) -> bytes:
    whole = event(rng, stream, now)
    parts = {json.dumps(name): json.dumps(value) for name, value in whole.items()}
    for name in rng.sample(list(parts), rng.choice((1, 1, 1, 2, 3))):
        parts[name] = _value(rng)
        if rng.random() < 0.1:
            del parts[name]
    if '"event_time"' in parts and rng.random() < 0.3:
        parts['"event_time"'] = json.dumps(rng.choice(_TIMES))
    for name in ('"unit_price"', '"total"'):
        if name in parts and rng.random() < 0.3:
            parts[name] = json.dumps(rng.choice(_AMOUNTS))
    text = ",".join(f"{name}:{value}" for name, value in parts.items())
    return f"{{{text}}}".encode(errors="surrogatepass")


def _value(rng: Random) -> str:
    """JSON of one value, not always valid."""
    kind = rng.randrange(6)
    if kind == 0:
        return json.dumps(rng.choice(_TEXTS), ensure_ascii=rng.random() < 0.5)
    if kind == 1:
        return rng.choice(_NUMBERS)
    if kind == 2:
        depth = rng.choice((1, 50, 1000, 20_000))
        return "[" * depth + "]" * depth
    if kind == 3:
        depth = rng.choice((1, 50, 1000, 8_000))
        return '{"a":' * depth + "1" + "}" * depth
    return rng.choice(("null", "true", "false", '""', "[]", "{}", "\x00", "'"))


def _mutated(rng: Random, stream: Stream, now: datetime) -> bytes:
    data = bytearray(_valid(rng, stream, now))
    for _ in range(rng.choice((1, 1, 2, 8))):
        place = rng.randrange(len(data))
        data[place : place + rng.choice((0, 1, 1, 5))] = rng.randbytes(rng.choice((0, 1, 1, 3)))
    return bytes(data)


def _unknown_field(rng: Random, stream: Stream, now: datetime) -> bytes:
    return _valid(rng, stream, now)[:-1] + f',"new":{_value(rng)}}}'.encode(errors="surrogatepass")


def _noise(rng: Random, stream: Stream, now: datetime) -> bytes:
    return rng.randbytes(rng.choice((0, 1, 16, 300, 70_000)))


def _encoded(rng: Random, stream: Stream, now: datetime) -> bytes:
    return json.dumps(event(rng, stream, now)).encode(rng.choice(("utf-16", "utf-32", "utf-8-sig", "utf-7")))


def _nothing(rng: Random, stream: Stream, now: datetime) -> bytes | None:
    return None


_Kind = Callable[[Random, Stream, datetime], bytes | None]
_KINDS: Final[tuple[_Kind, ...]] = (
    _valid, _valid, _valid, _spoilt, _spoilt, _spoilt, _spoilt, _mutated, _mutated, _unknown_field, _noise, _encoded,
    _nothing,
)  # fmt: skip


def records(seed: int, stream: Stream, count: int, now: datetime | None = None) -> list[bytes | None]:
    """So many records of a stream; the same seed and time give the same bytes."""
    rng, moment = Random(f"{seed}/{stream.name}"), now or datetime.now(UTC)
    return [record(rng, stream, moment) for _ in range(count)]

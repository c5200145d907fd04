"""Valid events as dictionaries, to be spoilt one field at a time."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from contracts.catalog import category_of
from contracts.events import CLICKS, INVENTORY, PURCHASES, Stream, timestamp

PRODUCT = "P00017"


def click(**changes: Any) -> dict[str, Any]:
    return _event(
        user_id="u1",
        session_id="s1",
        page="product",
        product_id=PRODUCT,
        category=category_of(PRODUCT),
        device="mobile",
        referrer="search",
        country="DE",
    ) | _plain(changes)


def purchase(**changes: Any) -> dict[str, Any]:
    return _event(
        order_id="o1",
        user_id="u1",
        session_id="s1",
        product_id=PRODUCT,
        category=category_of(PRODUCT),
        country="FR",
        quantity=2,
        unit_price="9.95",
        total="19.90",
        currency="EUR",
        payment_method="card",
    ) | _plain(changes)


def stock_change(**changes: Any) -> dict[str, Any]:
    return _event(
        product_id=PRODUCT,
        warehouse="north",
        stock_level=7,
        change=-2,
        reason="sale",
        critical_threshold=5,
    ) | _plain(changes)


BY_STREAM: dict[Stream, Callable[..., dict[str, Any]]] = {CLICKS: click, PURCHASES: purchase, INVENTORY: stock_change}


def encode(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode()


def _event(**fields: Any) -> dict[str, Any]:
    return {"event_id": str(uuid4()), "event_time": timestamp(datetime.now(UTC)), **fields}


def _plain(changes: dict[str, Any]) -> dict[str, Any]:
    return {name: timestamp(value) if isinstance(value, datetime) else value for name, value in changes.items()}

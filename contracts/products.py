"""A product of the catalogue: the value of a record in the topic :data:`CATALOG`, keyed by ``product_id``.

The topic is compacted: it holds the newest record of each product, also of one that is no longer sold, so that what was
sold of it can be joined for ever. JSON as in ``contracts.events``.
"""

from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from contracts.events import Money, Name

CATALOG: Final = "ecommerce-catalog"


class Product(msgspec.Struct, kw_only=True, gc=False):
    """A product as it is from ``valid_from`` on, until its next record."""

    product_id: Name
    category: Name
    price: Money
    currency: Literal["EUR"] = "EUR"
    available: Annotated[bool, Meta(description="false once it is withdrawn")]
    valid_from: Annotated[datetime, Meta(tz=True, description="ISO-8601 UTC, milliseconds")]

"""The daily DAG: its name."""

from typing import Final

DAG_ID: Final = "ecommerce_daily_analytics"

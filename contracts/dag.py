"""The DAGs: their names."""

from typing import Final

DAG_ID: Final = "ecommerce_daily_analytics"
COMPACTION_DAG_ID: Final = "ecommerce_compaction"

"""What differs between Impala and Spark's Thrift server, as the text of the statements each is given.

Both speak the HiveServer2 protocol and run the same ``.sql`` files. They part only in how a session is set up, how
partitions and files written by others become visible, and how statistics are gathered.
"""

from abc import ABC, abstractmethod
from datetime import date
from typing import Final

from contracts.errors import Mistake
from contracts.hive import HiveTable


class Engine(ABC):
    """Statements of one SQL engine. Every method returns them in the order in which they are to run."""

    name: str

    @abstractmethod
    def session(self) -> tuple[str, ...]:
        """At the start of a session: times in UTC, Parquet read by the columns' names, as tables get new ones at their
        end, and ``INSERT OVERWRITE`` replaces only the partitions it writes.
        """

    @abstractmethod
    def refresh(self, table: HiveTable) -> str:
        """Makes files visible that another program wrote into partitions of a table."""

    def register(self, table: HiveTable, day: date, hours: list[str]) -> tuple[str, ...]:
        """Makes hours of a day visible that another program wrote below the table's location."""
        partitions = " ".join(f"PARTITION (`date`='{day:%Y-%m-%d}', `hour`='{hour}')" for hour in hours)
        added = (f"ALTER TABLE {table.qualified} ADD IF NOT EXISTS {partitions}",) if hours else ()
        return (*added, self.refresh(table))

    @abstractmethod
    def statistics(self, table: HiveTable, day: date) -> tuple[str, ...]:
        """Gathers the optimiser's statistics of the day's partitions of a table."""


class Spark(Engine):
    """Spark's Thrift server."""

    name = "spark"

    def session(self) -> tuple[str, ...]:
        return (
            "SET spark.sql.session.timeZone=UTC",
            "SET spark.sql.sources.partitionOverwriteMode=DYNAMIC",
            "SET hive.exec.dynamic.partition=true",
            "SET hive.exec.dynamic.partition.mode=nonstrict",
        )

    def refresh(self, table: HiveTable) -> str:
        return f"REFRESH TABLE {table.qualified}"

    def statistics(self, table: HiveTable, day: date) -> tuple[str, ...]:
        others = "".join(f", `{column}`" for column in table.partitions if column != "date")
        return (
            f"ANALYZE TABLE {table.qualified} PARTITION (`date`='{day:%Y-%m-%d}'{others}) COMPUTE STATISTICS NOSCAN",
        )


class Impala(Engine):
    """Impala. Its statements are right by its documentation; they were never run against a server here."""

    name = "impala"

    def session(self) -> tuple[str, ...]:
        return ("SET TIMEZONE=UTC", "SET PARQUET_FALLBACK_SCHEMA_RESOLUTION=NAME")

    def refresh(self, table: HiveTable) -> str:
        return f"REFRESH {table.qualified}"

    def statistics(self, table: HiveTable, day: date) -> tuple[str, ...]:
        return (f"COMPUTE INCREMENTAL STATS {table.qualified} PARTITION (`date`='{day:%Y-%m-%d}')",)


ENGINES: Final[dict[str, Engine]] = {engine.name: engine for engine in (Spark(), Impala())}


def engine(name: str) -> Engine:
    """The engine of ``Settings.sql_engine``. Raises :class:`Mistake` for an unknown one."""
    if name not in ENGINES:
        raise Mistake(f"unknown SQL engine {name!r}; known are {', '.join(sorted(ENGINES))}")
    return ENGINES[name]

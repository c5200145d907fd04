"""Whether batch and speed layer agree on the day's revenue, minute by minute, to the cent.

The speed layer leaves out what came later than the watermark and records it apart, so the two agree when
``batch = speed + late`` in every minute. The comparison is kept in the mart ``reconciliation``.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import click
import structlog

from clients import hdfs as files
from clients.hbase import HBASE_SETTINGS
from clients.hdfs import HDFS_SETTINGS
from clients.sql import SQL_SETTINGS, Sql, connect
from contracts.command import run as run_command
from contracts.command import with_settings
from contracts.errors import BrokenPromise, NotFound
from contracts.hbase import NOTHING, Revenue
from contracts.hive import MARTS, MONEY_SUM, RAW
from contracts.settings import Settings
from jobs.batch import days
from jobs.batch.marts import Batch, count, put, require_rows
from jobs.batch.options import day_option, run_option
from jobs.batch.statements import of_day, put_partition
from serving import speed

log = structlog.get_logger()
NAMED_MINUTES = 5


@dataclass(frozen=True, slots=True)
class Minute:
    """A minute's revenue in EUR by both layers; ``minute`` as in the marts, ``YYYY-MM-DDTHH:MM`` UTC."""

    minute: str
    batch: Decimal
    speed: Decimal
    late: Decimal

    @property
    def difference(self) -> Decimal:
        return self.batch - self.speed - self.late


def batch_revenue(sql: Sql, day: date) -> dict[str, Decimal]:
    """Revenue by minute from ``revenue_minutely``. Raises :class:`NotFound` when the day is not filled."""
    mart = MARTS["revenue_minutely"].qualified
    rows = sql.rows(f"SELECT `minute`, revenue FROM {mart} WHERE {of_day(day)}")  # noqa: S608
    if not rows:
        require_rows(sql, day)
        if purchases := count(sql, RAW["purchases"], day):
            raise NotFound(f"{mart} has no rows on {day}, and {purchases} have landed; run the task revenue first")
    return dict(rows)


def compare(batch: dict[str, Decimal], on_time: dict[datetime, Revenue], late: dict[datetime, Revenue]) -> list[Minute]:
    """Every minute in which a layer has revenue, in order."""
    on_time_amounts = {f"{minute:%Y-%m-%dT%H:%M}": revenue.amount for minute, revenue in on_time.items()}
    late_amounts = {f"{minute:%Y-%m-%dT%H:%M}": revenue.amount for minute, revenue in late.items()}
    return [
        Minute(
            minute,
            batch.get(minute, NOTHING),
            on_time_amounts.get(minute, NOTHING),
            late_amounts.get(minute, NOTHING),
        )
        for minute in sorted(batch.keys() | on_time_amounts.keys() | late_amounts.keys())
    ]


def keep(batch: Batch, day: date, minutes: list[Minute]) -> None:
    """Overwrites the day of the mart ``reconciliation``, in one statement: at most 1440 rows."""
    mart = MARTS["reconciliation"]
    if not minutes:
        batch.sql.execute(*put_partition(mart, day, None))
        return
    rows = ",\n".join(
        f"('{minute.minute}', "
        + ", ".join(
            f"CAST({amount} AS {MONEY_SUM})" for amount in (minute.batch, minute.speed, minute.late, minute.difference)
        )
        + f", '{day}')"
        for minute in minutes
    )
    put(batch, mart, day, lambda into: f"INSERT OVERWRITE TABLE {into} PARTITION (`date`) VALUES\n{rows}")


def verdict(day: date, minutes: list[Minute]) -> str | None:
    """One sentence on how the layers differ; None when they agree."""
    differing = [minute for minute in minutes if minute.difference]
    if not differing:
        return None
    total = sum((minute.difference for minute in differing), NOTHING)
    named = "; ".join(
        f"{minute.minute} by {minute.difference} (batch {minute.batch}, speed {minute.speed}, late {minute.late})"
        for minute in differing[:NAMED_MINUTES]
    )
    more = f"; and {len(differing) - NAMED_MINUTES} more" if len(differing) > NAMED_MINUTES else ""
    return (
        f"batch and speed layer differ by {total} EUR in all on {day}, in {len(differing)} of {len(minutes)} minutes: "
        f"{named}{more}"
    )


def reconcile(batch: Batch, settings: Settings, day: date) -> None:
    """Compares, keeps the comparison, and closes the day for its run.

    Raises :class:`BrokenPromise` with the difference where there is one, unless more of the day has landed meanwhile:
    then it stays open for the next run.
    """
    computed = batch_revenue(batch.sql, day)
    start = datetime.combine(day, time(), UTC)
    end = start + timedelta(days=1)
    late = speed.late_revenue(settings, start, end)
    minutes = compare(computed, speed.revenue(settings, start, end), late)
    keep(batch, day, minutes)
    log.info(
        "compared",
        date=str(day),
        minutes=len(minutes),
        batch=str(sum((minute.batch for minute in minutes), NOTHING)),
        speed=str(sum((minute.speed for minute in minutes), NOTHING)),
        late=str(sum((minute.late for minute in minutes), NOTHING)),
        late_purchases=sum(revenue.purchases for revenue in late.values()),
    )
    sentence = verdict(day, minutes)
    if sentence and not (batch.run and days.landed_more(batch.hdfs, day)):
        if batch.run:
            days.differ(batch.hdfs, day, batch.run)
        raise BrokenPromise(sentence)
    if batch.run and not sentence:
        days.close(batch.hdfs, day, batch.run)


@click.command()
@day_option
@run_option
@with_settings(*SQL_SETTINGS, "hdfs_uri", *HDFS_SETTINGS, *HBASE_SETTINGS)
def main(day: date, run: str, settings: Settings) -> None:
    """Fails unless batch and speed layer agree on the revenue of every minute of a day; closes it for its run."""
    hdfs = files.client(settings)
    failed: list[BrokenPromise] = []
    with connect(settings) as sql:
        for found in days.days_of(hdfs, day, run):
            try:
                reconcile(Batch(sql, hdfs, settings.hdfs_uri, run), settings, found)
            except BrokenPromise as error:
                log.error("not reconciled", date=str(found), error=str(error))
                failed.append(error)
    if failed:
        raise failed[0]


if __name__ == "__main__":
    run_command(main)

"""Whether batch and speed layer agree on the day's revenue, minute by minute, to the cent, and SQL has what was landed.

The speed layer leaves out what came later than the watermark and records it apart, so the two agree when
``batch = speed + late`` in every minute. The comparison is kept in the mart ``reconciliation``. Of every stream, SQL's
rows and amounts are compared with those that ingest counted into its commits: clicks by page, stock changes by reason.
The speed layer's clicks by page and purchases by category and country are compared with the batch layer's events, each
once.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import click
import structlog

from clients import hdfs as files
from clients.commits import CommitLog, Tally, tally_key
from clients.hbase import HBASE_SETTINGS
from clients.hdfs import HDFS_SETTINGS
from clients.sql import SQL_SETTINGS, Sql, connect
from contracts import paths
from contracts.command import run as run_command
from contracts.command import with_settings
from contracts.errors import BrokenPromise, NotFound
from contracts.events import STREAMS, Stream
from contracts.hbase import NOTHING, Revenue, Sales, Traffic, add_sales, add_traffic
from contracts.hive import MARTS, MONEY_SUM, RAW, TALLY_AMOUNT
from contracts.settings import Settings
from jobs.batch import days
from jobs.batch.marts import Batch, count, put, require_rows
from jobs.batch.options import day_option, run_option
from jobs.batch.statements import distinct_events, of_day, put_partition
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


def tallies(sql: Sql, day: date) -> dict[str, Tally]:
    """Rows and amounts of a day as SQL has them, copies included, by :func:`clients.commits.tally_key`."""

    decimal = "DECIMAL({},{})".format(*TALLY_AMOUNT)

    def of_stream(stream: Stream) -> str:
        kind = f"`{stream.kind}`" if stream.kind else "CAST(NULL AS STRING)"
        amount = f"CAST({f'`{stream.amount}`' if stream.amount else '0'} AS {decimal})"
        return (
            f"SELECT '{stream.name}', {kind}, COUNT(*), SUM({amount}) FROM {RAW[stream.name].qualified} "  # noqa: S608
            f"WHERE {of_day(day)} GROUP BY {f'`{stream.kind}`' if stream.kind else '`date`'}"
        )

    rows = sql.rows(" UNION ALL ".join(map(of_stream, STREAMS)))
    return {tally_key(stream, kind): Tally(count, amount) for stream, kind, count, amount in rows}


def unlike_landed(batch: Batch, day: date) -> str | None:
    """One sentence on how SQL's rows of a day differ from those that ingest landed; None when they are the same.

    None as well while more of the day is landing, and where ingest has no tallies of the day.
    """
    commits = CommitLog(batch.hdfs, paths.INGEST)
    commit = commits.published()
    landed = commit.tallies.get(str(day))
    if landed is None:
        log.info("rows not compared: ingest has no tallies of the day", date=str(day))
        return None
    found = tallies(batch.sql, day)
    if commits.newest().days.get(str(day)) != commit.days.get(str(day)):
        log.info("rows not compared: more are landing", date=str(day))
        return None
    parts = [f"{key} {here} for {there} landed" for key, here, there in _differing(found, landed)]
    if not parts:
        log.info("compared rows", date=str(day), **{key: part.rows for key, part in found.items()})
        return None
    return f"SQL does not have the rows that ingest landed of {day}: {'; '.join(parts)}"


def _differing(here: dict[str, Tally], there: dict[str, Tally]) -> list[tuple[str, str, str]]:
    """The keys whose tallies are not the same, and what is said of them here and there."""

    def said(part: Tally | None) -> str:
        return f"{part.rows} rows ({part.amount})" if part else "no rows"

    keys = sorted(here.keys() | there.keys())
    return [(key, said(here.get(key)), said(there.get(key))) for key in keys if here.get(key) != there.get(key)]


def by_kind(sql: Sql, day: date) -> dict[str, Tally]:
    """Clicks of a day by page, each event once, and its purchases and their amounts in ``sales_daily``.

    Those are by category and country. Raises :class:`NotFound` where the mart lacks a day that has purchases.
    """
    clicks, mart = distinct_events(RAW["clicks"], day), MARTS["sales_daily"].qualified
    money = "DECIMAL({},{})".format(*TALLY_AMOUNT)
    rows = sql.rows(
        f"SELECT 'clicks', page, COUNT(*), CAST(0 AS {money}) FROM {clicks} c GROUP BY page UNION ALL "  # noqa: S608
        f"SELECT 'purchases', CONCAT(category, '/', country), purchases, CAST(revenue AS {money}) FROM {mart} "
        f"WHERE {of_day(day)}"
    )
    found = {tally_key(stream, kind): Tally(count, amount) for stream, kind, count, amount in rows}
    if not any(stream == "purchases" for stream, *_ in rows) and (purchases := count(sql, RAW["purchases"], day)):
        raise NotFound(f"{mart} has no rows on {day}, and {purchases} have landed; run the task revenue first")
    return found


def counted_by_kind(traffic: Traffic, sales: Sales) -> dict[str, Tally]:
    """The same as the speed layer has counted them."""
    return {tally_key("clicks", page): Tally(count, NOTHING) for page, count in traffic.pages.items()} | {
        tally_key("purchases", f"{category}/{country}"): Tally(bought.purchases, bought.amount)
        for category, sold in sales.items()
        for country, bought in sold.by_country().items()
    }


def without_countries(found: dict[str, Tally]) -> dict[str, Tally]:
    """Tallies of purchases by category alone."""
    sums: dict[str, Tally] = {}
    for key, tally in found.items():
        stream, kind, *_ = key.split("/")
        sums[tally_key(stream, kind)] = sums.get(tally_key(stream, kind), Tally()).plus(tally)
    return sums


def unlike_counted(batch: Batch, settings: Settings, day: date) -> str | None:
    """One sentence on how the layers differ in clicks by page and purchases by category and country; None: nowhere.

    None as well where the speed layer began to count these after it had begun with a partition. Where it began to count
    countries on that very day, only the categories are compared.
    """
    progress = speed.progress(settings)
    partly = sorted(place for place, one in progress.items() if not one.whole)
    if partly or not progress:
        log.info("traffic not compared: not all of it was counted; jobs.rebuild counts it anew", partitions=partly)
        return None
    start = datetime.combine(day, time(), UTC)
    end = start + timedelta(days=1)
    traffic = add_traffic(speed.traffic(settings, start, end).values())
    sales = add_sales(speed.sales(settings, start, end).values())
    found, counted = by_kind(batch.sql, day), counted_by_kind(traffic, sales)
    if earlier := sum(sold.without_country().purchases for sold in sales.values()):
        log.info("countries not compared: jobs.rebuild counts them anew", date=str(day), counted_without=earlier)
        found, counted = without_countries(found), without_countries(counted)
    parts = [f"{key} batch {here}, speed {there}" for key, here, there in _differing(found, counted)]
    if not parts:
        log.info("compared traffic", date=str(day), **{key: part.rows for key, part in counted.items()})
        return None
    return f"batch and speed layer differ on {day} in what they count: {'; '.join(parts)}"


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
    sentence = "; ".join(
        filter(None, (verdict(day, minutes), unlike_landed(batch, day), unlike_counted(batch, settings, day)))
    )
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
    """Fail unless batch and speed agree on every minute's revenue and SQL has what landed; close the day."""
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

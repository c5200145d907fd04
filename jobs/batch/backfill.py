"""Computes a range of days anew, a few side by side: ``python -m jobs.batch.backfill --from … --to …``.

Each day is what the daily run makes of it: registered, filled, reconciled, closed, exported. Running it again, or
beside the daily run, is safe.
"""

from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import date, timedelta
from uuid import uuid4

import click
import structlog
from hdfs import InsecureClient

from clients import hdfs as files
from clients.commits import CommitLog
from clients.hbase import HBASE_SETTINGS
from clients.hdfs import HDFS_SETTINGS
from clients.sql import SQL_SETTINGS, connect
from contracts import paths
from contracts.command import run, with_settings
from contracts.errors import Failed, PlatformError
from contracts.hive import MARTS
from contracts.settings import Settings
from jobs import progress
from jobs.batch import days
from jobs.batch.marts import Batch, fill
from jobs.batch.options import Day, patience_option
from jobs.batch.tasks.export_csv import export
from jobs.batch.tasks.reconcile import reconcile
from jobs.batch.tasks.repair_partitions import landed_hours, repair_partitions
from jobs.compaction.exchange import show_landed_of
from serving.days import from_to

log = structlog.get_logger()


def compute(settings: Settings, hdfs: InsecureClient, day: date, run_id: str, whole: bool) -> bool:
    """All tasks of a day, in a SQL session of its own; False for a day of which nothing has landed."""
    hours = landed_hours(hdfs, day)
    if not any(hours.values()):
        return False
    landed = CommitLog(hdfs, paths.INGEST).published().days
    days.take(hdfs, str(day), run_id, landed.get(str(day), 0) if whole else None)
    show_landed_of(hdfs, str(day))
    with connect(settings) as sql:
        batch = Batch(sql, hdfs, settings.hdfs_uri, run_id)
        repair_partitions(sql, day, hours)
        fill(batch, day, *(mart for mart in MARTS if mart != "reconciliation"))
        reconcile(batch, settings, day)
        export(sql, settings, day, None)
    return True


@click.command()
@click.option("--from", "first", type=Day(), required=True, help="First day, by event time in UTC.")
@click.option("--to", "last", type=Day(), required=True, help="Last day.")
@click.option("--side-by-side", type=click.IntRange(1, 16), default=2, show_default=True, help="Days at a time.")
@patience_option
@with_settings(*SQL_SETTINGS, "hdfs_uri", *HDFS_SETTINGS, *HBASE_SETTINGS)
def main(first: date, last: date, side_by_side: int, patience: float, settings: Settings) -> None:
    """Compute a range of days: register, fill, reconcile, close and export each. Days without data are passed over."""
    if last < first:
        raise click.UsageError(f"--to {last} is before --from {first}")
    hdfs = files.connect(settings)
    whole = days.wait_until_landed(hdfs, last, timedelta(), patience)
    if not whole and first < last:
        days.wait_until_landed(hdfs, last - timedelta(days=1), timedelta(), patience)
    run_id = f"backfill-{uuid4().hex[:12]}"
    chosen = from_to(first, last)
    failed: list[str] = []
    empty = 0
    with ThreadPoolExecutor(side_by_side) as pool, progress.shown("days", len(chosen)) as advance:
        work = {pool.submit(compute, settings, hdfs, day, run_id, whole or day < last): day for day in chosen}
        for done in as_completed(work):
            try:
                empty += not done.result()
            except PlatformError as error:
                log.error("failed", date=str(work[done]), error=str(error))
                failed.append(f"{work[done]}: {error}")
            advance(1)
    log.info("backfilled", days=len(chosen) - empty - len(failed), without_data=empty, failed=len(failed))
    if failed:
        raise Failed(f"{len(failed)} of {len(chosen)} days failed, {min(failed)}")


if __name__ == "__main__":
    run(main)

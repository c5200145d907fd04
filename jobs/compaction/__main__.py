"""``python -m jobs.compaction``: the hours that are over, each with many files, get one or a few."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import uuid4

import click
import msgspec
import structlog
from hdfs import InsecureClient

from clients import hdfs as files
from clients import metastore
from clients.commits import Commit, CommitLog
from clients.hdfs import HDFS_SETTINGS
from clients.metastore import METASTORE_SETTINGS
from contracts import paths
from contracts.command import run, with_settings
from contracts.errors import BrokenPromise, NotFound, PlatformError
from contracts.hive import RAW
from contracts.settings import Settings
from jobs import progress
from jobs.batch.options import seconds_option
from jobs.compaction import choice, exchange
from jobs.compaction.choice import Due, Hour
from jobs.compaction.exchange import Exchange, Run
from jobs.compaction.merging import merged, portions
from serving.days import note_end

AT_ONCE: Final = 96
"""Hours that are exchanged at a time: what bounds the room that their files take twice."""
THREADS: Final = 8
PAUSE_SECONDS: Final = 1.0
log = structlog.get_logger()


class Report(msgspec.Struct):
    """What a run did: hours compacted, files before and after, hours left for the next run."""

    hours: int = 0
    files_before: int = 0
    files_after: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True)
class Partitions:
    """Where SQL reads hours, by the tables' partitions in the Hive Metastore, which SQL asks for each statement."""

    settings: Settings

    def put(self, hour: Hour, location: str) -> None:
        place = f"{self.settings.hdfs_uri}{location}"
        metastore.put_location(self.settings, RAW[hour.stream], (hour.date, hour.hour), place)


class Compaction:
    """One run over a lake."""

    def __init__(self, hdfs: InsecureClient, locations: exchange.Locations, grace: timedelta) -> None:
        self._hdfs, self._grace = hdfs, grace
        self._log = CommitLog(hdfs, paths.INGEST)
        self._run = Run(hdfs, locations)
        self._report = Report()
        self._damaged: list[BrokenPromise] = []

    def __call__(self, older_than: timedelta) -> Report:
        """Compacts the hours that ended ``older_than`` ago.

        Raises :class:`Fenced` where a later run has started; in the end :class:`BrokenPromise` where it left an hour of
        which a file is damaged.
        """
        try:
            self._run.start(self._grace)
            commit = self._log.published()
            for date in choice.open_dates(self._hdfs, commit):
                self._compact_date(commit, date, older_than)
            self._run.clean(self._grace)
            if self._damaged:
                raise self._damaged[0]
            note_end(self._hdfs, paths.COMPACTION_RUN)
        except PlatformError:
            self._run.require_unfenced()  # what a later run took away is not there
            raise
        return self._report

    def _compact_date(self, commit: Commit, date: str, older_than: timedelta) -> None:
        hours = list(choice.hours(self._hdfs, date))
        over = [hour for hour in hours if choice.over(hour, older_than)]
        with ThreadPoolExecutor(THREADS) as pool:
            chosen = [found for found in pool.map(partial(choice.due, self._hdfs, commit), over) if found]
        left = self._report.left
        self._report.left += len(hours) - len(over)
        with progress.shown(f"hours of {date}", len(chosen)) as advance:
            for first in range(0, len(chosen), AT_ONCE):
                self._exchange(chosen[first : first + AT_ONCE], advance)
        if self._report.left == left:
            self._note(date, commit.days.get(date, 0))

    def _exchange(self, chosen: list[Due], advance: Callable[[int], None]) -> None:
        work = [one for found in chosen if (one := self._begin(found))]
        for _ in _until(time.monotonic() + self._grace.total_seconds()):
            self._run.require_unfenced()
            for one in work:
                self._run.follow(one)
        published = self._log.published().sequence
        for one in work:
            self._run.finish(one, published)
            self._report.hours += 1
            advance(1)

    def _begin(self, due: Due) -> Exchange | None:
        """Makes an hour's files into few, and begins their exchange; None where one is gone since it was listed."""
        made: dict[str, bytes] = {}
        replaced = [name for group in due.groups for name in group]
        columns = RAW[due.hour.stream].columns
        try:
            for group in due.groups:
                for names in portions(group.items()):
                    data = merged(self._hdfs, columns, [f"{due.hour.folder}/{name}" for name in names])
                    made[paths.compacted_file(choice.span(names), uuid4().hex[:12])] = data
        except NotFound as error:
            log.warning("left for the next run", hour=due.hour.folder, error=str(error))
            self._report.left += 1
            return None
        except BrokenPromise as error:
            log.error("left", hour=due.hour.folder, error=str(error))
            self._damaged.append(error)
            self._report.left += 1
            return None
        self._report.files_before += len(replaced)
        self._report.files_after += len(made)
        return self._run.begin(due.hour, replaced, made)

    def _note(self, date: str, sequence: int) -> None:
        seen = choice.read_seen(self._hdfs) | {date: sequence}
        self._run.require_unfenced()
        files.write_whole(self._hdfs, choice.SEEN, msgspec.json.encode(seen))


def _until(deadline: float) -> Iterator[None]:
    """Once, and again every second until a reading of ``time.monotonic``."""
    yield
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(left, PAUSE_SECONDS))
        yield


@click.command()
@seconds_option("--older-than", 7200, "ECOMMERCE_COMPACTION_OLDER_THAN", "Compact hours that ended so long ago.")
@seconds_option(
    "--grace", 300, "ECOMMERCE_COMPACTION_GRACE", "How long a SQL statement may take that reads what is exchanged."
)
@with_settings(*METASTORE_SETTINGS, "hdfs_uri", *HDFS_SETTINGS)
def main(older_than: float, grace: float, settings: Settings) -> None:
    """Make the many landed files of each hour that is over into one or a few.

    Looks where rows have landed since the last run. Ingest, SQL and other readers go on meanwhile; a run that broke off
    is ended by the next one. Prints what was done as JSON.
    """
    metastore.answers(settings)
    compaction = Compaction(files.connect(settings), Partitions(settings), timedelta(seconds=grace))
    report = compaction(timedelta(seconds=older_than))
    click.echo(msgspec.json.encode(report).decode())


if __name__ == "__main__":
    run(main)

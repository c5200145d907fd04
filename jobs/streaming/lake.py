"""The state of the batch layer for Prometheus: how fresh SQL is, which days are open, when its runs last ended.

Ingest tells it, which always runs: what a pod of an hour or a night did is gone when Prometheus looks.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Final

import structlog
from hdfs import InsecureClient
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from clients.commits import CommitLog
from contracts import paths
from contracts.errors import PlatformError
from serving.days import end_of, ended, first_kept, is_closed, marks, over

LOOK_SECONDS: Final = 60.0
log = structlog.get_logger()


class Lake(Collector):
    """Looks now and then (:meth:`look`), and tells what it saw when Prometheus asks.

    ``landed_until``: until when all that Kafka had is landed, as far as this job knows; ``waiting_since``: since when
    an hour has waited to be registered; each None where there is none.
    """

    def __init__(
        self,
        hdfs: InsecureClient,
        landed_until: Callable[[], datetime | None],
        waiting_since: Callable[[], datetime | None],
    ) -> None:
        self._hdfs, self._landed_until, self._waiting_since = hdfs, landed_until, waiting_since
        self._started = datetime.now(UTC)
        self._look_at = 0.0
        self._open: dict[date, datetime] = {}
        self._differing: list[date] = []
        self._ended: dict[str, datetime] = {}

    def look(self) -> None:
        """Reads the marks of days and runs, each :data:`LOOK_SECONDS` at most; what cannot be read stays as it was."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK_SECONDS
        try:
            self._read()
        except PlatformError as error:
            log.warning("the state of the days is not known", error=str(error))

    def _read(self) -> None:
        now = datetime.now(UTC)
        newest = CommitLog(self._hdfs, paths.INGEST).newest().days
        found_of = marks(self._hdfs, over(newest, first_kept(self._hdfs), now))
        opened = {day: found for day, found in found_of.items() if not (found and is_closed(day, found, newest))}
        self._open = {
            day: max(end_of(day), found.closed_at) if found and found.closed_at else end_of(day)
            for day, found in opened.items()
        }
        self._differing = [day for day, found in opened.items() if found and found.differs]
        for run in (paths.DAILY_RUN, paths.COMPACTION_RUN):
            if at := ended(self._hdfs, run):
                self._ended[run] = at

    def collect(self) -> Iterator[Metric]:
        fresh = min(filter(None, (self._landed_until() or self._started, self._waiting_since())))
        yield _time("ecommerce_sql_fresh_until", "Until when all that Kafka had is in SQL's answers", fresh)
        daily, compaction = (self._ended.get(run, self._started) for run in (paths.DAILY_RUN, paths.COMPACTION_RUN))
        started = "; until the first one, when ingest started"
        yield _time("ecommerce_daily_run", f"When the newest daily run ended well{started}", daily)
        yield _time("ecommerce_compaction", f"When the newest compaction ended well{started}", compaction)
        opened = GaugeMetricFamily(
            "ecommerce_day_open_timestamp_seconds",
            "Of a day that is over and not closed, when it ended or was last closed",
            labels=("day",),
        )
        for day, since in self._open.items():
            opened.add_metric((f"{day}",), since.timestamp())
        yield opened
        differs = GaugeMetricFamily(
            "ecommerce_day_differs", "Of an open day, whether its newest reconciliation failed", labels=("day",)
        )
        for day in self._open:
            differs.add_metric((f"{day}",), day in self._differing)
        yield differs


def _time(name: str, what: str, at: datetime) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{name}_timestamp_seconds", what, value=at.timestamp())

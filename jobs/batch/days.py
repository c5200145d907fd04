"""Which days a run of the daily DAG computes, what has to have landed before, and when a day is closed."""

from datetime import UTC, date, datetime, timedelta

import msgspec
import structlog
from hdfs import InsecureClient

from clients import hdfs as files
from clients import retry
from clients.commits import CommitLog
from contracts import paths
from contracts.errors import BrokenPromise, NotFound, NotReady
from serving.days import Mark, closed, end_of, first_kept, mark

REOPENED = 31
"""Of the days that were opened again, how many a run takes, the newest first; the next run takes the others."""
KEPT = timedelta(days=60)
"""For which the plans of runs are kept."""
PAUSE_SECONDS = 15.0
log = structlog.get_logger()


class Plan(msgspec.Struct, frozen=True):
    """The days of a run, each with the ``sequence`` of its mark."""

    days: dict[str, int | None]


def wait_until_landed(hdfs: InsecureClient, day: date, grace: timedelta, patience: float) -> bool:
    """Whether all is landed that Kafka took until ``grace`` after the end of a day (UTC), which is waited for.

    False at once for a day that is not over within ``patience`` seconds. Raises :class:`NotReady` after them.
    """
    due = end_of(day) + grace
    if due > datetime.now(UTC) + timedelta(seconds=patience):
        log.warning(
            "the day is not over: computed as it is, it stays open", date=str(day), over=f"{due:%Y-%m-%dT%H:%MZ}"
        )
        return False
    ingest_log = CommitLog(hdfs, paths.INGEST)

    def until() -> datetime:
        told = ingest_log.landed_until()
        if told is None:
            raise NotReady("ingest has not said yet until when all is landed: it does not run, or is behind")
        return told

    wanted = f"{day} to be landed whole: ingest to have all that Kafka had at {due:%Y-%m-%dT%H:%M:%SZ}"
    retry.until(until, lambda told: told >= due, seconds=patience, pause=PAUSE_SECONDS, what=wanted)
    return True


def begin(hdfs: InsecureClient, day: date, whole: bool, run: str) -> Plan:
    """Plans a run: its day, and all older ones with rows that are not closed as of the newest commit.

    A day that is not ``whole`` is computed alone, and stays open.
    """
    landed = CommitLog(hdfs, paths.INGEST).published().days
    kept = first_kept(hdfs) or date.min
    newest_first = map(date.fromisoformat, sorted(landed, reverse=True))
    older = [found for found in newest_first if kept <= found < day] if whole else []
    still_closed = closed(hdfs, older)
    opened = [found for found in older if found not in still_closed]
    if len(opened) > REOPENED:
        log.warning("more days are open than a run takes", open=len(opened), taken=REOPENED)
    for name in files.names(hdfs, paths.DAY_PLANS):
        if name < f"{day - KEPT}":
            files.remove(hdfs, f"{paths.DAY_PLANS}/{name}")
    taken = [day, *opened[:REOPENED]]
    planned = Plan({str(found): landed.get(str(found), 0) if whole else None for found in taken})
    files.write_whole(hdfs, paths.day_plan(str(day), run), msgspec.json.encode(planned))
    for found, sequence in planned.days.items():
        take(hdfs, found, run, sequence)
    return planned


def take(hdfs: InsecureClient, day: str, run: str, sequence: int | None) -> None:
    """Makes a run the one that computes a day, as of a commit: earlier ones write nothing more of it."""
    before = mark(hdfs, date.fromisoformat(day))
    _put(hdfs, day, Mark(run, sequence, closed_at=before.closed_at if before else None))


def _put(hdfs: InsecureClient, day: str, new: Mark) -> None:
    files.write_whole(hdfs, paths.day_mark(day), msgspec.json.encode(new))


def days_of(hdfs: InsecureClient, day: date, run: str) -> list[date]:
    """The days that a run takes, by the plan that ``check_data`` made; ``day`` alone where there is no run.

    Raises :class:`NotFound` where the run has no plan.
    """
    if not run:
        return [day]
    try:
        planned = msgspec.json.decode(files.read(hdfs, paths.day_plan(str(day), run)), type=Plan)
    except NotFound as error:
        raise NotFound(f"run {run!r} has planned no days; let its task check_data run first") from error
    return [date.fromisoformat(found) for found in planned.days]


def require_newest(hdfs: InsecureClient, day: date, run: str) -> None:
    """Raises :class:`BrokenPromise` where another run computes a day since; nothing where there is no run."""
    found = mark(hdfs, day) if run else None
    if found and found.run != run:
        raise BrokenPromise(f"run {run!r} writes nothing more of {day}: run {found.run!r} computes it since")


def landed_more(hdfs: InsecureClient, day: date) -> bool:
    """Whether more of a day has landed since its newest run began."""
    found = mark(hdfs, day)
    return found is not None and found.sequence != CommitLog(hdfs, paths.INGEST).newest().days.get(str(day), 0)


def close(hdfs: InsecureClient, day: date, run: str) -> bool:
    """Closes a day that is reconciled. False where a later commit has rows of it, or another run computes it since."""
    found = mark(hdfs, day)
    if not found or found.run != run:
        return False
    if landed_more(hdfs, day):
        log.info("stays open", date=str(day), computed_as_of=found.sequence)
        return False
    _put(hdfs, str(day), Mark(run, found.sequence, closed=True, closed_at=datetime.now(UTC)))
    log.info("closed", date=str(day), as_of=found.sequence)
    return True


def reopen(hdfs: InsecureClient, day: date) -> None:
    """Opens a day into which a run wrote that was no longer its newest."""
    found = mark(hdfs, day)
    if found and found.closed:
        _put(hdfs, str(day), msgspec.structs.replace(found, closed=False))


def differ(hdfs: InsecureClient, day: date, run: str) -> None:
    """Notes that the layers do not agree on a day as its newest run computed it."""
    found = mark(hdfs, day)
    if found and found.run == run:
        _put(hdfs, str(day), msgspec.structs.replace(found, differs=True))

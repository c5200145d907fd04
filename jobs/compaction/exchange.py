"""The exchange of an hour's files for what was made of them, step by step, each of which may be the last.

SQL plans a statement over the files that it lists, and reads them later: they must stay where they are. A reader of
folders must find each row once. So there are two places at a time:

1. The new files are written twice: where SQL will read (``read/…``) and where the hour's new folder is made (``new``).
2. The partition's location becomes ``read/…``. Statements that were planned before go on over the old files. What lands
   now is copied there.
3. When those statements are over (a grace), the hour's folder is moved away and ``new`` takes its place: two renames.
   What landed meanwhile follows.
4. The location becomes the hour's folder again. ``read/…`` stays for another grace.

One exchanges, fenced as ingest is: a run claims a number, and renames the folders of earlier ones, which then find
nothing to move. It finishes or undoes what they left.
"""

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Protocol
from uuid import uuid4

import msgspec
import structlog
from hdfs import InsecureClient

from clients import claims
from clients import hdfs as files
from clients.commits import CommitLog
from contracts import paths
from contracts.errors import Fenced, NotFound
from jobs.compaction.choice import Hour
from serving.days import ended, note_end

WORK: Final = f"{paths.COMPACTION}/work"
READ: Final = f"{paths.COMPACTION}/read"
CLAIMS: Final = f"{paths.COMPACTION}/claims"
KEPT_CLAIMS: Final = 100
log = structlog.get_logger()


class Locations(Protocol):
    """Where SQL reads an hour."""

    def put(self, hour: Hour, location: str) -> None:
        """Makes a path on HDFS the location of the hour's partition, for statements planned from now on."""


class Plan(msgspec.Struct, frozen=True):
    """What is exchanged: the names of the files ``replaced`` and of those ``made`` of them, and where SQL reads."""

    hour: Hour
    replaced: list[str]
    made: list[str]
    read: str


class Exchange(NamedTuple):
    """An exchange and the folder in which its run keeps it."""

    plan: Plan
    work: str

    @property
    def new(self) -> str:
        return f"{self.work}/new"

    @property
    def old(self) -> str:
        return f"{self.work}/old"

    @property
    def done(self) -> str:
        return f"{self.work}/done"


def visible(hdfs: InsecureClient, folder: str) -> set[str]:
    """The names in a folder that Hive and Impala would read."""
    return {name for name in files.names(hdfs, folder) if not files.hidden(name)}


def unfinished(hdfs: InsecureClient) -> list[Exchange]:
    """The exchanges that some run has begun and not ended."""
    return [one for one in kept(hdfs) if not files.exists(hdfs, one.done)]


def kept(hdfs: InsecureClient) -> list[Exchange]:
    """The exchanges of which something is still there. Those without a plan have exchanged nothing."""
    found = []
    for run in files.names(hdfs, WORK):
        for name in files.names(hdfs, f"{WORK}/{run}"):
            try:
                plan = msgspec.json.decode(files.read(hdfs, f"{WORK}/{run}/{name}/plan.json"), type=Plan)
            except NotFound:
                continue
            found.append(Exchange(plan, f"{WORK}/{run}/{name}"))
    return found


def show_landed(hdfs: InsecureClient, one: Exchange) -> None:
    """Copies what has landed in an hour since to where SQL reads it. Any process may do so, at any time."""
    _show(hdfs, one, visible(hdfs, one.plan.hour.folder), visible(hdfs, one.plan.read))


def _show(hdfs: InsecureClient, one: Exchange, landed: set[str], shown: set[str]) -> None:
    landed = landed - {*one.plan.replaced, *one.plan.made}
    if landed - shown:
        for name in shown & taken_back(hdfs, one.plan.hour):
            files.remove(hdfs, f"{one.plan.read}/{name}")
    for name in sorted(landed - shown):
        _copy(hdfs, f"{one.plan.hour.folder}/{name}", f"{one.plan.read}/{name}")


def show_landed_of(hdfs: InsecureClient, date: str) -> None:
    """As :func:`show_landed` for all hours of a date (YYYY-MM-DD): what has landed of it by now, SQL sees."""
    for one in unfinished(hdfs):
        if one.plan.hour.date == date:
            show_landed(hdfs, one)


def taken_back(hdfs: InsecureClient, hour: Hour) -> set[str]:
    """The names of files of an hour that ingest took back: they may be in its way no more."""
    found = (path.rpartition("/") for path in CommitLog(hdfs, paths.INGEST).newest().taken_back)
    return {name for folder, _, name in found if folder == hour.folder}


def _copy(hdfs: InsecureClient, source: str, target: str) -> None:
    try:
        files.write_whole(hdfs, target, files.read(hdfs, source))
    except NotFound:
        log.info("gone before it was copied", file=source)


class Run:
    """A run of the compaction: :meth:`start`, then for each exchange :meth:`begin`, :meth:`follow`, :meth:`finish`."""

    def __init__(self, hdfs: InsecureClient, locations: Locations) -> None:
        self._hdfs, self._locations = hdfs, locations
        self.number = 0

    def start(self, grace: timedelta) -> None:
        """Fences earlier runs, ends what they left, and removes what nobody reads any more."""
        self.number = claims.take(self._hdfs, CLAIMS, uuid4().hex, f"{paths.COMPACTION}/draft-{uuid4().hex}")
        for name in files.names(self._hdfs, WORK):
            if int(name[:8]) < self.number:
                files.move_folder(self._hdfs, f"{WORK}/{name}", f"{WORK}/{name[:8]}-ended-by-{self.number:08d}")
        for one in unfinished(self._hdfs):
            if int(one.work.removeprefix(f"{WORK}/")[:8]) < self.number:
                self._recover(one)
        self.clean(grace)

    def require_unfenced(self) -> None:
        """Raises :class:`Fenced` where a later run has started."""
        if (newest := max(claims.taken(self._hdfs, CLAIMS), default=0)) > self.number:
            raise Fenced(
                f"another compaction started after this one ({newest} after {self.number}) and goes on instead"
            )

    def folder_of(self, hour: Hour) -> str:
        return f"{self.number:08d}/{hour.stream}-{hour.date}T{hour.hour}"

    def begin(self, hour: Hour, replaced: list[str], made: dict[str, bytes]) -> Exchange:
        """Keeps what was made of an hour's files, and lets SQL read it in their place."""
        work = f"{WORK}/{self.folder_of(hour)}"
        one = Exchange(Plan(hour, sorted(replaced), sorted(made), f"{READ}/{self.folder_of(hour)}"), work)
        for name, data in made.items():
            files.write(self._hdfs, f"{one.new}/{name}", data)
            files.write(self._hdfs, f"{one.plan.read}/{name}", data)
        files.write_whole(self._hdfs, f"{work}/plan.json", msgspec.json.encode(one.plan))
        show_landed(self._hdfs, one)
        self.require_unfenced()
        self._locations.put(hour, one.plan.read)
        try:
            self.require_unfenced()
        except Fenced:
            self._locations.put(hour, hour.folder)
            raise
        show_landed(self._hdfs, one)
        return one

    def follow(self, one: Exchange) -> None:
        """Removes what ingest took back from where SQL reads, and copies there what landed."""
        landed, shown = visible(self._hdfs, one.plan.hour.folder), visible(self._hdfs, one.plan.read)
        for name in shown - landed - set(one.plan.made):
            files.remove(self._hdfs, f"{one.plan.read}/{name}")
        _show(self._hdfs, one, landed, shown)

    def finish(self, one: Exchange, published: int) -> None:
        """Exchanges the folders, and lets SQL read there again. ``published``: ingest's newest commit that is whole."""
        hour = one.plan.hour
        self.follow(one)
        for name in visible(self._hdfs, hour.folder) - {*one.plan.replaced}:
            commits = paths.commits_of(name)
            # Files of a later commit may yet be taken back: they are moved, not copied.
            if commits is None or commits.last <= published:
                _copy(self._hdfs, f"{hour.folder}/{name}", f"{one.new}/{name}")
        self.require_unfenced()
        files.move_folder(self._hdfs, hour.folder, one.old)
        self._put_in_place(one)
        self._end(one)

    def clean(self, grace: timedelta) -> None:
        """Removes what statements that were planned before an exchange ended may have read, after a grace."""
        for one in kept(self._hdfs):
            if self._over(one.done, grace):
                self._locations.put(one.plan.hour, one.plan.hour.folder)  # a fenced run may have put it elsewhere
                files.remove(self._hdfs, one.plan.read)
                files.remove(self._hdfs, one.work)
        for run in files.names(self._hdfs, WORK):
            if int(run[:8]) < self.number:
                self._clean_run(f"{WORK}/{run}")
        in_use = {name[:8] for name in files.names(self._hdfs, WORK)} | {f"{self.number:08d}"}
        for run in set(files.names(self._hdfs, READ)) - in_use:
            files.remove(self._hdfs, f"{READ}/{run}")
        claims.forget(self._hdfs, CLAIMS, self.number - KEPT_CLAIMS)

    def _clean_run(self, folder: str) -> None:
        """Removes what an ended run kept without a plan, which has exchanged nothing, and its folder once empty."""
        left = files.names(self._hdfs, folder)
        without = [name for name in left if not files.exists(self._hdfs, f"{folder}/{name}/plan.json")]
        for name in without:
            files.remove(self._hdfs, f"{folder}/{name}")
        if len(without) == len(left):
            files.remove(self._hdfs, folder)

    def _over(self, done: str, grace: timedelta) -> bool:
        at = ended(self._hdfs, done)
        return at is not None and datetime.now(UTC) - at >= grace

    def _recover(self, one: Exchange) -> None:
        """Ends an exchange that another run began: it is finished where folders were moved, else undone."""
        hour = one.plan.hour
        if moved := files.exists(self._hdfs, one.old):
            self._put_in_place(one)
        log.warning("recovered", hour=hour.folder, exchange="finished" if moved else "undone")
        self._end(one)

    def _put_in_place(self, one: Exchange) -> None:
        """Makes what is in ``new`` the hour's folder, and what landed in the old one meanwhile follow it."""
        folder = one.plan.hour.folder
        if files.exists(self._hdfs, one.new) and not files.move_folder(self._hdfs, one.new, folder):
            for name in files.names(self._hdfs, one.new):  # ingest has made the folder
                files.move(self._hdfs, f"{one.new}/{name}", f"{folder}/{name}")
        there = visible(self._hdfs, folder)
        followed = visible(self._hdfs, one.old) - {*one.plan.replaced} - there
        if followed:
            for name in followed - taken_back(self._hdfs, one.plan.hour):
                files.move(self._hdfs, f"{one.old}/{name}", f"{folder}/{name}")
            for name in followed & taken_back(self._hdfs, one.plan.hour):
                files.remove(self._hdfs, f"{folder}/{name}")

    def _end(self, one: Exchange) -> None:
        self._locations.put(one.plan.hour, one.plan.hour.folder)
        note_end(self._hdfs, one.done)

"""HBase made anew from the landed Parquet, up to where ingest has landed; the speed job then goes on from there.

The rows are counted by the speed job's own code (``views.py``), a Kafka partition at a time in offset order. What it
needs beside the events follows from them: lateness from the event times in offset order, and where a partition stands
from the commit log. Where its offsets began again (``jobs.adopt``), the log says as of which commit, and the names of
the landed files say which commit made them: what was before is counted first, and what came after has versions above.

While it runs, the progress of every partition names the topic :data:`contracts.hbase.REBUILDING`, from which the speed
job refuses to go on. The same progress says how far a run that broke off had come: the next one goes on from there.
"""

import io
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import Any, Final, NamedTuple
from uuid import uuid4

import click
import happybase
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import structlog
from hdfs import InsecureClient

from clients import hbase, kafka
from clients import hdfs as files
from clients.commits import Commit, CommitLog, PartitionState
from clients.hbase import HBASE_SETTINGS
from clients.hdfs import HDFS_SETTINGS
from contracts import hbase as tables
from contracts import paths
from contracts.command import run, with_settings
from contracts.errors import BrokenPromise, Mistake, NotFound
from contracts.events import BY_TOPIC, STREAMS, from_epoch_ms
from contracts.hbase import HBASE_TABLES, REBUILDING, SPEED_PROGRESS, UNCOUNTED, HBaseTable, Progress
from contracts.paths import INGEST, SPEED
from contracts.settings import Settings
from jobs import audit, prepare, progress
from jobs.compaction import merging
from jobs.streaming.records import Event
from jobs.streaming.settings import StreamingSettings, streaming_options
from jobs.streaming.views import Read, Records, count
from jobs.streaming.window import epoch_ms

CHUNK_ROWS: Final = 50_000
"""Rows counted at a time: what a value costs in HBase is shared by them all, and they are what is held in memory."""
READERS: Final = 4
"""Files read from HDFS at a time."""
LISTINGS: Final = 10
"""How often landed files are listed before one that is gone is an error."""
WATCH_SECONDS: Final = 10.0
"""For which the speed layer must stand still: longer than a batch of it takes."""
CLAIM_VERSION: Final = 2**62
"""Of a cell that hides every other of its column; only ever in a table that is about to be dropped."""
log = structlog.get_logger()


class Landed(NamedTuple):
    """A landed file: the first and the last offset of its batch in its partition, by its name."""

    first: int
    last: int
    path: str


class Stretch(NamedTuple):
    """Offsets ``[begin, end)`` of a Kafka partition that follow each other, and the landed files of their rows.

    A partition has one, and another for each time that its offsets began again (``jobs.adopt``). ``base``: what the
    versions of cells are above its offsets. ``newest_ms``: the newest event time before it. ``until``: the last commit
    with rows of it.
    """

    begin: int
    end: int
    base: int
    newest_ms: int | None
    until: int
    files: list[Landed]


def stretches(commit: Commit, key: str) -> list[Stretch]:
    """The stretches of a partition (``topic/number``) as of a commit, oldest first, without their files."""
    found, begin, base, newest_ms = [], 0, 0, None
    for one in commit.adoptions:
        if one.partition == key:
            found.append(Stretch(begin, one.end, base, newest_ms, one.sequence, []))
            begin, base, newest_ms = one.begin, base + one.end - one.begin, one.newest_ms
    end = commit.partitions.get(key, PartitionState()).end
    return [*found, Stretch(begin, end, base, newest_ms, commit.sequence, [])]


def landed_files(hdfs: InsecureClient, commit: Commit) -> dict[str, list[Stretch]]:
    """The stretches of each Kafka partition (``topic/number``) as of a commit, their files in offset order.

    Raises :class:`BrokenPromise` for a file that ingest did not name, and for files that do not fit the log.
    """
    found = {key: stretches(commit, key) for key in commit.partitions}
    made: defaultdict[tuple[str, int], list[tuple[int, Landed]]] = defaultdict(list)
    for stream in STREAMS:
        for path in files.walk(hdfs, paths.stream_folder(stream.name)):
            if files.hidden(path) or path in commit.taken_back:
                continue
            if made_of := paths.compacted(path):
                for partition, (first, last) in merging.offsets(hdfs, path).items():
                    if several := found.get(f"{stream.topic}/{partition}"):
                        several[_number(several, made_of.last)].files.append(Landed(first, last, path))
                continue
            batch = paths.landed_batch(path)
            if not batch:
                raise BrokenPromise(f"{path} does not tell its offsets by its name: it was not landed by ingest")
            key, made_by = f"{stream.topic}/{batch.partition}", batch.commit or 0
            if key in found and made_by <= commit.sequence:
                made[key, _number(found[key], made_by)].append((made_by, Landed(batch.first, batch.last, path)))
    for (key, number), landed in made.items():
        _require_one_topic(key, sorted(landed), found[key][number].end)
        found[key][number].files.extend(file for _, file in landed)
    for stretch in (one for several in found.values() for one in several):
        stretch.files.sort()
    return found


def _number(several: list[Stretch], made_by: int) -> int:
    """Which stretch a commit's rows are of; the last one for a commit that came since."""
    return next((number for number, one in enumerate(several) if made_by <= one.until), len(several) - 1)


def _require_one_topic(key: str, landed: list[tuple[int, Landed]], end: int) -> None:
    """Raises where later commits landed offsets that earlier ones had, or no longer count what is landed."""
    again = any(one != other and after.first <= before.last for (one, before), (other, after) in pairwise(landed))
    if again or landed[-1][1].last >= end:
        raise BrokenPromise(
            f"the offsets of {key} began again, and ingest's log does not say where: its rows are of two topics, and "
            "jobs.rebuild cannot tell what the speed layer made of them; nothing was changed"
        )


def chunks(hdfs: InsecureClient, number: int, landed: list[Landed], start: int) -> Iterator[pa.Table]:
    """The rows of a Kafka partition from offset ``start`` on, in offset order, each file read once.

    Held in memory are the rows of files whose first offset has come: an hour or two, and late ones of earlier hours.
    Raises :class:`BrokenPromise` for an offset that is there twice.
    """
    coming = sorted(file for file in landed if file.last >= start)
    rows: pa.Table | None = None
    with ThreadPoolExecutor(READERS) as pool:
        while coming or (rows is not None and rows.num_rows):
            if rows is None or not rows.num_rows:
                bound = coming[0].first + CHUNK_ROWS
            else:
                bound = rows["kafka_offset"][0].as_py() + CHUNK_ROWS
            load = [file for file in coming if file.first < bound]
            coming = coming[len(load) :]
            if load:
                read_rows = list(pool.map(partial(read, hdfs, number), (file.path for file in load)))
                # Files of earlier versions lack columns: their rows are null there.
                rows = pa.concat_tables([*([rows] if rows is not None else []), *read_rows], promote_options="default")
                rows = rows.filter(pc.greater_equal(rows["kafka_offset"], start)).sort_by("kafka_offset")
            assert rows is not None
            count = int(np.searchsorted(rows["kafka_offset"].to_numpy(), bound))
            chunk, rows = rows.slice(0, count), rows.slice(count)
            if (np.diff(chunk["kafka_offset"].to_numpy()) == 0).any():
                raise BrokenPromise(f"an offset of partition {number} from {bound - CHUNK_ROWS} on is landed twice")
            if chunk.num_rows:
                yield chunk


def read(hdfs: InsecureClient, number: int, path: str) -> pa.Table:
    """The rows of a Kafka partition in a landed file, ``event_time`` as milliseconds since 1970 UTC."""
    table = pq.read_table(io.BytesIO(files.read(hdfs, path)), coerce_int96_timestamp_unit="ms", partitioning=None)
    table = table.filter(pc.equal(table["kafka_partition"], number))
    return table.set_column(table.column_names.index("event_time"), "event_time", epoch_ms(table["event_time"]))


def read_landed(topic: str, rows: pa.Table, delay: timedelta, start: int, newest_ms: int | None) -> Read:
    """The events of landed rows from ``start`` on, late ones told as ``records.Reader`` tells them in Kafka's."""
    rows = rows.filter(pc.greater_equal(rows["kafka_offset"], start))
    if not rows.num_rows:
        return Read([], start, newest_ms)
    times, offsets = rows["event_time"].to_numpy(), rows["kafka_offset"].to_pylist()
    newest = np.maximum.accumulate(times)
    if newest_ms is not None:
        newest = np.maximum(newest, newest_ms)
    late = (newest - times > delay // timedelta(milliseconds=1)).tolist()
    records: Records = list(zip(offsets, events(topic, rows), late, strict=True))
    return Read(records, offsets[-1] + 1, int(newest[-1]))


def events(topic: str, rows: pa.Table) -> Iterator[Event]:
    """Rows as the events that they were made of; a field that came after all of them has its default."""
    kind = BY_TOPIC[topic].event
    for row in rows.select([name for name in kind.__struct_fields__ if name in rows.column_names]).to_pylist():
        row["event_time"] = from_epoch_ms(row["event_time"])
        yield kind(**row)


def rebuild_partition(
    settings: Settings, key: str, found: list[Stretch], stands: Progress, delay: timedelta
) -> Iterator[tuple[int, int]]:
    """Counts what progress says is left of a partition, one stretch after the other, as the speed job counted them.

    Yields how many rows were counted, and by how many offsets that goes on.
    """
    for stretch in found:
        if stretch.base > stands.base:
            begun = Progress(stretch.begin, stretch.newest_ms, REBUILDING, "", stretch.base, stands.whole)
            write_progress(settings, {key: (begun, begun.version)})
        reached = first_left(stretch, stands)
        for rows, upto in rebuild_stretch(settings, key, stretch.files, reached, stretch.end, delay):
            yield rows, upto - reached
            reached = upto
        yield 0, stretch.end - reached


def first_left(stretch: Stretch, stands: Progress) -> int:
    """The first offset of a stretch that is not counted yet."""
    if stretch.base == stands.base:
        return max(stretch.begin, stands.end)
    return stretch.end if stretch.base < stands.base else stretch.begin


def rebuild_stretch(
    settings: Settings, key: str, landed: list[Landed], start: int, end: int, delay: timedelta
) -> Iterator[tuple[int, int]]:
    """Counts a partition's rows ``[start, end)`` by the chunk; yields how many each had, and the offset after it.

    Alerts are kept in HBase and not sent again.
    """
    topic, _, number = key.rpartition("/")
    for rows in chunks(files.client(settings), int(number), landed, start):
        rows = rows.filter(pc.less(rows["kafka_offset"], end))
        source = partial(read_landed, topic, rows, delay)
        if rows.num_rows:
            first = rows["kafka_offset"][0].as_py()
            summary = hbase.attempt(settings, partial(count, key, REBUILDING, "", first, source, unsent))
            yield rows.num_rows, summary.end


def unsent(_: Iterable[kafka.Record]) -> None:
    """What becomes of alerts: they were sent when the speed job raised them."""


def speed_progress(settings: Settings, below: int | None = None) -> dict[str, Progress]:
    """Where the speed layer stands by ``topic/number``, or stood at versions ``below`` this; {} without a table."""
    if SPEED_PROGRESS.name in prepare.missing_hbase_tables(settings):
        return {}
    return audit.speed_progress(settings, below)


def broken_off(found: Mapping[str, Progress]) -> bool:
    """Whether a rebuild has counted something and not ended."""
    return all(one.topic_id == REBUILDING for one in found.values()) and any(one.version for one in found.values())


def empty(settings: Settings, keys: list[str]) -> None:
    """Makes the tables anew, empty but for progress that shuts the speed job out: it has to stand still.

    Raises :class:`Mistake` where it counts.
    """
    before = speed_progress(settings, CLAIM_VERSION)
    if moved(settings, before) != before:
        raise Mistake("the speed job is counting; stop it first, nothing was changed")
    if before:
        claim(settings, sorted({*before, *keys}), CLAIM_VERSION)
        # A task that had read its progress before goes on writing.
        while (now := moved(settings, before)) != before:
            before = now
    others = [table for table in HBASE_TABLES if table is not SPEED_PROGRESS]
    with ThreadPoolExecutor(READERS) as pool:
        list(pool.map(partial(make_anew, settings), others))
    make_anew(settings, SPEED_PROGRESS)
    claim(settings, sorted({*before, *keys}), 0)


def moved(settings: Settings, before: dict[str, Progress]) -> dict[str, Progress]:
    """Where the speed layer stands, claims apart, :data:`WATCH_SECONDS` after it stood at ``before``."""
    log.info("watching whether the speed job counts", seconds=WATCH_SECONDS)
    time.sleep(WATCH_SECONDS)
    return speed_progress(settings, CLAIM_VERSION)


def make_anew(settings: Settings, table: HBaseTable) -> None:
    """Drops a table and creates it. Deleted rows would leave marks that hide what is written at their versions."""
    with hbase.connection(settings) as connection:
        if table.name.encode() in connection.tables():
            if connection.is_table_enabled(table.name):
                connection.disable_table(table.name)
            connection.delete_table(table.name)
        connection.create_table(table.name, table.families)


def claim(settings: Settings, keys: list[str], version: int) -> None:
    """Shuts the speed job out of these partitions."""
    write_progress(settings, {key: (msgspec.structs.replace(UNCOUNTED, topic_id=REBUILDING), version) for key in keys})


def hand_over(settings: Settings, commit: Commit) -> None:
    """Lets the speed job go on from where the commit ends. Raises :class:`BrokenPromise` where it did meanwhile."""
    found = speed_progress(settings)
    if others := sorted(key for key, one in found.items() if one.topic_id != REBUILDING):
        raise BrokenPromise(
            f"the speed job counted {others[0]} while HBase was made anew: stop it and run python -m jobs.rebuild again"
        )
    ends: dict[str, tuple[Progress, int]] = {}
    generation = uuid4().hex[:12]
    for key in {*found, *commit.partitions}:
        state = commit.partitions.get(key, PartitionState())
        topic_id = commit.topic_ids.get(key.rpartition("/")[0], "")
        whole, base = found.get(key, UNCOUNTED).whole, stretches(commit, key)[-1].base
        value = Progress(state.end, state.newest_ms, topic_id, generation, base, whole)
        ends[key] = value, max(value.version, 1)  # the claim is version 0
    write_progress(settings, ends)


def write_progress(settings: Settings, ends: Mapping[str, tuple[Progress, int]]) -> None:
    """Writes progress of partitions, each at its version."""

    def write(connection: happybase.Connection) -> None:
        table = connection.table(SPEED_PROGRESS.name)
        for key, (value, version) in ends.items():
            topic, _, number = key.rpartition("/")
            column = tables.partition_column(tables.VALUE_FAMILY, int(number))
            table.put(topic.encode(), {column: msgspec.json.encode(value)}, timestamp=version)

    hbase.attempt(settings, write)


def count_landed(
    settings: Settings,
    commit: Commit,
    landed: dict[str, list[Stretch]],
    stands: Mapping[str, Progress],
    delay: timedelta,
) -> Iterator[tuple[int, int]]:
    """As :func:`rebuild_partition` for all partitions; lists the files anew where a compaction took one meanwhile."""
    for listings_left in reversed(range(LISTINGS)):
        try:
            for key, found in landed.items():
                yield from rebuild_partition(settings, key, found, stands[key], delay)
            return
        except NotFound as error:
            if not listings_left:
                raise
            log.info("compacted meanwhile: files are listed anew", error=str(error))
            landed, progress = landed_files(files.client(settings), commit), speed_progress(settings)
            stands = {key: progress.get(key, UNCOUNTED) for key in landed}


def rebuild(settings: Settings, speed: StreamingSettings, commit: Commit) -> dict[str, Any]:
    """Makes HBase anew as of a commit; returns what was counted and what it took."""
    began = time.monotonic()
    hdfs = files.client(settings)
    landed = landed_files(hdfs, commit)
    before = speed_progress(settings)
    if broken_off(before):
        log.info("goes on from a run that broke off", records=sum(one.version for one in before.values()))
    else:
        empty(settings, list(landed))
        before = {}
    counting = time.monotonic()
    stands = {key: before.get(key, UNCOUNTED) for key in landed}
    left = sum(one.end - first_left(one, stands[key]) for key, found in landed.items() for one in found)
    done = 0
    with progress.shown("offsets", left) as advance:
        for rows, offsets in count_landed(settings, commit, landed, stands, speed.delay):
            done += rows
            advance(offsets)
    seconds = time.monotonic() - counting
    hand_over(settings, commit)
    return {
        "events": done,
        "seconds": round(time.monotonic() - began, 1),
        "counting_seconds": round(seconds, 1),
        "counting_seconds_per_million": round(seconds / done * 1e6, 1) if done else None,
    }


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@with_settings(*HDFS_SETTINGS, *HBASE_SETTINGS)
@streaming_options(SPEED, names=("watermark",))
def main(settings: Settings, streaming: StreamingSettings, dry_run: bool) -> None:
    """Make HBase anew from the landed Parquet; the speed job, stopped before, then goes on from there.

    Empties all tables of the speed layer. Ingest may go on. A run that broke off is continued by the next one. Prints
    what was done as JSON.
    """
    files.answers(settings)
    commit = CommitLog(files.client(settings), INGEST).published()
    if not commit.partitions:
        raise NotFound("nothing has landed that HBase could be made of; nothing was changed")
    report = plan(settings, commit) if dry_run else rebuild(settings, streaming, commit)
    click.echo(msgspec.json.format(msgspec.json.encode(report)).decode())


def plan(settings: Settings, commit: Commit) -> dict[str, Any]:
    """What a rebuild would do."""
    landed = landed_files(files.client(settings), commit)
    stands = speed_progress(settings)
    return {
        "landed": {topic: total.landed for topic, total in commit.totals.items()},
        "files": sum(len(one.files) for found in landed.values() for one in found),
        "empties": [] if broken_off(stands) else [table.name for table in HBASE_TABLES],
        "speed_stands_at": {key: stands[key].end for key in sorted(stands)},
        "would_stand_at": {key: commit.partitions[key].end for key in sorted(landed)},
    }


if __name__ == "__main__":
    run(main)

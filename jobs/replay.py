"""Sends dead letters back into their topic, after a fix; each at most once, whoever runs this how often and dies when.

Kafka's transactions are no help: readers of the topics see what an aborted one wrote. So a batch of letters is first
written down on HDFS with the ends of the partitions that they go to, then sent, each with a header that names it, then
written down as settled. A run that finds a batch unsettled waits until the run that wrote it sends no more
(:data:`LEASE_SECONDS`), then looks for the headers in the partitions from those ends on: what is there was sent, what
is not never will be, and may be chosen again. The files are numbered and each is created once, so that of two runs at
a time one fails before it sends anything that the other may send.
"""

import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import uuid4

import click
import msgspec
import pyarrow as pa
import structlog

from clients import hdfs as files
from clients import kafka
from clients.hdfs import HDFS_SETTINGS
from clients.kafka import KAFKA_SETTINGS
from contracts import paths
from contracts.command import run, with_settings
from contracts.errors import BrokenPromise, NotReady
from contracts.events import BY_NAME, BY_TOPIC, WATERMARK
from contracts.settings import Settings
from contracts.topics import DEAD_LETTERS, MAX_DEAD_LETTER_BYTES, REPLAY_OF
from jobs import progress
from jobs.streaming.records import Reader, Rejected

BATCH_LETTERS: Final = 1000
BATCH_BYTES: Final = 16 * 1024 * 1024
"""Of letters held in memory and sent at a time."""
LEASE_SECONDS: Final = 60
"""From when a batch is written down until nothing of it is sent any more."""
DELIVERY_SECONDS: Final = 15
"""For a record to be acknowledged, tries included."""
log = structlog.get_logger()


class Letter(NamedTuple):
    """A dead letter: its key (``topic/partition/offset``), and the record that it was."""

    name: str
    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    reason: str
    appended: datetime
    truncated: bool

    @property
    def place(self) -> str:
        return f"{self.topic}/{self.partition}"


class Batch(msgspec.Struct):
    """Letters sent together, in a file of the memory.

    ``letters``: those meant to be sent; once ``settled``, those that were. ``starts``: where their partitions
    (``topic/number``) ended before. ``until``: seconds since 1970 from which on none of them is sent.
    """

    letters: list[str]
    starts: dict[str, int]
    until: float
    settled: bool = False


class Memory:
    """Which letters were sent, ever: ``<REPLAYED>/<sequence>.json``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._hdfs = files.client(settings)
        self._batches = {number: self._read(number) for number in self._numbers()}

    @property
    def letters(self) -> set[str]:
        """All that were sent, or are meant to be by a batch that is not settled."""
        return {name for batch in self._batches.values() for name in batch.letters}

    def settle_others(self) -> None:
        """Settles what another run left open, once it sends no more."""
        for number, batch in self._batches.items():
            if batch.settled:
                continue
            if (seconds := batch.until - time.time()) > 0:
                log.info(
                    "waiting for a run that goes on or broke off", seconds=round(seconds), letters=len(batch.letters)
                )
                time.sleep(seconds)
            batch = self._read(number)
            if not batch.settled:
                sent = sent_of(self._settings, batch)
                log.info("settled what a run left open", letters=len(batch.letters), sent=len(sent))
                batch.letters = sorted(sent)
                self._settle(number, batch)
            self._batches[number] = batch

    def send(self, letters: list[Letter]) -> None:
        """Writes a batch down, sends it and settles it. Raises :class:`BrokenPromise` where another run wrote one."""
        number = max(self._batches, default=0) + 1
        held = kafka.ranges(self._settings, list(BY_TOPIC))
        starts = {letter.place: held[letter.place][1] for letter in letters}
        batch = Batch([letter.name for letter in letters], starts, time.time() + LEASE_SECONDS)
        files.make_folder(self._hdfs, paths.REPLAYED)
        temporary = f"{paths.REPLAYED}/_{number}-{uuid4().hex}"
        if not files.create_once(self._hdfs, self._path(number), msgspec.json.encode(batch), temporary):
            raise BrokenPromise("another replay is running; wait until it has ended")
        send_letters(self._settings, letters, batch.until)
        self._settle(number, batch)
        self._batches[number] = batch

    def _settle(self, number: int, batch: Batch) -> None:
        batch.settled = True
        files.write_whole(self._hdfs, self._path(number), msgspec.json.encode(batch))

    def _read(self, number: int) -> Batch:
        return msgspec.json.decode(files.read(self._hdfs, self._path(number)), type=Batch)

    def _numbers(self) -> list[int]:
        names = (name.removesuffix(".json") for name in files.names(self._hdfs, paths.REPLAYED))
        return sorted(int(name) for name in names if name.isdigit())

    def _path(self, number: int) -> str:
        return f"{paths.REPLAYED}/{number:012d}.json"


def sent_of(settings: Settings, batch: Batch) -> set[str]:
    """The letters of a batch that are in their topics; where Kafka no longer has the offsets to tell, all of them."""
    held = kafka.ranges(settings, list(BY_TOPIC))
    known = {place: start for place, start in batch.starts.items() if _within(start, held.get(place))}
    sent = {name for name in batch.letters if name.rpartition("/")[0] not in known}
    if sent:
        log.warning("Kafka no longer tells what was sent; all counts as sent", letters=len(sent))
    for record in kafka.read(settings, known):
        sent |= {(value or b"").decode(errors="replace") for header, value in record.headers if header == REPLAY_OF}
    return sent & set(batch.letters)


def _within(start: int, span: tuple[int, int] | None) -> bool:
    return span is not None and span[0] <= start <= span[1]


def send_letters(settings: Settings, letters: list[Letter], until: float) -> None:
    """Sends records to the partitions that they were in, whatever their key, and none after ``until``.

    Raises as ``clients.kafka.Sender``, and :class:`NotReady` where it takes too long.
    """
    for topic in sorted({letter.topic for letter in letters}):
        if time.time() > until - 2 * DELIVERY_SECONDS:
            raise NotReady("Kafka or HDFS answers too slowly; run it again, what was not sent will be")
        options = {"message.max.bytes": MAX_DEAD_LETTER_BYTES, "compression.type": "lz4"}
        sender = kafka.Sender(settings, topic, **options, **{"delivery.timeout.ms": DELIVERY_SECONDS * 1000})
        for letter in letters:
            if letter.topic == topic:
                sender.send(letter.key, letter.value, {REPLAY_OF: letter.name}, letter.partition)
        sender.close()


def read_letters(settings: Settings, places: Iterable[str]) -> Iterator[Letter]:
    """The dead letters in these partitions; a record that is none is left out with a line in the log."""
    for record in kafka.read(settings, dict.fromkeys(places, 0)):
        headers = dict(record.headers)
        try:
            topic = headers["topic"].decode()
            yield Letter(
                record.key.decode(),
                topic,
                int(headers["partition"]),
                headers["key"] if "key" in headers else key_of(topic, record.value),
                record.value,
                headers["reason"].decode(errors="replace"),
                datetime.fromtimestamp(record.timestamp / 1000, UTC),
                "truncated" in headers,
            )
        except (KeyError, ValueError, TypeError, AttributeError):
            log.warning("no dead letter of ours", partition=record.partition, offset=record.offset)


def key_of(topic: str, value: bytes | None) -> bytes | None:
    """The key that a record's event names; letters of versions before 0.2 do not tell the record's own."""
    try:
        found = msgspec.json.decode(value or b"", type=dict[str, Any])[BY_TOPIC[topic].key]
    except (ValueError, KeyError, RecursionError):
        return None
    return found.encode(errors="replace") if isinstance(found, str) else None


def problem(letter: Letter) -> str | None:
    """Why a letter would be rejected again if it were appended to its topic now."""
    columns = {
        "offset": pa.array([0], pa.int64()),
        "timestamp": pa.array([datetime.now(UTC)], pa.timestamp("us", tz="UTC")),
        "key": pa.array([letter.key], pa.binary()),
        "value": pa.array([letter.value], pa.binary()),
    }
    [found] = Reader(letter.topic, None, WATERMARK).read(pa.record_batch(columns))
    return found.reason if isinstance(found, Rejected) else None


class Wanted(NamedTuple):
    """Which letters the user wants: all by default."""

    reason: re.Pattern[str]
    streams: tuple[str, ...]
    since: datetime | None
    until: datetime | None

    def takes(self, letter: Letter) -> bool:
        stream = BY_TOPIC[letter.topic].name if letter.topic in BY_TOPIC else ""
        return (
            bool(stream)
            and (not self.streams or stream in self.streams)
            and (self.since is None or letter.appended >= self.since)
            and (self.until is None or letter.appended < self.until)
            and bool(self.reason.search(letter.reason))
        )


class Counted:
    """Letters by stream, reason (numbers left out, so that like ones come together) and what becomes of them."""

    def __init__(self) -> None:
        self._counts: defaultdict[str, defaultdict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))

    def add(self, letter: Letter, outcome: str) -> None:
        self._counts[BY_TOPIC[letter.topic].name][_alike(letter.reason)][outcome] += 1

    def report(self) -> dict[str, Any]:
        return {name: dict(sorted(reasons.items())) for name, reasons in sorted(self._counts.items())}


def replay(settings: Settings, wanted: Wanted, force: bool, dry_run: bool) -> dict[str, Any]:
    """Sends the wanted letters that were not sent before; returns what became of them."""
    memory = Memory(settings)
    if not dry_run:
        memory.settle_others()
    taken, counted = memory.letters, Counted()
    spans = kafka.ranges(settings, [DEAD_LETTERS])
    there = kafka.ranges(settings, list(BY_TOPIC))

    def chosen() -> Iterator[Letter]:
        with progress.shown("dead letters", sum(end - start for start, end in spans.values())) as advance:
            for letter in read_letters(settings, spans):
                advance(1)
                if not wanted.takes(letter):
                    continue
                if letter.name in taken:
                    counted.add(letter, "sent before")
                elif letter.place not in there:
                    counted.add(letter, "cannot be sent: its partition is no longer there")
                elif letter.truncated:
                    counted.add(letter, "cannot be sent: the letter holds only the beginning of the record")
                elif (again := problem(letter)) and not force:
                    counted.add(letter, f"not sent, would be rejected again: {_alike(again)}")
                else:
                    taken.add(letter.name)
                    counted.add(letter, "to send" if dry_run else "sent")
                    yield letter

    for batch in in_batches(chosen()):
        if not dry_run:
            memory.send(batch)
    return counted.report()


def in_batches(letters: Iterable[Letter]) -> Iterator[list[Letter]]:
    """Letters by the batch: bounded in number and bytes."""
    batch: list[Letter] = []
    size = 0
    for letter in letters:
        batch.append(letter)
        size += len(letter.value or b"")
        if len(batch) == BATCH_LETTERS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _alike(reason: str) -> str:
    return re.sub(r"\d+", "#", reason)


class Pattern(click.ParamType):
    """A regular expression."""

    name = "REGEX"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> re.Pattern[str]:
        try:
            return re.compile(value)
        except re.error as error:
            self.fail(f"{value!r} is no regular expression: {error}", param, ctx)


TIME: Final = "YYYY-MM-DD[THH:MM[:SS]]"


class Moment(click.DateTime):
    """A time in UTC."""

    def __init__(self) -> None:
        super().__init__(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        found: datetime = super().convert(value, param, ctx)
        return found.replace(tzinfo=UTC)


@click.command()
@click.option("--reason", type=Pattern(), default="", help="Only letters in whose reason this is found.")
@click.option("--stream", "streams", type=click.Choice(list(BY_NAME)), multiple=True, help="Can be repeated.")
@click.option("--since", type=Moment(), metavar=TIME, help="Only letters appended at this time (UTC) or later.")
@click.option("--until", type=Moment(), metavar=TIME, help="Only letters appended before this time (UTC).")
@click.option("--dry-run", is_flag=True, help="Say what would be sent; send and remember nothing.")
@click.option("--force", is_flag=True, help="Send what would be rejected again, too.")
@with_settings(*KAFKA_SETTINGS, *HDFS_SETTINGS)
def main(
    settings: Settings,
    reason: re.Pattern[str],
    streams: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    dry_run: bool,
    force: bool,
) -> None:
    """Send dead letters back into their topic, after a fix; each at most once, however often this is run.

    Prints the counts by stream, reason (numbers as #) and outcome as JSON.
    """
    files.answers(settings)
    report = replay(settings, Wanted(reason, streams, since, until), force, dry_run)
    click.echo(msgspec.json.format(msgspec.json.encode(report)).decode())


if __name__ == "__main__":
    run(main)

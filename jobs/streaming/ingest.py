"""Lands the three streams from Kafka as Parquet on HDFS, exactly once for every reader (see ``commits.py``)."""

import time
from functools import reduce

import click
import msgspec
import structlog
from pyspark.sql import DataFrame

from clients import hdfs as files
from clients.commits import Commit, Counts, Tally
from clients.hdfs import HDFS_SETTINGS
from clients.kafka import KAFKA_SETTINGS
from clients.metastore import METASTORE_SETTINGS
from contracts import paths
from contracts.command import run, with_settings
from contracts.errors import BrokenPromise
from contracts.events import MAX_EVENT_AGE, STREAMS, from_epoch_ms
from contracts.paths import INGEST
from contracts.settings import Settings
from jobs.streaming.commits import Writer
from jobs.streaming.evidence import Evidence
from jobs.streaming.lake import Lake
from jobs.streaming.landing import Landing, Summary
from jobs.streaming.offsets import gaps, held
from jobs.streaming.products import Published
from jobs.streaming.query import Job, run_query
from jobs.streaming.registering import Registrar
from jobs.streaming.settings import StreamingSettings, streaming_options

log = structlog.get_logger()
TOPICS = [stream.topic for stream in STREAMS]
TALLIED_DAYS = MAX_EVENT_AGE.days + 15
"""A commit has the tallies of so many days: older ones get no rows any more."""


class Ingest:
    """Commits one micro-batch after the other."""

    def __init__(
        self, settings: Settings, streaming: StreamingSettings, run_id: str, topic_ids: dict[str, str]
    ) -> None:
        self._settings, self._streaming, self._run_id = settings, streaming, run_id
        hdfs = files.client(settings)
        self._log = Writer(hdfs, INGEST, run_id)
        self._last = self._log.start()
        require_same_topics(self._last, topic_ids)
        self._last.topic_ids = topic_ids
        self._evidence = Evidence(settings, TOPICS, lambda: self.done, self._log.tell_landed_until)
        self._registrar = Registrar(settings)
        self._products = Published(settings)
        self.lake = Lake(hdfs, lambda: self._evidence.told, lambda: self._registrar.waiting_since)
        self._registrar.note(name for state in self._last.partitions.values() for name in state.window_files)
        self.missed = self._note_gaps()

    def require_unfenced(self) -> None:
        """Raises :class:`Fenced` where a later ingest has started."""
        self._log.require_unfenced()

    @property
    def done(self) -> dict[str, int]:
        """The offset after the last one landed of each partition."""
        return {place: state.end for place, state in self._last.partitions.items()}

    def meanwhile(self) -> None:
        """What is done beside the batches: hours are registered, it is told until when all is landed, days are seen."""
        self._registrar.register()
        self._evidence.tell()
        self.lake.look()

    def _note_gaps(self) -> int:
        """Commits what retention took before it was landed, and goes on behind it; returns how many records it was."""
        found = gaps(held(self._settings, TOPICS, self.done), self.done)
        if not found:
            return 0
        partitions, totals = dict(self._last.partitions), dict(self._last.totals)
        for gap in found:
            log.error("records are gone", partition=gap.partition, first=gap.start, end=gap.end)
            topic = gap.partition.rpartition("/")[0]
            partitions[gap.partition] = msgspec.structs.replace(partitions[gap.partition], end=gap.end)
            totals[topic] = totals.get(topic, Counts()).plus(Counts(missed=gap.end - gap.start))
        commit = self._last.next(partitions=partitions, totals=totals, gaps=[*self._last.gaps, *found])
        self._log.append(commit)
        self._last = commit
        return sum(gap.end - gap.start for gap in found)

    def __call__(self, records: DataFrame, _: int) -> dict[str, int]:
        """Stages, commits and publishes a batch; returns its counts. What is landed is left out by its offset."""
        sequence = self._last.sequence + 1
        staging = self._log.staging_folder(sequence)
        landing = Landing(
            self._settings,
            self._streaming.delay,
            self._run_id,
            sequence,
            staging,
            self._last.partitions,
            self._products.ids,
        )
        began = time.monotonic()
        rows = records.mapInArrow(landing, "summary BINARY").collect()
        staged = time.monotonic()
        summaries = [msgspec.json.decode(bytes(row.summary), type=Summary) for row in rows]
        for summary in summaries:
            summary.counts.unknown_products = self._products.lacking(summary.products)
        if any(summary.state.end > self._end(summary.partition) for summary in summaries):
            commit = next_commit(self._last, summaries, staging)
            self._log.append(commit)
            if lost := self._log.publish(commit):
                raise BrokenPromise(
                    f"{len(lost)} staged files of commit {sequence} vanished; the next start lands them anew"
                )
            self._last = commit
            self._registrar.note(file.final for file in commit.files)
            log.info(
                "committed",
                sequence=sequence,
                files=len(commit.files),
                rows=sum(file.rows for file in commit.files),
                stage_seconds=round(staged - began, 2),
                publish_seconds=round(time.monotonic() - staged, 2),
                totals=msgspec.to_builtins(commit.totals),
            )
        counts: dict[str, int] = msgspec.to_builtins(total(summaries))
        return counts

    def _end(self, partition: str) -> int:
        state = self._last.partitions.get(partition)
        return state.end if state else 0


def total(summaries: list[Summary]) -> Counts:
    """What the tasks did, in all."""
    return reduce(Counts.plus, (summary.counts for summary in summaries), Counts())


def next_commit(last: Commit, summaries: list[Summary], staging: str) -> Commit:
    """The commit that follows ``last`` with the tasks' summaries."""
    partitions, totals = dict(last.partitions), dict(last.totals)
    for summary in summaries:
        topic = summary.partition.rpartition("/")[0]
        partitions[summary.partition] = summary.state
        totals[topic] = totals.get(topic, Counts()).plus(summary.counts)
    landed = [file for summary in summaries for file in summary.files]
    commit = last.next(files=landed, partitions=partitions, totals=totals, staging=staging)
    if not last.tallies:
        commit.untallied_until = newest_day(last)
    commit.tallies = added(last, commit.untallied_until, summaries)
    commit.days = last.days | {paths.partition_of(file.final)[1]: commit.sequence for file in landed}
    return commit


def newest_day(commit: Commit) -> str:
    """The day (YYYY-MM-DD, UTC) of the newest event that is landed; empty where none is."""
    newest = [state.newest_ms for state in commit.partitions.values() if state.newest_ms is not None]
    return f"{from_epoch_ms(max(newest)):%Y-%m-%d}" if newest else ""


def added(last: Commit, untallied_until: str, summaries: list[Summary]) -> dict[str, dict[str, Tally]]:
    """The tallies of ``last`` and of the tasks. Days of which rows may have landed untallied get none."""
    tallies = {day: dict(parts) for day, parts in last.tallies.items()}
    for summary in summaries:
        for day, parts in summary.tallies.items():
            if day in last.tallies or (day > untallied_until and day not in last.days):
                of_day = tallies.setdefault(day, {})
                of_day |= {key: of_day.get(key, Tally()).plus(part) for key, part in parts.items()}
    return dict(sorted(tallies.items())[-TALLIED_DAYS:])


def require_same_topics(last: Commit, topic_ids: dict[str, str]) -> None:
    """Raises :class:`BrokenPromise` where a topic was created anew: its records would pass for landed ones."""
    for topic, known in last.topic_ids.items():
        if topic_ids.get(topic, known) != known:
            raise BrokenPromise(
                f"topic {topic} is not the one that was landed so far: it was created anew, its offsets begin again; "
                f"python -m jobs.adopt --topic {topic} lands it from its beginning"
            )


@click.command()
@with_settings(*KAFKA_SETTINGS, "hdfs_uri", *HDFS_SETTINGS, *METASTORE_SETTINGS)
@streaming_options(INGEST, trigger=10.0, max_offsets=400_000)
def main(settings: Settings, streaming: StreamingSettings) -> None:
    """Land clicks, purchases and inventory as Parquet on HDFS.

    Runs until it is stopped (SIGTERM ends it after the batch in hand). Records that are no events go to the dead
    letters with the reason; copies of an event are dropped within the watermark.
    """

    def job(run_id: str, topic_ids: dict[str, str]) -> Job:
        files.answers(settings)
        ingest = Ingest(settings, streaming, run_id, topic_ids)
        missed = {"missed": ingest.missed}
        return Job(ingest, ingest.done, missed, ingest.require_unfenced, ingest.meanwhile, ingest.lake)

    run_query(INGEST, settings, streaming, TOPICS, Counts.__struct_fields__, job)


if __name__ == "__main__":
    run(main)

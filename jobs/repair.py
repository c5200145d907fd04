"""Sets ingest's commit log right where a start cannot: a commit file lost or damaged, files of the newest gone.

``python -m jobs.repair`` goes back to the newest commit that is whole, removes the landed files of later ones, and
notes in the log where to go on; ingest then lands those records again from Kafka. Every ingest that runs is fenced
first. Running it again, also after a crash in the middle, is safe.
"""

from dataclasses import dataclass

import click
import structlog

from clients import hdfs as files
from clients import kafka
from clients.commits import Commit
from clients.hdfs import HDFS_SETTINGS
from clients.kafka import KAFKA_SETTINGS
from contracts import paths
from contracts.command import run, with_settings
from contracts.errors import BrokenPromise
from contracts.events import BY_NAME, BY_TOPIC, STREAMS
from contracts.paths import INGEST
from contracts.settings import Settings
from jobs import audit
from jobs.compaction import exchange
from jobs.streaming.commits import Writer

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Plan:
    """The commit to go back to, why not to a later one, and the landed files that are removed."""

    target: Commit
    reasons: list[str]
    remove: list[str]


def plan(settings: Settings, writer: Writer) -> Plan:
    """What a repair would do; nothing where the log is whole. Raises :class:`BrokenPromise` where Kafka cannot help."""
    reasons: list[str] = []
    found = writer.commits()
    if (head := writer.head()) > max(found, default=0):
        reasons.append(f"commit {head} is gone")
    target = Commit()
    for sequence in sorted(found, reverse=True):
        try:
            commit = writer.read(found[sequence])
        except BrokenPromise as error:
            reasons.append(str(error).partition(";")[0])
            continue
        if lost := writer.missing(commit):
            reasons.append(f"{len(lost)} files of commit {sequence} are gone, the first {lost[0].final}")
            continue
        target = commit
        break
    if not reasons:
        return Plan(target, [], [])
    _require_in_kafka(settings, target)
    landed = _landed(settings)
    _require_uncompacted(landed, target)
    if begun := exchange.unfinished(files.client(settings)):
        raise BrokenPromise(
            f"a compaction of {begun[0].plan.hour.folder} has begun and not ended; "
            "let python -m jobs.compaction end it first"
        )
    return Plan(target, reasons, [path for path in landed if _later(path, target)])


def repair(settings: Settings, writer: Writer) -> Commit:
    """Fences every ingest, removes the files of later commits, and returns the commit to go on from."""
    writer.fence()
    planned = plan(settings, writer)  # an ingest may have gone on until now
    for path in planned.remove:
        files.remove(files.client(settings), path)
    base = planned.target.next(sequence=max(writer.head(), *writer.commits(), 0) + 1)
    writer.append(base)
    writer.clean()
    return base


def _later(path: str, target: Commit) -> bool:
    """Whether a landed file belongs to a commit after ``target``."""
    stream, _, name = path.removeprefix(f"{paths.DATA}/").partition("/")
    landed = paths.landed_batch(name)
    if landed is None:
        return False
    if landed.commit is not None:
        return landed.commit > target.sequence
    state = target.partitions.get(f"{BY_NAME[stream].topic}/{landed.partition}")
    return state is None or landed.first >= state.end


def _landed(settings: Settings) -> list[str]:
    return [path for stream in STREAMS for path in audit.parquet_files(settings, paths.stream_folder(stream.name))]


def _require_uncompacted(landed: list[str], target: Commit) -> None:
    for path in landed:
        made_of = paths.compacted(path)
        if made_of and made_of.last > target.sequence:
            raise BrokenPromise(
                f"going back to commit {target.sequence} would land rows again that {path} holds, which was compacted "
                f"from files of commits up to {made_of.last}; restore the commit files of {paths.COMMITS}/{INGEST} "
                "instead"
            )


def _require_in_kafka(settings: Settings, target: Commit) -> None:
    for place, (first, _) in kafka.ranges(settings, list(BY_TOPIC)).items():
        state = target.partitions.get(place)
        if first > (state.end if state else 0):
            raise BrokenPromise(
                f"going back to commit {target.sequence} needs the records of {place} from {state.end if state else 0} "
                f"on, and Kafka has none before {first}; restore the commit files of {paths.COMMITS}/{INGEST} instead"
            )


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what is wrong and what would be done; do nothing.")
@with_settings(*KAFKA_SETTINGS, *HDFS_SETTINGS)
def main(settings: Settings, dry_run: bool) -> None:
    """Set ingest's commit log right after a commit file or landed files were lost; the rows come again from Kafka."""
    files.answers(settings)
    writer = Writer(files.client(settings), INGEST)
    planned = plan(settings, writer)
    if not planned.reasons:
        click.echo(f"nothing to repair: commit {planned.target.sequence} and all its files are there")
        return
    for reason in planned.reasons:
        click.echo(reason)
    click.echo(
        f"back to commit {planned.target.sequence}; {len(planned.remove)} landed files of later ones are removed"
    )
    if dry_run:
        click.echo("nothing was changed (--dry-run)")
        return
    base = repair(settings, writer)
    click.echo(f"ingest goes on from commit {base.sequence} and lands the rest again from Kafka")


if __name__ == "__main__":
    run(main)

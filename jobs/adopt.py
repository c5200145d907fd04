"""Goes on with a topic that was created anew or cut: its offsets begin again, while what was landed and counted stays.

``python -m jobs.adopt --topic ecommerce-clicks`` tells both layers. Ingest lands the topic from where it begins now,
next to the old rows. The speed layer goes on from the values that it has: its cells' versions are from now on above the
old ones. A running ingest is fenced; stop the speed job before, and start both afterwards. Safe to run again.
"""

from dataclasses import dataclass

import click
import msgspec

from clients import hbase, kafka
from clients import hdfs as files
from clients.commits import Adoption, Commit, CommitLog, PartitionState
from clients.hbase import HBASE_SETTINGS
from clients.hdfs import HDFS_SETTINGS
from clients.kafka import KAFKA_SETTINGS
from contracts import hbase as tables
from contracts.command import run, with_settings
from contracts.events import BY_TOPIC
from contracts.hbase import Progress
from contracts.paths import INGEST
from contracts.settings import Settings
from jobs import audit
from jobs.streaming.commits import Writer


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as Kafka has it now: its id, and where each partition (``topic/number``) ends."""

    name: str
    id: str
    ends: dict[str, int]

    def begin(self, place: str, known_id: str, end: int) -> int:
        """Where to go on in a partition of which ``end`` was done in the topic of ``known_id``."""
        return 0 if known_id not in ("", self.id) else min(end, self.ends.get(place, 0))


def landed(commit: Commit, topic: Topic) -> dict[str, PartitionState]:
    """The states that change in ingest's log."""
    known = commit.topic_ids.get(topic.name, "")
    changed = {}
    for place, state in commit.partitions.items():
        begin = topic.begin(place, known, state.end)
        if place.rpartition("/")[0] == topic.name and begin != state.end:
            changed[place] = PartitionState() if begin == 0 else msgspec.structs.replace(state, end=begin)
    return changed


def counted(progress: dict[str, Progress], topic: Topic) -> dict[str, Progress]:
    """The progress that changes in HBase: the version stays, the offset that it stands for begins again."""
    changed = {}
    for place, stands in progress.items():
        begin = topic.begin(place, stands.topic_id, stands.end)
        if place.rpartition("/")[0] == topic.name and (begin != stands.end or stands.topic_id != topic.id):
            newest = None if begin == 0 else stands.newest_ms
            changed[place] = msgspec.structs.replace(
                stands, end=begin, newest_ms=newest, topic_id=topic.id, base=stands.version - begin
            )
    return changed


def adopt_landed(settings: Settings, topic: Topic) -> None:
    """Fences every ingest and commits the changed states."""
    writer = Writer(files.client(settings), INGEST)
    writer.append(adopted(writer.start(), topic))


def adopted(last: Commit, topic: Topic) -> Commit:
    """The commit that follows ``last`` with the changed states, and what ``jobs.rebuild`` has to know of them."""
    changed, sequence = landed(last, topic), last.sequence + 1
    begun_again = [
        Adoption(place, sequence, last.partitions[place].end, state.end, state.newest_ms)
        for place, state in sorted(changed.items())
    ]
    return last.next(
        topic_ids={**last.topic_ids, topic.name: topic.id},
        partitions={**last.partitions, **changed},
        adoptions=[*last.adoptions, *begun_again],
    )


def adopt_counted(settings: Settings, changed: dict[str, Progress]) -> None:
    """Writes progress in the place of the one that is there: the same cell, the same version."""
    with hbase.connection(settings) as connection:
        table = connection.table(tables.SPEED_PROGRESS.name)
        for place, progress in changed.items():
            topic, _, number = place.rpartition("/")
            cell = {tables.partition_column(tables.VALUE_FAMILY, int(number)): msgspec.json.encode(progress)}
            table.put(topic.encode(), cell, timestamp=progress.version)


@click.command()
@click.option("--topic", "name", type=click.Choice(list(BY_TOPIC)), required=True)
@click.option("--dry-run", is_flag=True, help="Say what would change; change nothing.")
@with_settings(*KAFKA_SETTINGS, *HDFS_SETTINGS, *HBASE_SETTINGS)
def main(settings: Settings, name: str, dry_run: bool) -> None:
    """Go on with a topic that was created anew or cut; old rows, profiles and stock are kept."""
    ends = {place: end for place, (_, end) in kafka.ranges(settings, [name]).items()}
    topic = Topic(name, kafka.topic_ids(settings, [name])[name], ends)
    commit = CommitLog(files.connect(settings), INGEST).newest()
    states, progress = landed(commit, topic), counted(audit.speed_progress(settings), topic)
    for place in sorted(states.keys() | progress.keys()):
        click.echo(f"{place} goes on at offset {(states.get(place) or progress[place]).end}")
    if not states and not progress:
        click.echo(f"nothing to do: {name} is the topic that was landed and counted")
    elif dry_run:
        click.echo("nothing was changed (--dry-run)")
    else:
        adopt_landed(settings, topic)
        adopt_counted(settings, progress)
        click.echo("start ingest and speed again")


if __name__ == "__main__":
    run(main)

"""A damaged commit log is set right: back to the newest whole commit, no row of a later one, and ingest goes on."""

import json
from collections.abc import Callable

import pytest

from clients import hdfs as files
from clients import kafka
from clients.commits import Commit, LandedFile, PartitionState
from contracts import paths
from contracts.errors import BrokenPromise
from contracts.events import CLICKS
from contracts.paths import INGEST, LandedBatch
from contracts.settings import Settings
from jobs.repair import plan, repair
from jobs.streaming.commits import Writer
from tests.support.fake_hdfs import FakeHdfs

PLACE = f"{CLICKS.topic}/0"
FOLDER = f"{paths.stream_folder(CLICKS.name)}/date=2026-11-25/hour=10"
BATCH = 10
"""Records of a commit, two files of which each holds the half."""


@pytest.fixture
def hdfs(monkeypatch: pytest.MonkeyPatch) -> FakeHdfs:
    fake = FakeHdfs()
    monkeypatch.setattr(files, "client", lambda _: fake)
    monkeypatch.setattr(kafka, "ranges", lambda *_: {PLACE: (0, 1000)})
    return fake


def land(hdfs: FakeHdfs, commits: int) -> Writer:
    """An ingest that has landed so many commits."""
    writer = Writer(hdfs, INGEST)
    last = writer.start()
    for _ in range(commits):
        begin = last.partitions.get(PLACE, PartitionState()).end
        sequence = last.sequence + 1
        staging, landed = writer.staging_folder(sequence), []
        for hour in (10, 11):
            name = paths.landed_file(LandedBatch(0, begin, begin + BATCH - 1, sequence))
            folder = FOLDER.replace("hour=10", f"hour={hour}")
            landed.append(LandedFile(f"{staging}/{hour}", f"{folder}/{name}", BATCH // 2))
            hdfs.write(landed[-1].staged, json.dumps(begin).encode())
        state = {PLACE: PartitionState(begin + BATCH)}
        last = Commit(sequence, {}, landed, state, {}, staging)
        writer.append(last)
        assert writer.publish(last) == []
    return writer


def landed(hdfs: FakeHdfs) -> list[int]:
    """The first offset of each landed file."""
    return sorted(int(data) for path, data in hdfs.files.items() if path.startswith(paths.stream_folder(CLICKS.name)))


def lose_commit(hdfs: FakeHdfs, writer: Writer) -> None:
    del hdfs.files[writer.commits()[max(writer.commits())]]


def truncate_commit(hdfs: FakeHdfs, writer: Writer) -> None:
    path = writer.commits()[max(writer.commits())]
    hdfs.files[path] = hdfs.files[path][:30]


def lose_landed_file(hdfs: FakeHdfs, writer: Writer) -> None:
    del hdfs.files[writer.newest().files[0].final]


DAMAGES = [lose_commit, truncate_commit, lose_landed_file]


def test_a_whole_log_needs_no_repair(hdfs: FakeHdfs) -> None:
    assert plan(Settings(), land(hdfs, 3)).reasons == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_dry_run_tells_and_changes_nothing(hdfs: FakeHdfs, damage: Callable[[FakeHdfs, Writer], None]) -> None:
    writer = land(hdfs, 3)
    damage(hdfs, writer)
    before = dict(hdfs.files)
    planned = plan(Settings(), writer)
    assert len(planned.reasons) == 1
    assert planned.target.partitions[PLACE].end == 2 * BATCH
    assert hdfs.files == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_repair_goes_back_and_ingest_goes_on(hdfs: FakeHdfs, damage: Callable[[FakeHdfs, Writer], None]) -> None:
    writer = land(hdfs, 3)
    damage(hdfs, writer)
    with pytest.raises(BrokenPromise, match=r"jobs\.repair"):
        Writer(hdfs, INGEST).start()
    repair(Settings(), Writer(hdfs, INGEST))
    assert landed(hdfs) == [0, 0, BATCH, BATCH]
    assert plan(Settings(), Writer(hdfs, INGEST)).reasons == []
    land(hdfs, 1)
    assert landed(hdfs) == [0, 0, BATCH, BATCH, 2 * BATCH, 2 * BATCH]


def test_what_kafka_no_longer_has_is_not_taken_back(hdfs: FakeHdfs, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = land(hdfs, 3)
    lose_commit(hdfs, writer)
    monkeypatch.setattr(kafka, "ranges", lambda *_: {PLACE: (25, 1000)})
    with pytest.raises(BrokenPromise, match="Kafka has none before 25; restore the commit files"):
        plan(Settings(), writer)
    assert len(landed(hdfs)) == 6

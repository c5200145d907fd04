"""A task of the ingest job on a NameNode in memory: what is staged where, what is counted, what is carried over."""

import io
import tempfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients import hdfs as files
from clients import kafka
from clients.commits import Commit, Counts, PartitionState, Tally, tally_key
from contracts.events import BY_TOPIC, CLICKS, INVENTORY, MAX_EVENT_BYTES, PURCHASES, epoch_ms
from contracts.hive import RAW
from contracts.settings import Settings
from jobs.streaming import ingest
from jobs.streaming.landing import Landing, Summary
from tests.support import samples
from tests.support.fake_hdfs import FakeHdfs
from tests.support.judging import records

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
DELAY = timedelta(minutes=10)
MINUTE = timedelta(minutes=1)
Letter = tuple[str, bytes | None, dict[str, Any]]


def click(moment: datetime = NOON, **changes: Any) -> bytes:
    return samples.encode(samples.click(event_time=moment, **changes))


class Job:
    """Runs tasks one after the other, as the ingest job does: what one staged is published before the next."""

    def __init__(self, topic: str = CLICKS.topic, number: int = 1) -> None:
        self.hdfs = FakeHdfs()
        self.letters: list[Letter] = []
        self.run = "run"
        self.states: dict[str, PartitionState] = {}
        self._topic, self._number = topic, number

    @property
    def state(self) -> PartitionState:
        return self.states[f"{self._topic}/{self._number}"]

    def batch(self, first: int, *parts: Iterable[bytes | None]) -> Summary:
        """Lands records with offsets from ``first`` on, given to the task in so many parts."""
        landing = Landing(Settings(), DELAY, self.run, 7, "/staging", self.states)
        [summary] = self.summaries(landing, list(self._batches(first, parts)))
        for file in summary.files:
            files.make_folder(self.hdfs, file.final.rpartition("/")[0])
            files.move(self.hdfs, file.staged, file.final)
        self.states = {**self.states, summary.partition: summary.state}
        return summary

    @staticmethod
    def summaries(landing: Landing, batches: list[pa.RecordBatch]) -> list[Summary]:
        found = [row for batch in landing(batches) for row in batch["summary"].to_pylist()]
        return [msgspec.json.decode(row, type=Summary) for row in found]

    def _batches(self, first: int, parts: Iterable[Iterable[bytes | None]]) -> Iterable[pa.RecordBatch]:
        for part in parts:
            values = list(part)
            yield of_partition(records(values, NOON, first), self._topic, self._number)
            first += len(values)

    def rows(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = pq.read_table(io.BytesIO(self.hdfs.files[path]), partitioning=None).to_pylist()
        return found


def of_partition(batch: pa.RecordBatch, topic: str, number: int) -> pa.RecordBatch:
    columns = {
        "topic": pa.array([topic] * batch.num_rows),
        "partition": pa.array([number] * batch.num_rows, pa.int32()),
    }
    return pa.record_batch([*columns.values(), *batch.columns], names=[*columns, *batch.schema.names])


def on_fakes(monkeypatch: pytest.MonkeyPatch, folder: Any, *arguments: Any) -> Job:
    """A job whose HDFS, dead letters and local disk (``folder``) are the test's own."""
    job = Job(*arguments)

    class Sender:
        def __init__(self, settings: Settings, topic: str, **options: Any) -> None:
            pass

        def send(self, *letter: Any) -> None:
            job.letters.append(letter)

        def close(self) -> None:
            pass

    monkeypatch.setattr(files, "client", lambda settings: job.hdfs)
    monkeypatch.setattr(kafka, "Sender", Sender)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return job


@pytest.fixture
def make_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Job]:
    return partial(on_fakes, monkeypatch, tmp_path)


@pytest.fixture
def job(make_job: Callable[..., Job]) -> Job:
    return make_job()


def test_rows_are_staged_by_the_hour_of_their_event(job: Job) -> None:
    before = NOON - timedelta(milliseconds=1)
    summary = job.batch(40, [click(), click(before), click()])
    folder = "/data/ecommerce/clicks/date=2026-11-25"
    assert [(file.final, file.rows) for file in summary.files] == [
        (f"{folder}/hour=11/part-00001-40-42-7.parquet", 1),
        (f"{folder}/hour=12/part-00001-40-42-7.parquet", 2),
    ]
    [row] = job.rows(summary.files[0].final)
    assert (row["event_time"].replace(tzinfo=UTC), row["kafka_partition"], row["kafka_offset"]) == (before, 1, 41)
    assert list(row) == [column.name for column in RAW["clicks"].columns]
    assert summary.counts == Counts(landed=3)
    assert (summary.state.end, summary.state.newest_ms) == (43, epoch_ms(NOON))


def test_a_file_is_sorted_by_time_and_says_which_times_it_holds(job: Job) -> None:
    times = [NOON + timedelta(seconds=second) for second in (5, 0, 9)]
    summary = job.batch(0, [click(time) for time in times])
    [file] = summary.files
    assert [row["event_time"] for row in job.rows(file.final)] == sorted(times)
    metadata = pq.read_metadata(io.BytesIO(job.hdfs.files[file.final])).row_group(0)
    [column] = [c for c in map(metadata.column, range(metadata.num_columns)) if c.path_in_schema == "event_time"]
    assert (column.statistics.min, column.statistics.max) == (times[1], times[2])
    assert (column.physical_type, column.compression) == ("INT64", "ZSTD")


LARGEST = 2**53


@given(st.data())
def test_tallies_are_what_is_in_the_files(data: st.DataObject) -> None:
    """Of any records, days and copies."""
    topic = data.draw(st.sampled_from([CLICKS.topic, PURCHASES.topic, INVENTORY.topic]))
    price = st.just("9999999999.99")
    fields: dict[str, dict[str, st.SearchStrategy[Any]]] = {
        CLICKS.topic: {"page": st.sampled_from(["home", "cart", "search"])},
        PURCHASES.topic: {"unit_price": price, "total": price, "quantity": st.just(1)},
        INVENTORY.topic: {
            "change": st.sampled_from([-LARGEST, 3, LARGEST]),
            "stock_level": st.just(LARGEST),
            "reason": st.sampled_from(["sale", "restock"]),
        },
    }
    times = st.sampled_from([NOON, NOON - timedelta(hours=12), NOON - timedelta(hours=12, milliseconds=1)])
    drawn = data.draw(st.lists(st.fixed_dictionaries({"event_time": times, **fields[topic]}), min_size=2, max_size=40))
    make = samples.BY_STREAM[BY_TOPIC[topic]]
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        job = on_fakes(patch, folder, topic)
        values = [samples.encode(make(**one)) for one in drawn]
        half = len(values) // 2
        summaries = [job.batch(0, values[:half], values[:1]), job.batch(half + 1, values[half:])]
        rows = [row for path in job.hdfs.files for row in job.rows(path)]
    stream = BY_TOPIC[topic]
    found: dict[str, dict[str, Tally]] = {}
    for row in rows:
        of_day = found.setdefault(f"{row['event_time']:%Y-%m-%d}", {})
        key = tally_key(stream.name, row[stream.kind] if stream.kind else None)
        amount = Decimal(row[stream.amount]) if stream.amount else Decimal(0)
        of_day[key] = of_day.get(key, Tally()).plus(Tally(1, amount))
    assert len(rows) == len(drawn)
    assert ingest.added(Commit(), "", summaries) == found


def test_a_tally_of_the_largest_changes_is_beyond_64_bits(make_job: Callable[..., Job]) -> None:
    change = {"change": LARGEST, "stock_level": LARGEST, "event_time": NOON}
    summary = make_job(INVENTORY.topic).batch(0, [samples.encode(samples.stock_change(**change)) for _ in range(1100)])
    assert summary.tallies == {"2026-11-25": {"inventory/sale": Tally(1100, Decimal(1100 * LARGEST))}}


def test_days_that_may_have_rows_of_before_there_were_tallies_get_none() -> None:
    """Version 0.1.0 noted no days; a late row of an older day, which it had rows of, comes after the first commit."""
    part = {"clicks/home": Tally(2)}

    def landed(*days: str) -> Summary:
        return Summary(f"{CLICKS.topic}/0", PartitionState(), [], Counts(), dict.fromkeys(days, part))

    last = Commit(1, partitions={f"{CLICKS.topic}/1": PartitionState(9, epoch_ms(NOON))})
    first = ingest.next_commit(last, [landed("2026-11-25", "2026-11-26")], "")
    assert first.tallies == {"2026-11-26": part}
    second = ingest.next_commit(first, [landed("2026-11-24", "2026-11-25", "2026-11-26", "2026-11-27")], "")
    assert second.tallies == {"2026-11-26": {"clicks/home": Tally(4)}, "2026-11-27": part}


def test_a_commit_has_the_tallies_of_the_newest_days() -> None:
    days = [f"{NOON.date() + timedelta(days=number)}" for number in range(ingest.TALLIED_DAYS + 3)]
    summary = Summary(
        f"{CLICKS.topic}/0", PartitionState(), [], Counts(), {day: {"clicks/home": Tally(1)} for day in days}
    )
    assert list(ingest.added(Commit(), "", [summary])) == days[3:]


def test_what_is_staged_is_not_yet_where_readers_look(job: Job) -> None:
    landing = Landing(Settings(), DELAY, job.run, 7, "/staging/7", {})
    [summary] = job.summaries(landing, [of_partition(records([click()], NOON), CLICKS.topic, 0)])
    assert list(job.hdfs.files) == [summary.files[0].staged]
    assert summary.files[0].staged.startswith("/staging/7/")


def test_another_stream_lands_in_its_own_folder_with_its_own_columns(make_job: Callable[..., Job]) -> None:
    job = make_job(PURCHASES.topic, 0)
    summary = job.batch(0, [samples.encode(samples.purchase(event_time=NOON))])
    assert summary.files[0].final == "/data/ecommerce/purchases/date=2026-11-25/hour=12/part-00000-0-0-7.parquet"
    assert list(job.rows(summary.files[0].final)[0]) == [column.name for column in RAW["purchases"].columns]


def test_copies_are_dropped_within_a_batch_and_across_batches(job: Job) -> None:
    one, two, three = click(), click(), click()
    assert job.batch(0, [one, one], [two, one]).counts == Counts(landed=2, duplicates=2)
    assert job.batch(4, [two, three, one]).counts == Counts(landed=1, duplicates=2)


def test_copies_are_dropped_after_a_restart_which_reads_the_window_from_the_files(job: Job) -> None:
    one, two = click(), click()
    job.batch(0, [one])
    job.batch(1, [two])
    job.run = "another"
    assert job.batch(2, [one, two, click()]).counts == Counts(landed=1, duplicates=2)


def test_a_copy_from_before_the_window_is_not_told(job: Job) -> None:
    """As promised: within the delay. Its file is no longer needed either."""
    old = click(NOON - timedelta(hours=1))
    first = job.batch(0, [old])
    job.batch(1, [click()])
    assert first.files[0].final not in job.state.window_files
    assert job.state.window == 1
    assert job.batch(2, [old]).counts == Counts(landed=1, late=1)


def test_late_events_land_and_are_counted_whatever_the_batches(job: Job) -> None:
    late, on_time = click(NOON - 11 * MINUTE), click(NOON - 9 * MINUTE)
    assert job.batch(0, [click(), on_time]).counts == Counts(landed=2)
    assert job.batch(2, [late, late, click(NOON - 10 * MINUTE)]).counts == Counts(landed=2, late=1, duplicates=1)
    assert job.batch(5, [late]).counts == Counts(duplicates=1), "a copy of a late event is a copy"


def test_records_of_before_are_skipped_in_a_replay(job: Job) -> None:
    values = [click(), click(), click()]
    job.batch(0, values[:2])
    before = job.state
    replayed = job.batch(0, values[:2])
    assert (replayed.files, replayed.counts, replayed.state) == ([], Counts(), before)
    again = job.batch(0, values)
    assert (again.counts, again.state.end) == (Counts(landed=1), 3)
    assert again.files[0].final.endswith("part-00001-2-2-7.parquet")


def test_rejected_records_become_dead_letters_with_their_origin(job: Job) -> None:
    large = click().ljust(MAX_EVENT_BYTES + 1)
    summary = job.batch(7, [b"\xff", click(), None, large])
    assert summary.counts == Counts(landed=1, dead_letters=3)
    assert summary.state.end == 11
    assert [(key, value) for key, value, _ in job.letters] == [
        ("ecommerce-clicks/1/7", b"\xff"),
        ("ecommerce-clicks/1/9", None),
        ("ecommerce-clicks/1/10", large),
    ]
    headers = job.letters[1][2]
    assert (headers["topic"], headers["partition"], headers["offset"]) == ("ecommerce-clicks", "1", "9")
    assert b"no value" in headers["reason"]


def test_a_batch_of_dead_letters_alone_moves_on_and_stages_nothing(job: Job) -> None:
    job.batch(0, [click()])
    before = job.state
    summary = job.batch(1, [b"", b""])
    assert (summary.files, summary.state.end, summary.state.newest_ms) == ([], 3, before.newest_ms)
    assert summary.state.window_files == before.window_files


def test_no_records_change_nothing(job: Job) -> None:
    assert list(Landing(Settings(), DELAY, "run", 7, "/staging", {})([])) == []


def test_partitions_in_one_task_are_told_apart(job: Job) -> None:
    copy = click()
    parts = [of_partition(records([copy], NOON), CLICKS.topic, number) for number in (0, 1)]
    mixed = pa.Table.from_batches(parts).combine_chunks().to_batches()
    summaries = job.summaries(Landing(Settings(), DELAY, job.run, 7, "/staging", {}), mixed)
    assert [summary.partition for summary in summaries] == ["ecommerce-clicks/0", "ecommerce-clicks/1"]
    assert [summary.counts.landed for summary in summaries] == [1, 1]

"""What becomes of a million strange records: how many are events, how many dead letters, and for which reasons.

``python -m bench.any_bytes`` reads them with the jobs' own Reader; an error that is no outcome ends it.
"""

import re
import time
from collections import Counter
from datetime import UTC, datetime

import click
import pyarrow as pa

from bench.measure import report
from contracts.command import run
from contracts.errors import BrokenPromise
from contracts.events import STREAMS, WATERMARK, Stream
from generator import strange
from jobs.streaming.records import Reader, Rejected

BATCH = 10_000


def read(stream: Stream, values: list[bytes | None], now: datetime) -> list[str]:
    """The outcome of each record: ``event``, or the reason without what it quotes."""
    columns = {
        "offset": pa.array(range(len(values)), pa.int64()),
        "timestamp": pa.array([now] * len(values), pa.timestamp("us", tz="UTC")),
        "key": pa.nulls(len(values), pa.binary()),
        "value": pa.array(values, pa.binary()),
    }
    records = pa.record_batch(list(columns.values()), names=list(columns))
    outcomes = Reader(stream.topic, None, WATERMARK).read(records)
    return [shape(found.reason) if isinstance(found, Rejected) else "event" for found in outcomes]


def shape(reason: str) -> str:
    """A reason in a few words: without values and numbers."""
    return re.sub(r"'[^']*'|\d[\d.,:T+Z-]*|\$\.\S+|\(.*", "…", reason)[:60].strip(" .…-")


@click.command()
@click.option("--records", default=1_000_000, show_default=True, help="How many, over all streams.")
@click.option("--seed", default=1, show_default=True)
def main(records: int, seed: int) -> None:
    """Read strange records with the jobs' own Reader and count the outcomes."""
    now, found, seconds = datetime.now(UTC), Counter[str](), 0.0
    for number in range(records // BATCH):
        stream = STREAMS[number % len(STREAMS)]
        values = strange.records(seed * 1_000_000 + number, stream, BATCH, now)
        began = time.perf_counter()
        outcomes = read(stream, values, now)
        seconds += time.perf_counter() - began
        if len(outcomes) != len(values):
            raise BrokenPromise(f"{len(values)} records have {len(outcomes)} outcomes")
        found.update(outcomes)
    figures: dict[str, object] = {
        "records": sum(found.values()),
        "ratio_of_events": round(found["event"] / max(1, sum(found.values())), 3),
        "reader_us_per_record": round(seconds / max(1, sum(found.values())) * 1e6, 2),
    }
    report("any-bytes", figures | {f"  {name}": count for name, count in found.most_common(25)})


if __name__ == "__main__":
    run(main)

"""How long an event takes from its append in Kafka to its row in the answer of a SQL query, under steady load.

``python -m bench.freshness`` runs all servers and ingest, lets the generator play live at a rate, and asks the SQL
endpoint again and again up to which offset of each partition of the clicks it finds rows; nobody repairs or refreshes.
What has been read in a query's answer is as old, at its end, as the record's append time in Kafka says. Printed beside
it is the time of the query itself, and how old the newest landed rows are for a reader of the commit log.
"""

import subprocess
import time
from datetime import UTC, datetime
from typing import Any

import click
import numpy as np

from bench.measure import fresh_stack, report
from clients import kafka
from clients.sql import connect
from contracts import paths
from contracts.command import run
from contracts.errors import NotReady
from contracts.events import CLICKS
from contracts.hive import RAW
from contracts.settings import Settings
from contracts.topics import TOPICS
from jobs import audit
from local.jobs import start

CLICKS_PARTITIONS = next(topic.partitions for topic in TOPICS if topic.name == CLICKS.topic)
Seen = list[tuple[float, dict[int, int]]]
"""When an answer was there (seconds since 1970), and the offset up to which each partition was found until then."""


def watch(settings: Settings, seconds: float) -> tuple[Seen, Seen, list[float]]:
    """What SQL shows, what the commit log says is landed, and the seconds of each query."""
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    query = (
        f"SELECT kafka_partition, MAX(kafka_offset) FROM {RAW[CLICKS.name].qualified} "  # noqa: S608
        f"WHERE `date` >= '{today}' GROUP BY kafka_partition"
    )
    shown: Seen = []
    landed: Seen = []
    queries: list[float] = []
    with connect(settings) as sql:
        ends_at = time.time() + seconds
        while time.time() < ends_at:
            asked = time.time()
            found = dict(sql.rows(query))
            shown.append((time.time(), found))
            queries.append(time.time() - asked)
            landed.append((time.time(), _landed(settings)))
    return shown, landed, queries


def _landed(settings: Settings) -> dict[int, int]:
    places = [f"{CLICKS.topic}/{number}" for number in range(CLICKS_PARTITIONS)]
    offsets = audit.ingest_offsets(settings)
    return {number: offsets.get(place, 0) - 1 for number, place in enumerate(places)}


def appended(settings: Settings) -> dict[int, np.ndarray[Any, Any]]:
    """The append time (seconds since 1970) of each offset of each partition of the clicks, from 0 on."""
    places = kafka.ranges(settings, [CLICKS.topic])
    times = {int(place.rpartition("/")[2]): np.zeros(end) for place, (_, end) in places.items()}
    for record in kafka.read(settings, dict.fromkeys(places, 0)):
        if record.offset < len(times[record.partition]):
            times[record.partition][record.offset] = record.timestamp / 1000
    return times


def ages(seen: Seen, times: dict[int, np.ndarray[Any, Any]], since: float) -> np.ndarray[Any, Any]:
    """For each record appended after ``since`` that was seen: the seconds until it was first seen."""
    found = [np.empty(0)]
    known = dict.fromkeys(times, -1)
    for at, offsets in seen:
        for partition, last in offsets.items():
            fresh = times[partition][known[partition] + 1 : last + 1]
            found.append(at - fresh[fresh >= since])
            known[partition] = max(known[partition], last)
    return np.concatenate(found)


@click.command()
@click.option("--rate", default=2000, show_default=True, help="Events a second.")
@click.option("--warm-up", default=60, show_default=True, help="Seconds before the measurement.")
@click.option("--seconds", default=120, show_default=True, help="Seconds measured.")
def main(rate: int, warm_up: int, seconds: int) -> None:
    """Measure how long an event takes from Kafka to the answer of a SQL query."""
    with fresh_stack() as stack:
        settings = stack.settings()
        stack.up(only={paths.INGEST})
        generator = start(stack.site, "generator", "--rate", str(rate), stderr=subprocess.DEVNULL)
        try:
            time.sleep(warm_up)
            since = time.time()
            shown, landed, queries = watch(settings, seconds)
        finally:
            generator.terminate()
            generator.wait(60)
        times = appended(settings)
    in_sql, in_log = ages(shown, times, since), ages(landed, times, since)
    if not len(in_sql):
        raise NotReady(f"SQL showed no row of the load in {seconds} s")
    p50, p95, p99 = (round(float(value), 1) for value in np.percentile(in_sql, [50, 95, 99]))
    committed = float(np.percentile(in_log, 95))
    report(
        "freshness",
        {
            "events_per_second": rate,
            "clicks_seen": len(in_sql),
            "append_to_sql_p50_seconds": p50,
            "append_to_sql_p95_seconds": p95,
            "append_to_sql_p99_seconds": p99,
            "append_to_commit_p95_seconds": round(committed, 1),
            "query_p50_seconds": round(float(np.median(queries)), 2),
            "ratio_p95_sql_to_commit": round(p95 / committed, 2),
        },
    )


if __name__ == "__main__":
    run(main)

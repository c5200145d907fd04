"""How fast ingest drains a backlog of clicks, beside Spark's own file sink on the same records in the same run.

``python -m bench.ingest`` plays a shop day into Kafka, then drains it in turn with ``bench.spark_file_sink`` and with
``jobs.streaming.ingest``, again and again, same Spark, same cores, same records a batch. Rates are records over the
seconds from the start of the query to its end, the median of the rounds; memory is the driver's process with all that
it starts.
"""

import json
import subprocess
from datetime import datetime
from statistics import median
from typing import Any

import click

from bench.measure import Memory, fresh_stack, report
from clients import hdfs as files
from contracts import paths
from contracts.command import run
from contracts.errors import BrokenPromise, Failed
from jobs import audit
from local.jobs import start
from local.stack import Stack

MAX_OFFSETS = "400000"


def drain(stack: Stack, *command: str) -> dict[str, float]:
    """Runs a job to its end: seconds between its log lines ``started`` and ``stopped``, and peak bytes."""
    job = (*command, "--max-offsets", MAX_OFFSETS)
    process = start(stack.site, *job, driver_memory="1g", long_running=True, stderr=subprocess.PIPE, text=True)
    memory = Memory(process.pid)
    times: dict[str, datetime] = {}
    assert process.stderr
    for line in process.stderr:
        if line.startswith("{"):
            entry: dict[str, Any] = json.loads(line)
            times.setdefault(entry["event"], datetime.fromisoformat(entry["timestamp"]))
    if process.wait():
        raise Failed(f"{command[0]} ended with exit code {process.returncode}")
    seconds = (times["stopped"] - times["started"]).total_seconds()
    return {"seconds": seconds, "bytes": memory.stop()}


def play(events: int) -> list[str]:
    """The generator's module and arguments: a day of about so many events, all of them well-formed."""
    return ["generator", "--events", str(events), "--malformed-share", "0"]


def fill(stack: Stack, events: int) -> None:
    if code := start(stack.site, *play(events), stderr=subprocess.DEVNULL).wait():
        raise Failed(f"the generator ended with exit code {code}")


@click.command()
@click.option("--events", default=2_200_000, show_default=True, help="Events of the day; nine in ten are clicks.")
@click.option("--rounds", default=2, show_default=True, help="Rounds of both, in turn.")
def main(events: int, rounds: int) -> None:
    """Measure ingest's rate against Spark's own file sink."""
    with fresh_stack({"kafka", "hdfs-datanode"}) as stack:
        fill(stack, events)
        settings = stack.settings()
        offsets = audit.end_offsets(settings)
        clicks = sum(end for place, end in offsets.items() if place.startswith("ecommerce-clicks"))
        rates: dict[str, list[float]] = {"sink": [], "ingest": []}
        memory = 0.0
        for number in range(rounds):
            sink = drain(stack, "bench.spark_file_sink", "--folder", f"/bench/{number}")
            rates["sink"].append(clicks / sink["seconds"])
            _forget(stack)
            mine = drain(stack, "jobs.streaming.ingest", "--available-now")
            rates["ingest"].append(sum(offsets.values()) / mine["seconds"])
            memory = max(memory, mine["bytes"])
            landed = audit.landed(settings, "clicks")
            if landed.rows != landed.distinct:
                raise BrokenPromise(f"{landed.rows} rows for {landed.distinct} clicks")
        ratios = [ours / theirs for ours, theirs in zip(rates["ingest"], rates["sink"], strict=True)]
        report(
            "ingest",
            {
                "clicks": clicks,
                "records": sum(offsets.values()),
                "spark_file_sink_records_per_second": round(median(rates["sink"])),
                "ingest_records_per_second": round(median(rates["ingest"])),
                "ratio": round(median(ratios), 2),
                "ingest_peak_mib": round(memory / 2**20),
                "runs": rates,
            },
        )


def _forget(stack: Stack) -> None:
    """Lets ingest begin anew."""
    hdfs = files.client(stack.settings())
    for folder in (paths.COMMITS, paths.STAGING, f"{paths.CHECKPOINTS}/{paths.INGEST}"):
        files.remove(hdfs, folder)
    for stream in ("clicks", "purchases", "inventory"):
        files.remove(hdfs, paths.stream_folder(stream))


if __name__ == "__main__":
    run(main)

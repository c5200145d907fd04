"""Ingest and speed drivers started and killed at random over a load, two and three of a kind at once: what is left?

``python -m bench.kills`` lets the shop play into Kafka while drivers of both jobs are started and killed with SIGKILL,
their JVMs and Python workers too, round after round; now and then a server is killed as well and started again. In the
end one driver of each job runs alone. Reported: how many kills fell inside staging, publishing or between batches (told
from what the killed driver left on HDFS), and whether every event landed once and revenue is exact in HBase.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, Final

import click

from bench.measure import REPORTS, fresh_stack, report
from clients import hdfs as files
from contracts import paths
from contracts.command import run
from contracts.errors import BrokenPromise, Failed
from contracts.hbase import add_revenue
from jobs import audit
from local.jobs import environment
from local.site import ROOT
from local.stack import Stack

MOST: Final = 3
"""Drivers of a job at once."""
SERVERS: Final = ("hdfs-datanode", "hbase-regionserver", "hbase-thrift", "kafka")
PAUSE_SECONDS: Final = (1.0, 12.0)
DRAIN_SECONDS: Final = 600


@dataclass
class Drivers:
    """The running drivers of a job."""

    stack: Stack
    job: str
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        command = [sys.executable, "-m", f"jobs.streaming.{self.job}", "--trigger", "0", "--max-offsets", "2000"]
        with (REPORTS / f"kills-{self.job}.log").open("ab") as log:
            driver = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **environment(self.stack.site, driver_memory="512m")},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.running.append(driver)

    def kill(self, driver: subprocess.Popen[bytes]) -> None:
        with suppress(ProcessLookupError):
            os.killpg(driver.pid, signal.SIGKILL)
        driver.wait(30)
        self.running.remove(driver)

    def ended(self) -> list[int]:
        """Exit codes of drivers that ended by themselves since the last look."""
        codes = [driver.returncode for driver in self.running if driver.poll() is not None]
        self.running = [driver for driver in self.running if driver.poll() is None]
        return codes


def phase(stack: Stack) -> str:
    """What the newest ingest was in, told from what it left."""
    hdfs, settings = files.client(stack.settings()), stack.settings()
    folder = f"{paths.STAGING}/{paths.INGEST}"
    staged = [name for run in files.names(hdfs, folder) for name in files.names(hdfs, f"{folder}/{run}")]
    numbers = [int(name) for name in staged if name.isdigit()]
    if not numbers:
        return "commit" if any(name.startswith("commit-") for name in staged) else "between batches"
    return "publishing" if max(numbers) <= audit.committed(settings).sequence else "staging"


def shop(stack: Stack, ledger: Path, rate: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "generator", "--rate", str(rate), "--malformed-share", "0.01"]
    return subprocess.Popen(
        [*command, "--ledger", str(ledger)],
        cwd=ROOT,
        env={**os.environ, **environment(stack.site)},
        stderr=subprocess.DEVNULL,
    )


def play(stack: Stack, rounds: int, chance: Random) -> tuple[Counter[str], Counter[int]]:
    """Kills by phase, and the exit codes of drivers that ended by themselves."""
    drivers = [Drivers(stack, paths.INGEST), Drivers(stack, paths.SPEED)]
    kills: Counter[str] = Counter()
    codes: Counter[int] = Counter()
    try:
        for number in range(rounds):
            for kind in drivers:
                codes.update(kind.ended())
                while len(kind.running) < 1 or (len(kind.running) < MOST and chance.random() < 0.4):
                    kind.start()
            time.sleep(chance.uniform(*PAUSE_SECONDS) + 8)
            kind = chance.choice(drivers)
            if kind.running:
                kind.kill(chance.choice(kind.running))
                kills[f"{kind.job}: {phase(stack)}" if kind.job == paths.INGEST else kind.job] += 1
            if chance.random() < 0.1:
                name = chance.choice(SERVERS)
                stack.kill(name)
                stack.up({name})
                kills[name] += 1
            click.echo(f"{number + 1}/{rounds} {dict(kills)}", err=True)
    finally:
        for kind in drivers:
            for driver in list(kind.running):
                kind.kill(driver)
    return kills, codes


def drain(stack: Stack, job: str) -> None:
    """One driver alone takes what is left. Raises :class:`Failed` where it cannot."""
    done = subprocess.run(
        [sys.executable, "-m", f"jobs.streaming.{job}", "--available-now"],
        cwd=ROOT,
        env={**os.environ, **environment(stack.site)},
        capture_output=True,
        text=True,
        timeout=DRAIN_SECONDS,
    )
    if done.returncode:
        raise Failed(f"the last {job} ended with exit code {done.returncode}: {done.stderr[-1000:]}")


def wrong(stack: Stack, ledger: dict[str, Any]) -> list[str]:
    """What is not as the ledger says."""
    settings = stack.settings()
    found = []
    for name, sent in ledger["streams"].items():
        landed = audit.landed(settings, name)
        if not landed.rows == landed.distinct == sent["produced"]:
            found.append(f"{name}: {sent['produced']} sent, {landed.rows} rows, {landed.distinct} distinct")
    days = {date.fromisoformat(ledger[key][:10]) for key in ("first_event_time", "last_event_time")}
    speed = add_revenue(part for day in days for part in audit.speed_revenue(settings, day)).amount
    truth = Decimal(ledger["revenue"]["total"])
    found += [f"revenue: {truth} sold, {speed} in HBase"] if speed != truth else []
    batch = audit.batch_revenue(settings)
    return found + ([f"revenue: {truth} sold, {batch} landed"] if batch != truth else [])


@click.command()
@click.option("--rounds", default=200, show_default=True, help="Kills, of drivers and now and then of servers.")
@click.option("--rate", default=1500, show_default=True, help="Events/s of the shop meanwhile.")
@click.option("--seed", default=1, show_default=True)
def main(rounds: int, rate: int, seed: int) -> None:
    """Kill drivers and servers at random under load, then count."""
    with fresh_stack() as stack:
        ledger = REPORTS / "kills-ledger.json"
        selling = shop(stack, ledger, rate)
        try:
            kills, codes = play(stack, rounds, Random(seed))
        finally:
            selling.terminate()
            selling.wait(120)
        for job in (paths.INGEST, paths.SPEED):
            drain(stack, job)
        sent = json.loads(ledger.read_text())
        problems = wrong(stack, sent)
        events = sum(stream["produced"] for stream in sent["streams"].values())
        inside = sum(count for name, count in kills.items() if name.startswith("ingest: ") and "between" not in name)
        of_ingest = sum(count for name, count in kills.items() if name.startswith("ingest: "))
        report(
            "kills",
            {
                "rounds": rounds,
                "events": events,
                **{f"kills {name}": count for name, count in sorted(kills.items())},
                "ratio_of_ingest_kills_inside_a_batch": round(inside / max(1, of_ingest), 2),
                **{f"drivers that ended with {code}": count for code, count in sorted(codes.items())},
                "problems": len(problems),
            },
        )
        if problems:
            raise BrokenPromise("; ".join(problems))


if __name__ == "__main__":
    run(main)

"""Ingest and speed drivers started and killed at random over a load, two and three of a kind at once: what is left?

``python -m bench.kills`` lets the shop play into Kafka while drivers of both jobs are started and killed with SIGKILL,
their JVMs and Python workers too, round after round; now and then a server is killed as well and started again. In the
end one driver of each job runs alone. Reported: how many kills fell where (``OUTSIDE`` and ``INSIDE`` a batch), and
whether every event landed once and revenue is exact in HBase.

Where a kill fell is told from what the driver left: its log, the checkpoint and the staging folder of its run, the
versions of HBase's cells. What cannot be told: the marks of purchases seen, which a batch writes to HBase first, have
no versions, so that a kill among them counts as before HBase's writes. And where another driver of the job runs at the
same time, it may finish or remove what was left before it is looked at: a kill in HBase's writes then counts as after
them, one in staging or publishing as overtaken.
"""

import json
import subprocess
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from random import Random
from shutil import rmtree
from typing import Any, Final

import click
import psutil
from hdfs import InsecureClient

from bench.measure import REPORTS, fresh_stack, report
from clients import hbase
from clients import hdfs as files
from clients.commits import CommitLog
from contracts import hbase as tables
from contracts import paths
from contracts.command import run
from contracts.errors import BrokenPromise, Failed, PlatformError
from contracts.events import CLICKS, INVENTORY, PURCHASES
from contracts.settings import Settings
from jobs import audit
from local.jobs import start
from local.servers import SERVERS, with_dependencies
from local.stack import Stack

LOGS: Final = REPORTS / "kills"
"""A log for each driver, and the shop's."""
MOST: Final = 3
"""Drivers of a job at once."""
MORE_CHANCE: Final = 0.12
"""That a driver is started beside those that run."""
ANY_TIME_CHANCE: Final = 0.1
"""That a kill does not wait until the driver has begun a batch."""
BATCHES: Final = 4
"""A kill falls into one of a driver's first so many batches, or a later one: the first does not go far for long."""
BATCH_SECONDS: Final = 60.0
"""For a driver to get there."""
PAUSE_SECONDS: Final = 2.0
"""The longest from a batch's beginning to the kill: about what a batch takes."""
SERVER_CHANCE: Final = 0.06
"""That a round kills a server as well."""
KILLED_SERVERS: Final = ("hdfs-datanode", "hbase-regionserver", "hbase-thrift", "kafka")
NEEDED: Final = {server.name for server in with_dependencies(SERVERS, {"kafka", "hdfs-datanode", "hbase-thrift"})}
DRAIN_SECONDS: Final = 1800

OUTSIDE: Final = {
    "starting": "Spark had not begun the driver's first batch",
    "between batches": "all batches that were begun are noted as done in the checkpoint",
    "overtaken": "a later driver of the job had removed what would tell",
    "untold": "a server did not answer",
}
INSIDE: Final = {
    "reading": "ingest: a batch begun, nothing staged yet, or all published and Spark's checkpoint behind",
    "staging": "ingest: files staged, the commit not begun",
    "commit": "ingest: the commit written but not in its place, or not noted beside the log",
    "publishing": "ingest: committed, staged files or their folder left",
    "before HBase": "speed: a batch begun, none of its values in HBase",
    "HBase writes": "speed: values of the batch in HBase, not the progress of all its partitions",
    "after HBase": "speed: the progress of all its partitions in HBase, Spark's checkpoint behind",
}
VALUES: Final = {
    CLICKS.topic: (
        (tables.USER_PROFILES, tables.VISIT_FAMILY),
        (tables.TRAFFIC_BY_MINUTE, tables.VALUE_FAMILY),
    ),
    PURCHASES.topic: (
        (tables.REVENUE_BY_MINUTE, tables.VALUE_FAMILY),
        (tables.SALES_BY_MINUTE, tables.VALUE_FAMILY),
        (tables.USER_PROFILES, tables.SPENDING_FAMILY),
    ),
    INVENTORY.topic: ((tables.STOCK, tables.VALUE_FAMILY),),
}
"""The families that have a column for each Kafka partition of a topic."""


@dataclass(eq=False)
class Driver:
    """A process of a streaming job."""

    job: str
    process: subprocess.Popen[bytes]
    log: Path

    def ended(self) -> bool:
        return self.process.poll() is not None

    def started(self) -> dict[str, Any] | None:
        """Its log line ``started``: its run, its checkpoint, the offsets from which it reads. None before."""
        for line in self.log.read_text(errors="replace").splitlines():
            with suppress(ValueError):  # a line of Spark's, or one written by half
                entry = json.loads(line) if line.startswith("{") else {}
                if entry.get("event") == "started":
                    return dict(entry)
        return None

    def kill(self) -> None:
        """Kills it with all that it started; Spark's Python workers are in a process group of their own."""
        if self.ended():
            return
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.process.pid)
            for member in [process, *process.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    member.kill()
        self.process.wait(30)


@dataclass
class Drivers:
    """The running drivers of a job, the newest last."""

    stack: Stack
    job: str
    running: list[Driver] = field(default_factory=list)
    made: int = 0

    def start(self) -> None:
        self.made += 1
        path = LOGS / f"{self.job}-{self.made}.log"
        command = [f"jobs.streaming.{self.job}", "--trigger", "0", "--max-offsets", "2000"]
        with path.open("wb") as log:
            options: dict[str, Any] = {"stdout": log, "stderr": log, "start_new_session": True}
            process = start(self.stack.site, *command, driver_memory="512m", **options)
        self.running.append(Driver(self.job, process, path))

    def ended(self) -> list[int]:
        """Exit codes of drivers that ended by themselves since the last look."""
        ended = [driver for driver in self.running if driver.ended()]
        self.running = [driver for driver in self.running if driver not in ended]
        return [driver.process.returncode for driver in ended]

    def in_a_batch(self, chance: Random) -> Driver:
        """One of them that has begun so many batches: any, or the newest where that one does not get there."""
        driver, number = chance.choice(self.running), chance.randrange(BATCHES)
        if driver is not self.running[-1] and begins(self.stack.settings(), driver, number):
            return driver
        begins(self.stack.settings(), self.running[-1], number)
        return self.running[-1]


def begins(settings: Settings, driver: Driver, number: int) -> bool:
    """Waits for a driver's batch of this number; False where it ends or is overtaken before, or takes too long."""
    hdfs, deadline = files.client(settings), time.monotonic() + BATCH_SECONDS
    while time.monotonic() < deadline and not driver.ended():
        if (phase := phase_of_spark(hdfs, driver)) == "overtaken":
            return False
        if phase != "starting" and max(begun(hdfs, driver), default=0) >= number:
            return True
        time.sleep(0.2)
    return False


def phase_of(settings: Settings, driver: Driver) -> str:
    """What a killed driver was in, a key of ``OUTSIDE`` or ``INSIDE``."""
    try:
        hdfs = files.client(settings)
        if driver.job == paths.INGEST:
            return phase_of_commit(hdfs, driver) or phase_of_spark(hdfs, driver) or "reading"
        return phase_of_spark(hdfs, driver) or phase_of_hbase(settings, hdfs, driver)
    except PlatformError as error:
        click.echo(f"where a kill fell is not told: {error}", err=True)
        return "untold"


def phase_of_spark(hdfs: InsecureClient, driver: Driver) -> str:
    """What Spark's checkpoint of its run tells; empty inside a batch."""
    if not (started := driver.started()):
        return "starting"
    if not (numbers := begun(hdfs, driver)):
        return "starting" if files.exists(hdfs, started["checkpoint"]) else "overtaken"
    return "between batches" if max(numbers) in batches(hdfs, f"{started['checkpoint']}/commits") else ""


def begun(hdfs: InsecureClient, driver: Driver) -> list[int]:
    """The batches that a driver has begun, as its checkpoint says."""
    started = driver.started()
    return batches(hdfs, f"{started['checkpoint']}/offsets") if started else []


def batches(hdfs: InsecureClient, folder: str) -> list[int]:
    """The batches that Spark has noted in a folder of a checkpoint."""
    return [int(name) for name in files.names(hdfs, folder) if name.isdigit()]


def phase_of_commit(hdfs: InsecureClient, driver: Driver) -> str:
    """What the staging folder of an ingest's run tells; empty where nothing is staged."""
    started = driver.started()
    if not started:
        return "starting"
    staging, commits = f"{paths.STAGING}/{paths.INGEST}", f"{paths.COMMITS}/{paths.INGEST}"
    own = [name for name in files.names(hdfs, staging) if name.endswith(f"-{started['run']}")]
    if not own:
        return "overtaken"
    names = files.names(hdfs, f"{staging}/{own[0]}")
    if staged := [int(name) for name in names if name.isdigit()]:
        # Its own commit: a later driver gives the next number again. The folder of its epoch may be closed by now.
        epoch = own[0].partition("-")[0]
        folders = [name for name in files.names(hdfs, commits) if name.startswith(epoch)]
        if any(files.exists(hdfs, f"{commits}/{folder}/{max(staged):012d}.json") for folder in folders):
            return "publishing" if CommitLog(hdfs, paths.INGEST).head() >= max(staged) else "commit"
    if any(name.startswith("commit-") for name in names):
        return "commit"
    return "staging" if staged else ""


def phase_of_hbase(settings: Settings, hdfs: InsecureClient, driver: Driver) -> str:
    """How far a speed driver's last batch came in HBase: its values have the batch's end as their version."""
    begin, end = last_batch(hdfs, driver)
    progress = audit.speed_progress(settings)
    moved = {place: offset for place, offset in end.items() if offset > begin.get(place, 0)}
    left = {
        place: progress.get(place, tables.Progress()).base + offset
        for place, offset in moved.items()
        if progress.get(place, tables.Progress()).end < offset
    }
    if not left:
        return "after HBase"
    if len(left) < len(moved) or any(written(settings, place, version) for place, version in left.items()):
        return "HBase writes"
    return "before HBase"


def last_batch(hdfs: InsecureClient, driver: Driver) -> tuple[dict[str, int], dict[str, int]]:
    """Where the newest batch in a driver's checkpoint begins and ends, by ``topic/number``."""
    started = driver.started() or {}
    folder = f"{started['checkpoint']}/offsets"
    newest = max(batches(hdfs, folder))

    def offsets(number: int) -> dict[str, int]:
        # The source's offsets are the last line, after the format's version and the query's settings.
        return flat(json.loads(files.read(hdfs, f"{folder}/{number}").decode().splitlines()[-1]))

    return offsets(newest - 1) if newest else flat(started["offsets"]), offsets(newest)


def flat(offsets: dict[str, dict[str, int]]) -> dict[str, int]:
    """Spark's offsets, by topic and partition, by ``topic/number``."""
    return {f"{topic}/{number}": end for topic, ends in offsets.items() for number, end in ends.items()}


def written(settings: Settings, place: str, version: int) -> bool:
    """Whether HBase has a value of a Kafka partition (``topic/number``) with this version."""
    topic, _, number = place.rpartition("/")
    return any(
        hbase.scan(
            settings,
            table,
            columns=[tables.partition_column(family, int(number))],
            filter=f"TimestampsFilter ({version})",
            limit=1,
        )
        for table, family in VALUES[topic]
    )


def shop(stack: Stack, ledger: Path, rate: int) -> subprocess.Popen[bytes]:
    command = ["generator", "--rate", str(rate), "--malformed-share", "0.01", "--ledger", str(ledger)]
    with (LOGS / "shop.log").open("wb") as log:
        return start(stack.site, *command, stderr=log)


def play(stack: Stack, rounds: int, chance: Random) -> tuple[Counter[str], Counter[str]]:
    """Kills by what they hit, and how many drivers ended by themselves with which exit code."""
    jobs = [Drivers(stack, paths.INGEST), Drivers(stack, paths.SPEED)]
    kills: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    began = time.monotonic()
    try:
        for number in range(rounds):
            revive(stack)
            for drivers in jobs:
                ends.update(f"{drivers.job} drivers that ended with {code}" for code in drivers.ended())
                while not drivers.running or (len(drivers.running) < MOST and chance.random() < MORE_CHANCE):
                    drivers.start()
            # In turn, so that the other job's new driver has started meanwhile.
            drivers = jobs[number % len(jobs)]
            at_any_time = chance.random() < ANY_TIME_CHANCE
            driver = chance.choice(drivers.running) if at_any_time else drivers.in_a_batch(chance)
            time.sleep(chance.uniform(0, PAUSE_SECONDS))
            if not driver.ended():
                driver.kill()
                drivers.running.remove(driver)
                kills[f"{driver.job}: {phase_of(stack.settings(), driver)}"] += 1
            if chance.random() < SERVER_CHANCE:
                name = chance.choice(KILLED_SERVERS)
                if name not in down(stack):
                    stack.kill(name)
                    kills[name] += 1
            click.echo(f"{number + 1}/{rounds} {time.monotonic() - began:.0f} s {dict(kills)} {dict(ends)}", err=True)
    finally:
        for drivers in jobs:
            for driver in drivers.running:
                driver.kill()
    return kills, ends


def down(stack: Stack) -> set[str]:
    """The servers that do not run."""
    return {server.name for server in stack.status() if server.name in NEEDED and server.state != "RUNNING"}


def revive(stack: Stack) -> None:
    """Starts the servers that were killed, and those that ended since they could not do without."""
    if not (gone := down(stack)):
        return
    try:
        stack.up(gone)
    except Failed as error:  # one that ran when this began may have ended meanwhile
        click.echo(f"once more: {error}", err=True)
        stack.up(NEEDED)


def drain(stack: Stack, job: str) -> None:
    """One driver alone takes what is left. Raises :class:`Failed` where it cannot."""
    command = [f"jobs.streaming.{job}", "--available-now"]
    process = start(stack.site, *command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    _, said = process.communicate(timeout=DRAIN_SECONDS)
    if process.returncode:
        raise Failed(f"the last {job} ended with exit code {process.returncode}: {said[-1000:]}")


def wrong(stack: Stack, ledger: dict[str, Any]) -> list[str]:
    """What is not as the ledger says."""
    settings = stack.settings()
    found = []
    for name, sent in ledger["streams"].items():
        landed = audit.landed(settings, name)
        if not landed.rows == landed.distinct == sent["produced"]:
            found.append(f"{name}: {sent['produced']} sent, {landed.rows} rows, {landed.distinct} distinct")
    days = {date.fromisoformat(ledger[key][:10]) for key in ("first_event_time", "last_event_time")}
    speed = tables.add_revenue(part for day in days for part in audit.speed_revenue(settings, day)).amount
    truth = Decimal(ledger["revenue"]["total"])
    found += [f"revenue: {truth} sold, {speed} in HBase"] if speed != truth else []
    batch = audit.batch_revenue(settings)
    return found + ([f"revenue: {truth} sold, {batch} landed"] if batch != truth else [])


@click.command()
@click.option("--rounds", default=200, show_default=True, help="Kills, of drivers and now and then of servers.")
@click.option("--rate", default=1000, show_default=True, help="Events/s of the shop meanwhile.")
@click.option("--seed", default=1, show_default=True)
def main(rounds: int, rate: int, seed: int) -> None:
    """Kill drivers and servers at random under load, then count."""
    rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    with fresh_stack(NEEDED) as stack:
        ledger = LOGS / "ledger.json"
        selling = shop(stack, ledger, rate)
        began = time.monotonic()
        try:
            kills, ends = play(stack, rounds, Random(seed))
            seconds = time.monotonic() - began
            revive(stack)
            if selling.poll() is not None:
                raise Failed(f"the shop ended before it was stopped; its log is {LOGS / 'shop.log'}")
        finally:
            selling.terminate()
            selling.wait(300)
        for job in (paths.INGEST, paths.SPEED):
            drain(stack, job)
        sent = json.loads(ledger.read_text())
        problems = wrong(stack, sent)
        report(
            "kills",
            {
                "rounds": rounds,
                "seconds_a_round": round(seconds / rounds, 1),
                "events": sum(stream["produced"] for stream in sent["streams"].values()),
                **{f"kills {name}": count for name, count in sorted(kills.items())},
                **{f"ratio_of_{job}_kills_inside_a_batch": inside(kills, job) for job in (paths.INGEST, paths.SPEED)},
                **dict(sorted(ends.items())),
                "problems": len(problems),
                "wrong": problems,
            },
        )
        if problems:
            raise BrokenPromise("; ".join(problems))


def inside(kills: Counter[str], job: str) -> float:
    """Which share of a job's kills fell inside a batch."""
    found = sum(kills[f"{job}: {phase}"] for phase in INSIDE)
    return round(found / max(1, found + sum(kills[f"{job}: {phase}"] for phase in OUTSIDE)), 2)


if __name__ == "__main__":
    run(main)

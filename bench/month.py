"""A month through the whole local stack, and whether its last day costs what its first did.

``python -m bench.month`` plays days of the shop one after the other: events that come days late and copies of them
cross midnights. Each day: ingest and speed land and count what came, one of them is killed in the middle and starts
anew, the tasks of the daily run compute the day and those that late rows opened, and the hours are compacted. Noted of
each day: seconds of all that, files and objects on HDFS, the NameNode's heap, and what five queries of the day take. In
the end every figure is held against the shop's ledger, and the size on disk against one Parquet file of the same rows.

29 days at most: an event that is 30 days old is a dead letter.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import click
import msgspec
import requests

from bench.kills import Driver
from bench.measure import REPORTS, fresh_stack, report
from clients import hdfs as files
from clients import kafka, retry
from clients.commits import CommitLog
from clients.sql import connect
from contracts import paths
from contracts.command import run
from contracts.errors import BrokenPromise, Failed
from contracts.events import STREAMS
from contracts.hive import MARTS, RAW
from contracts.settings import Settings
from jobs import audit
from jobs.batch.days import days_of
from jobs.streaming.landing import parquet
from local.jobs import environment, start
from local.stack import Stack

FOLDER: Final = REPORTS / "month"
CATCH_UP_SECONDS: Final = 1800
TASKS: Final = (
    ("check_data",),
    ("repair_partitions",),
    ("affinity", "revenue", "funnel", "stock"),
    ("reconcile",),
    ("export_csv",),
)
"""The daily run's: those that its graph lets run side by side, and then the next ones."""
AT_ONCE: Final = 2
"""Tasks side by side, one for each core."""
ASKED: Final = 5
"""How often each query is asked; its median counts."""
QUERIES: Final = {
    "page": "SELECT page, COUNT(*) FROM {clicks} WHERE `date` = '{day}' GROUP BY page",
    "sessions": "SELECT COUNT(DISTINCT session_id) FROM {clicks} WHERE `date` = '{day}' AND `hour` = '12'",
    "seconds": "SELECT COUNT(*) FROM {clicks} WHERE `date` = '{day}' AND event_time BETWEEN "
    "CAST('{day} 12:00:00' AS TIMESTAMP) AND CAST('{day} 12:00:05' AS TIMESTAMP)",
    "revenue": "SELECT category, SUM(total) FROM {purchases} WHERE `date` = '{day}' GROUP BY category",
    "stock": "SELECT warehouse, MIN(stock_level) FROM {inventory} WHERE `date` = '{day}' GROUP BY warehouse",
}


class Line(msgspec.Struct):
    """A record as the shop writes it to a file."""

    topic: str
    key: str
    value: msgspec.Raw


class Timed(msgspec.Struct):
    event_time: str


def by_day(file: Path) -> Iterator[tuple[str, list[Line]]]:
    """The records of each day in the order in which they were sent: what is late comes with a later day."""
    decode, time_of = msgspec.json.Decoder(Line).decode, msgspec.json.Decoder(Timed).decode
    day = ""
    lines: list[Line] = []
    with file.open("rb") as records:
        for record in records:
            line = decode(record)
            of = time_of(line.value).event_time[:10]
            if of > day:
                if lines:
                    yield day, lines
                day, lines = of, []
            lines.append(line)
    yield day, lines


class Month:
    """The stack, its two streaming jobs, and what was noted of each day."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self.settings = stack, stack.settings()
        self.hdfs = files.client(self.settings)
        # Whatever is late has come when a day is computed.
        self.variables = environment(stack.site) | {"ECOMMERCE_DAY_GRACE": "0"}
        self.jobs = {job: self._started(job) for job in (paths.INGEST, paths.SPEED)}
        self.noted: list[dict[str, Any]] = []

    def _started(self, job: str) -> Driver:
        log = FOLDER / f"{job}.log"
        with log.open("ab") as out:
            process = start(
                self.stack.site,
                f"jobs.streaming.{job}",
                "--trigger",
                "5",
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        return Driver(job, process, log)

    def task(self, module: str, *arguments: str) -> tuple[str, float]:
        """Runs a module to its end; what it printed, and its seconds. Raises :class:`Failed` with its last line."""
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            env={**os.environ, **self.variables},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise Failed(f"{module} {' '.join(arguments)} failed: {done.stderr.splitlines()[-1:]}")
        return done.stdout, time.monotonic() - began

    def play(self, day: str, lines: list[Line], number: int) -> None:
        """A day, from its first record to its compaction."""
        noted: dict[str, Any] = {"day": day, "records": len(lines)}
        began = time.monotonic()
        half = len(lines) // 2
        self._send(lines[:half])
        noted["start"] = self._crash(paths.INGEST if number % 2 else paths.SPEED)
        self._send(lines[half:])
        self._catch_up()
        noted["landing"] = time.monotonic() - began
        noted["landed_files"] = self._files(day)
        of_the_run = ("--date", day, "--run", f"night-{day}")
        noted["daily_run"] = self._daily_run(*of_the_run)
        computed = days_of(self.hdfs, date.fromisoformat(day), f"night-{day}")
        noted |= {"days_computed": len(computed), "daily_run_per_day": noted["daily_run"] / len(computed)}
        compacted, noted["compaction"] = self.task("jobs.compaction", "--older-than", "0", "--grace", "1")
        noted |= {f"compaction_{key}": value for key, value in json.loads(compacted).items()}
        noted |= self._state(day)
        noted["objects_added"] = noted["objects"] - (self.noted[-1]["objects"] if self.noted else 0)
        self.noted.append(noted)
        click.echo(
            json.dumps({key: round(value, 2) if isinstance(value, float) else value for key, value in noted.items()})
        )

    def _daily_run(self, *arguments: str) -> float:
        """Its seconds."""
        began = time.monotonic()
        for tasks in TASKS:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(lambda task: self.task(f"jobs.batch.tasks.{task}", *arguments), tasks))
        return time.monotonic() - began

    def _send(self, lines: list[Line]) -> None:
        by_topic: dict[str, kafka.Sender] = {}
        for line in lines:
            if line.topic not in by_topic:
                by_topic[line.topic] = kafka.Sender(self.settings, line.topic)
            by_topic[line.topic].send(line.key, bytes(line.value), {})
        for sender in by_topic.values():
            sender.close()

    def _crash(self, job: str) -> float:
        """Kills a job in the middle of its batch; the seconds from its start until it has handled what there is."""
        time.sleep(3)
        self.jobs[job].kill()
        began = time.monotonic()
        self.jobs[job] = self._started(job)
        log = CommitLog(self.hdfs, paths.INGEST)
        if job == paths.INGEST:
            sequence = log.newest().sequence
            retry.until(
                lambda: log.newest().sequence > sequence, bool, seconds=300, pause=0.2, what="a start of ingest"
            )
        return time.monotonic() - began

    def _catch_up(self) -> None:
        ends = audit.end_offsets(self.settings)

        def left() -> int:
            for driver in self.jobs.values():
                if driver.ended():
                    raise Failed(f"{driver.job} has ended; its log is {driver.log}")
            return audit.behind(ends, audit.ingest_offsets(self.settings)) + audit.behind(
                ends, audit.speed_offsets(self.settings)
            )

        retry.until(left, lambda found: not found, seconds=CATCH_UP_SECONDS, what="records not handled yet")

    def _files(self, day: str) -> int:
        return sum(len(files.walk(self.hdfs, f"{paths.stream_folder(stream)}/date={day}")) for stream in RAW)

    def _state(self, day: str) -> dict[str, Any]:
        beans = requests.get(f"{self.settings.webhdfs_url}/jmx", timeout=60).json()["beans"]
        by_name = {bean["name"]: bean for bean in beans}
        size = self.hdfs.content(paths.DATA)["length"]
        asked = {}
        with connect(self.settings) as sql:
            for name, query in QUERIES.items():
                text = query.format(day=day, **{stream: table.qualified for stream, table in RAW.items()})
                sql.rows(text)
                asked[f"query_{name}"] = statistics.median(
                    _seconds(lambda text=text: sql.rows(text)) for _ in range(ASKED)
                )
        return {
            "files": self._files(day),
            "objects": by_name["Hadoop:service=NameNode,name=FSNamesystem"]["FilesTotal"],
            "namenode_heap": by_name["java.lang:type=Memory"]["HeapMemoryUsage"]["used"],
            "bytes": size,
            **asked,
        }

    def differences(self, ledger: dict[str, Any]) -> list[str]:
        """What is not as the ledger says: rows of each stream, and of each day its clicks, purchases and revenue."""
        found = []
        for name, counts in ledger["streams"].items():
            landed = audit.landed(self.settings, name)
            if landed.distinct != counts["produced"]:
                found.append(f"{name}: {landed.distinct} landed, {counts['produced']} produced")
        table = MARTS["revenue_daily"].qualified
        with connect(self.settings) as sql:
            marts = {row[0]: row[1:] for row in sql.rows(f"SELECT `date`, purchases, revenue FROM {table}")}  # noqa: S608
        for day, said in ledger["days"].items():
            wanted = said["produced"]["purchases"], Decimal(said["revenue"])
            if tuple(marts.get(day, ())) != wanted:
                found.append(f"{day}: {marts.get(day)} in the mart, {wanted} in the ledger")
        return found


def one_file(settings: Settings) -> int:
    """Bytes of one Parquet file for each stream with all its rows, in the format of the landed ones."""
    total = 0
    for stream in STREAMS:
        columns = [column.name for column in RAW[stream.name].columns]
        total += len(parquet(audit.read_stream(settings, stream.name, columns)[1]))
    return total


def _seconds(work: Any) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def summary(noted: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each figure its first and last days (medians of three), and their ratio."""
    figures: dict[str, Any] = {}
    keys = [key for key in noted[0] if key not in ("day", "records")]
    for key in keys:
        # The first day warms everything up; of the starts, which are in turn those of ingest and speed, ingest's.
        values = [one[key] for one in noted[1 :: 2 if key == "start" else 1]]
        early, late = statistics.median(values[:3]), statistics.median(values[-3:])
        figures[f"{key}_first"], figures[f"{key}_last"] = round(early, 2), round(late, 2)
        figures[f"{key}_ratio"] = round(late / early, 2) if early else None
    return figures


@click.command()
@click.option("--days", default=29, show_default=True, type=click.IntRange(4, 29), help="Days, the last is yesterday.")
@click.option("--events", default=300_000, show_default=True, help="Events of a day.")
@click.option(
    "--later-day-share",
    default=0.002,
    show_default=True,
    help="Of events that come 1 to 5 days late, which makes a run compute six days; without them it computes three, as "
    "copies come up to two days late.",
)
def main(days: int, events: int, later_day_share: float) -> None:
    """Play a month, and say whether its last days cost what its first did. Fails where a figure is not exact."""
    last = datetime.now(UTC).date() - timedelta(days=1)
    first: date = last - timedelta(days=days - 1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.log"):
        old.unlink()
    shop, ledger_file = FOLDER / "shop.jsonl", FOLDER / "ledger.json"
    with fresh_stack() as stack:
        played = start(
            stack.site, "generator", "--days", f"{first}..{last}", "--events", f"{events}", "--malformed-share", "0",
            "--later-day-share", f"{later_day_share}", "--to", f"{shop}", "--ledger", f"{ledger_file}",
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        if code := played.wait():
            raise Failed(f"the generator ended with exit code {code}")
        month = Month(stack)
        began = time.monotonic()
        try:
            for number, (day, lines) in enumerate(by_day(shop)):
                month.play(day, lines, number)
        finally:
            for driver in month.jobs.values():
                driver.kill()
        found = month.differences(json.loads(ledger_file.read_text()))
        figures = {
            "days": days,
            "events_a_day": events,
            "later_day_share": later_day_share,
            "minutes": round((time.monotonic() - began) / 60, 1),
            "bytes_to_one_file": round(month.noted[-1]["bytes"] / one_file(month.settings), 2),
            **summary(month.noted),
            "by_day": month.noted,
        }
    shop.unlink()
    report("month", figures)
    if found:
        raise BrokenPromise(f"{len(found)} figures are not as the ledger says: {'; '.join(found[:5])}")
    click.echo("every figure is the ledger's")


if __name__ == "__main__":
    run(main)

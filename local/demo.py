"""The whole pipeline on this machine: ``python -m local.demo`` (``make demo``) plays a shop day through real servers.

Servers up, a simulated day into Kafka, both streaming jobs, the daily DAG by Airflow, then a count with readers that
are not Spark. Writes ``build/demo/summary.json``, ``report.html`` and ``csv/``; exits 0 only if nothing was lost and
nothing counted twice.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from csv import DictReader
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from clients import hdfs as files
from clients import retry, sql
from contracts import paths
from contracts.command import run
from contracts.dag import DAG_ID
from contracts.errors import Failed, NotReady, PlatformError
from contracts.events import STREAMS
from contracts.hive import RAW
from contracts.settings import Settings
from jobs import audit
from local import airflow, jobs, report
from local.progress import Progress
from local.servers import SERVING, SHOP
from local.site import DIRECTORY_VARIABLE, ROOT
from local.stack import Stack, install_with_progress
from serving import speed

FOLDER = ROOT / "build" / "demo"
CATCH_UP_SECONDS = 300
NEWEST_ALERTS = 5


class Demo:
    """One run. ``seconds`` has the time of each phase."""

    def __init__(self, day: date, events: int, seed: int, folder: Path, console: Console) -> None:
        self.day, self.events, self.seed, self.folder, self.console = day, events, seed, folder, console
        self.seconds: dict[str, float] = {}
        self.sql_seconds = 0.0
        """From the last record sent to the first answer of SQL that had every row."""
        self.stack = Stack(folder / "stack")
        self.settings: Settings = self.stack.settings()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(time.monotonic() - started, 1)

    def play(self) -> report.Report:
        """All phases; returns what there is to show."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.phase("install"):
            install_with_progress()
        with self.phase("servers"):
            self.stack.down(wipe=True)
            database = ThreadPoolExecutor(1).submit(self._prepare_airflow)
            self.stack.up()
        with self.phase("jobs"):
            self.stack.up(only={paths.INGEST, paths.SPEED})
        with self.phase("generate"):
            ledger = self._generate()
        sent = time.monotonic()
        with self.phase("catch_up"):
            self._catch_up(sent)
        with self.phase("daily_dag"):
            database.result()
            self._run_dag()
        with self.phase("compact"):
            compaction = self._compact()
        with self.phase("count"):
            shown = self._report(ledger)
        shown.summary.update(files=compaction, sql_seconds=self.sql_seconds)
        shown.summary["seconds"] = {**self.seconds, "total": round(sum(self.seconds.values()), 1)}
        return shown

    def _airflow(self) -> dict[str, str]:
        of_the_day = {"ECOMMERCE_DAY_GRACE": "0"}  # the day is played; whatever is late has come
        variables = {**jobs.environment(self.stack.site), **airflow.environment(self.folder / "airflow"), **of_the_day}
        return {**os.environ, **variables}

    def _prepare_airflow(self) -> None:
        with (self.folder / "airflow-migrate.log").open("w") as log:
            airflow.migrate(self._airflow(), lambda line: print(line, file=log))

    def _generate(self) -> dict[str, Any]:
        ledger = self.folder / "ledger.json"
        arguments = ["--day", f"{self.day}", "--events", f"{self.events}", "--seed", f"{self.seed}"]
        with (self.folder / "generator.log").open("w") as log:
            result = subprocess.run(
                [sys.executable, "-m", "generator", *arguments, "--ledger", str(ledger)],
                cwd=ROOT,
                env={**os.environ, **jobs.environment(self.stack.site)},
                stderr=None if sys.stderr.isatty() else log,
            )
        if result.returncode:
            raise Failed(f"the generator ended with exit code {result.returncode}; see {log.name}")
        return json.loads(ledger.read_text())

    def _catch_up(self, sent: float) -> None:
        """Waits until both jobs have handled every record that is in Kafka, and SQL has shown what was landed."""
        ends = audit.end_offsets(self.settings)
        offsets = {paths.INGEST: audit.ingest_offsets, paths.SPEED: audit.speed_offsets}
        with Progress("Streaming jobs", list(offsets)) as progress:
            waiting, deadline = dict(offsets), time.monotonic() + CATCH_UP_SECONDS
            while waiting:
                for name, read in list(waiting.items()):
                    left = audit.behind(ends, read(self.settings))
                    progress.update(name, "reading" if left else "ready", f"{left:,} records to go" if left else "")
                    if not left:
                        del waiting[name]
                        if name == paths.INGEST:
                            self._wait_for_sql()
                            self.sql_seconds = round(time.monotonic() - sent, 1)
                self._require_jobs(waiting)
                if time.monotonic() > deadline:
                    raise NotReady(f"{', '.join(waiting)} did not catch up within {CATCH_UP_SECONDS} s")
                time.sleep(0.5)

    def _wait_for_sql(self) -> None:
        """Waits until SQL's answer has every landed row; nobody repairs or refreshes."""
        landed = sum(total.landed for total in audit.committed(self.settings).totals.values())
        parts = " UNION ALL ".join(f"SELECT 1 FROM {table.qualified}" for table in RAW.values())  # noqa: S608
        with sql.connect(self.settings) as session:
            retry.until(
                lambda: session.rows(f"SELECT COUNT(*) FROM ({parts}) landed")[0][0],  # noqa: S608
                lambda found: found == landed,
                seconds=60,
                pause=0.2,
                what=f"{landed} rows in SQL",
            )

    def _compact(self) -> dict[str, int]:
        """Compacts the day's hours, as the hourly DAG does; how many files they have before and after."""
        counts = [self._landed_files()]
        command = [sys.executable, "-m", "jobs.compaction", "--older-than", "0", "--grace", "0"]
        variables = {**os.environ, **jobs.environment(self.stack.site)}
        with (self.folder / "compaction.log").open("w") as log:
            if subprocess.run(command, cwd=ROOT, env=variables, stdout=log, stderr=log).returncode:
                raise Failed(f"the compaction failed; see {log.name}")
        counts.append(self._landed_files())
        return dict(zip(("before", "after"), counts, strict=True))

    def _landed_files(self) -> int:
        return sum(len(audit.parquet_files(self.settings, paths.stream_folder(stream))) for stream in RAW)

    def _require_jobs(self, names: dict[str, Any]) -> None:
        for server in self.stack.status():
            if server.name in names and server.state != "RUNNING":
                raise Failed(f"the {server.name} job has ended; its log is {server.log}")

    def _run_dag(self) -> None:
        """The real DAG by Airflow itself; a line for each task as it ends."""
        lines = TaskLines()
        with (self.folder / "airflow.log").open("w") as log:

            def on_line(line: str) -> None:
                print(line, file=log, flush=True)
                if ended := lines.ended(line):
                    task, state = ended
                    self.console.print(f"  {'✓' if state == 'success' else '✗'} {task}: {state}", highlight=False)

            self.console.print(f"Airflow runs {DAG_ID} for {self.day}")
            try:
                airflow.run_day(self.day, self._airflow(), on_line)
            except PlatformError as error:
                raise Failed(f"the daily DAG failed: {error} ({log.name})") from error

    def _report(self, ledger: dict[str, Any]) -> report.Report:
        marts = self._fetch_exports()
        summary = self._summary(ledger, marts)
        return report.Report(summary, marts, self._newest_alerts())

    def _fetch_exports(self) -> dict[str, list[report.Row]]:
        """Copies the day's CSVs out of HDFS and reads them."""
        hdfs, folder = files.client(self.settings), self.folder / "csv"
        folder.mkdir(exist_ok=True)
        exported = paths.export_folder(f"{self.day}")
        marts = {}
        for name in files.names(hdfs, exported):
            (folder / name).write_bytes(files.read(hdfs, f"{exported}/{name}"))
            with (folder / name).open(newline="") as file:
                marts[name.removesuffix(".csv")] = list(DictReader(file))
        return marts

    def _summary(self, ledger: dict[str, Any], marts: dict[str, list[report.Row]]) -> dict[str, Any]:
        landed = {stream.name: audit.landed(self.settings, stream.name) for stream in STREAMS}
        totals = audit.committed(self.settings).totals
        letters = audit.dead_letters(self.settings)
        on_time, late = audit.speed_revenue(self.settings, self.day)
        summary: dict[str, Any] = {
            "day": f"{self.day}",
            "seed": self.seed,
            "produced": {name: counts["produced"] for name, counts in ledger["streams"].items()},
            "landed": {name: counts.distinct for name, counts in landed.items()},
            "rows": {name: counts.rows for name, counts in landed.items()},
            "late": {stream.name: totals[stream.topic].late for stream in STREAMS},
            "duplicates": {stream.name: totals[stream.topic].duplicates for stream in STREAMS},
            "dead_letters": {stream.name: letters.get(stream.topic, 0) for stream in STREAMS},
            "revenue": {
                "truth": ledger["revenue"]["total"],
                "batch": marts["revenue_daily"][0]["revenue"],
                "speed": str(on_time.amount + late.amount),
                "late": str(late.amount),
                "late_purchases": late.purchases,
            },
            "alerts": {"expected": ledger["alerts_expected"], "raised": len(speed.alerts(self.settings))},
        }
        sent = {
            "duplicates": {name: counts["duplicates"] for name, counts in ledger["streams"].items()},
            "dead_letters": {name: counts["malformed"] for name, counts in ledger["streams"].items()},
        }
        return {**summary, "problems": problems(summary, sent)}

    def _newest_alerts(self) -> list[report.Row]:
        alerts = speed.alerts(self.settings, NEWEST_ALERTS)
        return [{name: str(getattr(alert, name)) for name in report.ALERT_COLUMNS} for alert in alerts]


def problems(summary: dict[str, Any], sent: dict[str, dict[str, int]]) -> list[str]:
    """What is not as it must be, in sentences; none when nothing was lost and nothing counted twice."""
    found = []
    for stream, produced in summary["produced"].items():
        landed, rows = summary["landed"][stream], summary["rows"][stream]
        if landed != produced:
            found.append(f"{stream}: {produced} events produced, {landed} landed")
        if rows != landed:
            found.append(f"{stream}: {rows} rows for {landed} events")
        for what in ("duplicates", "dead_letters"):
            if summary[what][stream] != sent[what][stream]:
                found.append(f"{stream}: {sent[what][stream]} {what} sent, {summary[what][stream]} counted")
    revenue = summary["revenue"]
    for layer in ("batch", "speed"):
        if revenue[layer] != revenue["truth"]:
            found.append(f"revenue: {revenue['truth']} EUR sold, {revenue[layer]} in the {layer} layer")
    alerts = summary["alerts"]
    if alerts["raised"] != alerts["expected"]:
        found.append(f"alerts: {alerts['expected']} expected, {alerts['raised']} raised")
    return found


class TaskLines:
    """Tells from Airflow's output which task has ended, and how."""

    def __init__(self) -> None:
        self._state = ""

    def ended(self, line: str) -> tuple[str, str] | None:
        """The task that ends with this line and its state (``success``, ``failed``, ``up_for_retry``)."""
        if state := re.search(r"new_state=(\w+)", line):
            self._state = state.group(1)
        task = re.search(r"\[DAG TEST\] end task task_id=(\w+)", line)
        return (task.group(1), self._state) if task else None


def _keep_up(demo: Demo, console: Console) -> None:
    demo.stack.up(only={SHOP})
    console.rule("[bold]The shop goes on, live")
    console.print(f"Its page:  {demo.stack.server(SERVING).ui}", highlight=False)
    console.print(f"Its API:   {demo.stack.server(SERVING).ui}/docs", highlight=False)
    console.print("\nEverything is still up (KEEP=1):")
    for server in demo.stack.status():
        console.print(f"  {server.name:<20} {server.address:<18} {server.ui}", highlight=False)
    folder = os.path.relpath(demo.stack.site.directory, Path.cwd())
    console.print(f"Stop it with: {DIRECTORY_VARIABLE}={folder} make local-down")


@click.command()
@click.option(
    "--day",
    type=click.DateTime(["%Y-%m-%d"]),
    envvar="ECOMMERCE_DEMO_DAY",
    show_envvar=True,
    help="UTC day to play.  [default: yesterday]",
)
@click.option(
    "--events",
    type=click.IntRange(min=1000),
    default=300_000,
    show_default=True,
    envvar="ECOMMERCE_DEMO_EVENTS",
    show_envvar=True,
    help="About how many events the day has.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed, another day.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=FOLDER,
    help="Where results, logs and the servers' data go.  [default: build/demo]",
)
@click.option("--keep", is_flag=True, envvar="KEEP", show_envvar=True, help="Leave the servers and jobs up.")
def main(day: datetime | None, events: int, seed: int, folder: Path, keep: bool) -> None:
    """Play a simulated shop day through the whole pipeline on real servers, and count what came out.

    Exit code 0 only if nothing was lost and nothing counted twice. Results are in build/demo.
    """
    console = Console(width=None if sys.stdout.isatty() else 100)
    chosen = day.date() if day else (datetime.now(UTC) - timedelta(days=1)).date()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does: with nothing left running
    demo = Demo(chosen, events, seed, folder.resolve(), console)
    finished = False
    try:
        shown = demo.play()
        finished = True
    finally:
        if not (keep and finished):
            demo.stack.down()
    if keep:
        shown.summary["page"] = demo.stack.server(SERVING).ui
    (folder / "summary.json").write_text(json.dumps(shown.summary, indent=2) + "\n")
    report.write_page(folder / "report.html", shown)
    if keep:
        console.print(f"The shop's live page: {shown.summary['page']}\n", highlight=False)
    report.show(console, shown)
    relative = os.path.relpath(folder, Path.cwd())
    console.print(
        f"\nThe same as a page: {relative}/report.html; figures: {relative}/summary.json; CSVs: {relative}/csv"
    )
    console.print(f"{shown.summary['seconds']['total']} s in all: {demo.seconds}", style="dim", highlight=False)
    if keep:
        _keep_up(demo, console)
    sys.exit(bool(shown.summary["problems"]))


if __name__ == "__main__":
    run(main)

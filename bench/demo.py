"""How long ``make demo`` takes on a warm machine, phase by phase, and how much memory its processes hold together."""

import json
import subprocess
import sys

import click

from bench.measure import Memory, report
from contracts.command import run
from contracts.errors import Failed
from local import demo
from local.site import ROOT
from local.stack import Stack


@click.command()
def main() -> None:
    """Measure the demo: seconds by phase, their share of the whole, and peak memory."""
    process = subprocess.Popen(
        [sys.executable, "-m", "local.demo"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    commands, peak = Memory(process.pid), 0
    stack = Stack(demo.FOLDER / "stack")
    while process.poll() is None:
        peak = max(peak, sum(server.rss_bytes for server in stack.status()))
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            continue
    if process.returncode:
        raise Failed(f"the demo ended with exit code {process.returncode}")
    seconds = json.loads((demo.FOLDER / "summary.json").read_text())["seconds"]
    report(
        "demo",
        {
            **{f"{phase}_seconds": value for phase, value in seconds.items()},
            "ratio_total_to_servers": round(seconds["total"] / seconds["servers"], 2),
            "servers_and_jobs_peak_mib": round(peak / 2**20),
            "demo_and_airflow_peak_mib": round(commands.stop() / 2**20),
        },
    )


if __name__ == "__main__":
    run(main)

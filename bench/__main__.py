"""``python -m bench`` (``make bench``): every measurement in turn; results under build/bench, one JSON each."""

import subprocess
import sys

import click

from contracts.command import run
from contracts.errors import Failed

ALL = {
    "generator": ["bench.generator"],
    "ingest": ["bench.ingest"],
    "speed": ["bench.speed"],
    "speed-with-ingest": ["bench.speed", "--with-ingest"],
    "freshness": ["bench.freshness"],
    "demo": ["bench.demo"],
    "any-bytes": ["bench.any_bytes"],
    "kills": ["bench.kills"],
    "serving": ["bench.serving"],
    "month": ["bench.month"],
    "kubernetes": ["bench.kubernetes"],
    "kubernetes-ingest": ["bench.kubernetes_ingest"],
}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(ALL)), metavar=f"[{'|'.join(ALL)}]...")
def main(names: tuple[str, ...]) -> None:
    """Measure all, or the named."""
    for name in names or ALL:
        if code := subprocess.run([sys.executable, "-m", *ALL[name]]).returncode:
            raise Failed(f"the benchmark {name} ended with exit code {code}")


if __name__ == "__main__":
    run(main)

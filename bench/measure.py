"""What the benchmarks share: a stack of their own, memory of a process tree, results as JSON and on the terminal."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
import psutil

from local.ports import Ports
from local.site import ROOT
from local.stack import Stack

REPORTS: Final = ROOT / "build" / "bench"


@contextmanager
def fresh_stack(only: set[str] | None = None) -> Iterator[Stack]:
    """Servers without data, on ports of their own; stopped at the end."""
    stack = Stack(REPORTS / "stack", Ports.free())
    stack.down(wipe=True)
    stack.up(only)
    try:
        yield stack
    finally:
        stack.down()


class Memory:
    """The peak of what a process and its descendants hold, in bytes (PSS: shared pages are divided, not doubled)."""

    def __init__(self, pid: int) -> None:
        self.peak = 0
        self._process = psutil.Process(pid)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(0.5):
            try:
                family = [self._process, *self._process.children(recursive=True)]
                self.peak = max(self.peak, sum(member.memory_full_info().pss for member in family))
            except psutil.Error:
                continue

    def stop(self) -> int:
        self._stop.set()
        self._thread.join()
        return self.peak


def report(name: str, figures: dict[str, Any]) -> None:
    """Writes build/bench/<name>.json and prints the figures."""
    path: Path = REPORTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=1) + "\n")
    click.echo(f"\n{name}")
    for key, value in figures.items():
        if isinstance(value, int | float | str):
            click.echo(f"  {key:40} {value:>12,}" if not isinstance(value, str) else f"  {key:40} {value:>12}")

"""Shows how far each step is, with its elapsed time: a live table on a terminal, plain lines elsewhere."""

import threading
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

Report = Callable[[str, str, str], None]
"""Called with a step's name, its state and a detail, as :meth:`Progress.update` is."""
FINAL = ("ready", "stopped", "failed")
STYLES = {"ready": "green", "stopped": "green", "failed": "bold red", "waiting": "dim"}


class Progress:
    """A context manager; ``update`` may be called from any thread."""

    def __init__(self, title: str, names: list[str]) -> None:
        self._title = title
        self._console = Console(stderr=True, highlight=False)
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._states = {name: ("waiting", "") for name in names}
        self._started: dict[str, float] = {}
        self._ended: dict[str, float] = {}
        self._live = Live(get_renderable=self._table, console=self._console, refresh_per_second=8, transient=False)

    def __enter__(self) -> "Progress":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def update(self, name: str, state: str, detail: str = "") -> None:
        """A step's new state: ``waiting``, one of ``FINAL``, or what it does."""
        now = time.monotonic()
        with self._lock:
            before, _ = self._states.get(name, ("", ""))
            self._states[name] = (state, detail)
            if state != "waiting":
                self._started.setdefault(name, now)
            if state in FINAL:
                self._ended[name] = now
            if not self._console.is_terminal and state != before:
                self._line(name, state, detail, now)

    def _line(self, name: str, state: str, detail: str, now: float) -> None:
        took = f"after {now - self._started[name]:.1f} s" if state in FINAL else detail
        self._console.print(f"{now - self._began:6.1f} s  {name:<24} {state} {took}".rstrip(), soft_wrap=True)

    def _table(self) -> Table:
        now = time.monotonic()
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_row("", Text(self._title, style="bold"), Text(f"{now - self._began:5.1f} s"), "")
        with self._lock:
            for name, (state, detail) in self._states.items():
                mark = Text("✓", style="green") if state in FINAL[:2] else Text("✗" if state == "failed" else " ")
                busy = Spinner("dots") if state not in FINAL and state != "waiting" else mark
                spent = self._ended.get(name, now) - self._started[name] if name in self._started else None
                style = STYLES.get(state, "cyan")
                elapsed = Text(f"{spent:5.1f} s" if spent is not None else "")
                table.add_row(busy, name, elapsed, Text(f"{state} {detail}".strip(), style=style, overflow="ellipsis"))
        return table

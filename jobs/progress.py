"""How far a long command is: a bar on a terminal, log lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LOG_SECONDS: Final = 10.0
"""Between two log lines."""
log = structlog.get_logger()


@contextmanager
def shown(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Gives a function to call with how many more of ``total`` are done; shows them on stderr."""
    if sys.stderr.isatty():
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
            task = bar.add_task(what, total=total)
            yield lambda more: bar.advance(task, more)
        return
    done, said = 0, time.monotonic()

    def advance(more: int) -> None:
        nonlocal done, said
        done += more
        if time.monotonic() - said >= LOG_SECONDS:
            said = time.monotonic()
            log.info(what, done=done, of=total)

    yield advance
    log.info(what, done=done, of=total)

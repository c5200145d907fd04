"""Points at which a streaming job's process is killed: ``CRASH_AT=<point>`` with tests/support/crash on the path.

tests/support/crash/sitecustomize.py applies the point in the driver and in the Python workers alike.
"""

import os
import signal
from collections.abc import Callable
from typing import Any

from clients.kafka import Sender
from jobs import progress
from jobs.streaming.commits import Writer
from jobs.streaming.views import Partition


def die(*_: Any) -> None:
    """Kills this process's group: the driver with its JVM, or Spark's Python workers."""
    os.killpg(os.getpgid(0), signal.SIGKILL)


def after(owner: type, name: str) -> None:
    """Dies as soon as a method has returned."""
    original: Callable[..., Any] = getattr(owner, name)

    def dying(*arguments: Any, **keywords: Any) -> None:
        original(*arguments, **keywords)
        die()

    setattr(owner, name, dying)


def in_a_batch(name: str, before: bool = False) -> None:
    """Dies before or after a step of the writer's, but not while it starts: those commits have no files."""
    original: Callable[..., Any] = getattr(Writer, name)

    def dying(log: Writer, commit: Any) -> Any:
        if before and commit.files:
            die()
        done = original(log, commit)
        if commit.files:
            die()
        return done

    setattr(Writer, name, dying)


def halfway_through_publishing() -> None:
    """Dies when only the first file of a commit has been renamed."""
    original = Writer.publish

    def dying(log: Writer, commit: Any) -> Any:
        if not commit.files:
            return original(log, commit)
        commit.files, commit.staging = commit.files[:1], ""
        original(log, commit)
        return die()

    Writer.publish = dying  # type: ignore[method-assign]


def halfway_through_rebuilding() -> None:
    """Dies when half of the partitions are counted, and values of the next one."""
    original, calls = Partition.finish, []

    def dying(partition: Partition, newest_ms: int | None) -> None:
        calls.append(partition)
        if len(calls) > 4:
            die()
        original(partition, newest_ms)

    Partition.finish = dying  # type: ignore[method-assign]


POINTS: dict[str, Callable[[], None]] = {
    "staged-not-committed": lambda: in_a_batch("append", before=True),
    "committed-not-published": lambda: in_a_batch("append"),
    "half-published": halfway_through_publishing,
    "published-not-checkpointed": lambda: in_a_batch("publish"),
    "counted-without-progress": lambda: setattr(Partition, "finish", die),
    "counted-with-progress": lambda: after(Partition, "finish"),
    "rebuild-emptied": lambda: setattr(progress, "shown", die),
    "rebuild-half": halfway_through_rebuilding,
    "replay-written-not-sent": lambda: setattr(Sender, "send", die),
    "replay-sent-not-settled": lambda: after(Sender, "close"),
}

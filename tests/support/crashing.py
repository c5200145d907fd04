"""Points at which a streaming job's process is killed: ``CRASH_AT=<point>`` with tests/support/crash on the path.

tests/support/crash/sitecustomize.py applies the point in the driver and in the Python workers alike.
"""

import os
import signal
from collections.abc import Callable
from typing import Any

from jobs.streaming.commits import Commit, CommitLog
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


def halfway_through_publishing() -> None:
    """Dies when only the first file of a commit has been renamed."""
    original = CommitLog.publish

    def dying(self: CommitLog, commit: Commit) -> None:
        commit.files = commit.files[:1]
        self.staging_folder = lambda *_: "/not-staged"  # type: ignore[method-assign]
        original(self, commit)
        die()

    CommitLog.publish = dying  # type: ignore[method-assign]


POINTS: dict[str, Callable[[], None]] = {
    "staged-not-committed": lambda: setattr(CommitLog, "append", die),
    "committed-not-published": lambda: after(CommitLog, "append"),
    "half-published": halfway_through_publishing,
    "published-not-checkpointed": lambda: after(CommitLog, "publish"),
    "counted-without-progress": lambda: setattr(Partition, "finish", die),
    "counted-with-progress": lambda: after(Partition, "finish"),
}

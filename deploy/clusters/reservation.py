"""Whoever runs tests on the cluster of this machine has it alone until they are done: a lock on a file in the cache."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

import psutil

from contracts.errors import Mistake
from local.install import cache


@contextmanager
def reserved(who: str, say: Callable[[str], None]) -> Iterator[None]:
    """Keeps everybody else from the cluster; waits until another who has reserved it is done, and says so."""
    with _file() as file:
        if not _take(file, fcntl.LOCK_EX):
            say(f"waiting for the cluster: {_holder(file)[1]} has it")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(f"{os.getpid()} {who}")
        file.flush()
        yield


def require() -> None:
    """Raises :class:`Mistake` where the cluster is reserved by another than this process and those that began it."""
    with _file() as file:
        if _take(file, fcntl.LOCK_SH):
            return
        process, who = _holder(file)
    if process not in {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}:
        raise Mistake(f"{who} (process {process}) has the cluster of this machine to itself; wait until that is done")


def _file() -> IO[str]:
    cache().mkdir(parents=True, exist_ok=True)
    return (cache() / "cluster.lock").open("a+")


def _take(file: IO[str], kind: int) -> bool:
    """Takes the lock for as long as the file is open, unless another has it."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(file: IO[str]) -> tuple[int, str]:
    """The process that has the lock, and what it says of itself."""
    file.seek(0)
    process, _, who = file.read().partition(" ")
    return (int(process), who) if who else (0, "another process")

"""Programs of the repository as tests run them: ``Job`` is the fixture ``job``."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from local import jobs
from local.site import ROOT
from local.stack import Stack

Done = subprocess.CompletedProcess[str]
Job = Callable[..., Done]
INGEST = ("jobs.streaming.ingest", "--available-now")
SPEED = ("jobs.streaming.speed", "--available-now")
CRASHING = {"PYTHONPATH": f"{ROOT}/tests/support/crash:{ROOT}"}
"""The environment in which ``CRASH_AT`` is heeded."""


def run(*command: str, variables: Mapping[str, str] | None = None, timeout: float = 300, cwd: Path = ROOT) -> Done:
    """Runs ``python -m COMMAND`` to its end; ``variables`` are its whole environment, the test's own without them."""
    program = [sys.executable, "-m", *command]
    return subprocess.run(program, cwd=cwd, env=variables, capture_output=True, text=True, timeout=timeout)


def start(stack: Stack, *command: str, log: int | IO[bytes] = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """Starts ``python -m COMMAND`` against a local stack, in a process group of its own, for :func:`kill_group`."""
    return jobs.start(stack.site, *command, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(20)


def job_environment(stack: Stack) -> dict[str, str]:
    """The environment in which a job reaches a local stack."""
    return {**os.environ, **jobs.environment(stack.site)}


def ok(result: Done) -> None:
    assert result.returncode == 0, result.stderr[-3000:]

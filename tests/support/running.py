"""Jobs as tests run them: ``Job`` is the fixture ``job``."""

import os
import subprocess
from collections.abc import Callable

from local.jobs import environment
from local.site import ROOT
from local.stack import Stack

Job = Callable[..., subprocess.CompletedProcess[str]]
CRASHING = {"PYTHONPATH": f"{ROOT}/tests/support/crash:{ROOT}"}
"""The environment in which ``CRASH_AT`` is heeded."""


def job_environment(stack: Stack) -> dict[str, str]:
    """The environment in which a job reaches a local stack."""
    return {**os.environ, **environment(stack.site)}


def ok(result: subprocess.CompletedProcess[str]) -> None:
    assert result.returncode == 0, result.stderr[-3000:]

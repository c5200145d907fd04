"""Jobs as tests run them: ``Job`` is the fixture ``job``."""

import subprocess
from collections.abc import Callable

from tests.conftest import ROOT

Job = Callable[..., subprocess.CompletedProcess[str]]
CRASHING = {"PYTHONPATH": f"{ROOT}/tests/support/crash:{ROOT}"}
"""The environment in which ``CRASH_AT`` is heeded."""


def ok(result: subprocess.CompletedProcess[str]) -> None:
    assert result.returncode == 0, result.stderr[-3000:]

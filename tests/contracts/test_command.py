"""Every ``python -m …`` of the repository says what it does."""

import re
import subprocess
import sys

import pytest

from docs.reference import ROOT, programs


@pytest.mark.parametrize("program", [*programs(), "jobs.batch.revenue"])
def test_help(program: str) -> None:
    done = subprocess.run([sys.executable, "-m", program, "-h"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    usage, _, text = done.stdout.partition("\n\n")
    assert usage.lower().startswith("usage: ")
    assert re.match(r" {0,2}[A-Z]\w", text), "one sentence says what it does"
    assert "-h, --help" in text

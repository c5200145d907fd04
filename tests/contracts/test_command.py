"""Every ``python -m …`` of the repository says what it does."""

import re

import pytest

from docs.reference import programs
from tests.support.running import run


@pytest.mark.parametrize("program", [*programs(), "jobs.batch.revenue"])
def test_help(program: str) -> None:
    done = run(program, "-h")
    assert done.returncode == 0, done.stderr
    usage, _, text = done.stdout.partition("\n\n")
    assert usage.lower().startswith("usage: ")
    assert re.match(r" {0,2}[A-Z]\w", text), "one sentence says what it does"
    assert "-h, --help" in text

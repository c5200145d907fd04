"""Every ``python -m …`` of the repository says what it does."""

import re
import subprocess
import sys

import pytest

from local.site import ROOT

PACKAGES = ("bench", "clients", "contracts", "deploy", "generator", "images", "jobs", "local", "serving")
PROGRAMS = sorted(
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for package in PACKAGES
    for file in (ROOT / package).rglob("*.py")
    if file.name == "__main__.py" or 'if __name__ == "__main__":' in file.read_text()
)


@pytest.mark.parametrize("program", [*PROGRAMS, "jobs.batch.revenue"])
def test_help(program: str) -> None:
    done = subprocess.run([sys.executable, "-m", program, "-h"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    usage, _, text = done.stdout.partition("\n\n")
    assert usage.lower().startswith("usage: ")
    assert re.match(r" {0,2}[A-Z]\w", text), "one sentence says what it does"
    assert "-h, --help" in text

"""Programs of others, run to their end."""

import subprocess
from collections.abc import Sequence
from typing import Any

from contracts.errors import Failed

CHARACTERS = 1000
"""Of what a program complained about, from the end."""


def call(command: Sequence[str], what: str, **options: Any) -> str:
    """What a program prints; ``options`` are those of ``subprocess.run``.

    Raises :class:`Failed` with the program's own words, and with ``what`` it was to do, when it does not exit with 0.
    """
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", **options)
    if done.returncode:
        raise Failed(f"{what} failed: {(done.stderr.strip() or done.stdout.strip())[-CHARACTERS:]}")
    return done.stdout

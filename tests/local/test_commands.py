"""What a person types."""

import subprocess

import pytest
from click.testing import CliRunner

from local.__main__ import main
from local.site import ROOT


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 3


def test_make_alone_lists_its_targets() -> None:
    answer = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert all(f"make {name} " in answer for name in ("demo", "test", "bench", "local-up", "sql", "lock", "clean"))

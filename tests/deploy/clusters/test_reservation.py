"""Tests have the cluster of this machine to themselves, in processes of their own as two checkouts are."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from contracts.errors import Mistake
from deploy.clusters.reservation import require, reserved
from local.site import ROOT
from tests.support.running import ok, run

PROGRAM = "tests.support.reservation"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@contextmanager
def another() -> Iterator["subprocess.Popen[str]"]:
    """Another process that reserves the cluster, until it is given a line."""
    command = [sys.executable, "-m", PROGRAM, "hold"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def test_who_has_the_cluster_is_said_in_one_sentence() -> None:
    with another() as process:
        assert line(process) == "reserved"
        with pytest.raises(Mistake, match=rf"^the tests of elsewhere \(process {process.pid}\) has the cluster"):
            require()
        process.communicate("done\n", timeout=20)
        require()


def test_a_holder_that_was_killed_has_nothing() -> None:
    with another() as process:
        assert line(process) == "reserved"
        process.kill()
        process.wait(20)
        require()


def test_another_waits_and_says_for_whom() -> None:
    with another() as first, another() as second:
        lines = {line(process): process for process in (first, second)}
        waiting = lines.pop("waiting for the cluster: the tests of elsewhere has it")
        lines.pop("reserved").communicate("done\n", timeout=20)
        assert line(waiting) == "reserved"


def test_the_holder_and_what_it_starts_have_the_cluster() -> None:
    with reserved("the tests of here", print):
        require()
        ok(run(PROGRAM, "require"))

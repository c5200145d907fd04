"""What a broker waits for before it stops; a program that prints what kcat would stands in for a cluster."""

import importlib.machinery
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from local.site import ROOT

SCRIPT = ROOT / "images" / "kafka" / "stop-when-safe"
LEAST = 2


def loaded() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("stop_when_safe", str(SCRIPT))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


STOP = loaded()


def partition(number: int, replicas: list[int], in_step: list[int]) -> dict[str, Any]:
    """As ``kcat -L -J`` prints it."""
    copies, isrs = ([{"id": broker} for broker in brokers] for brokers in (replicas, in_step))
    return {"partition": number, "leader": in_step[0] if in_step else -1, "replicas": copies, "isrs": isrs}


def metadata(*partitions: dict[str, Any]) -> dict[str, Any]:
    return {"controllerid": 0, "brokers": [], "topics": [{"topic": "clicks", "partitions": list(partitions)}]}


@pytest.mark.parametrize(
    ("replicas", "in_step", "waits"),
    [
        ([0, 1, 2], [0, 1, 2], False),
        ([0, 1, 2], [0, 1], True),
        ([0, 1, 2], [0], True),
        ([0, 1, 2], [1, 2], False),  # it is not in step itself
        ([1, 2, 3], [1, 2], False),
        ([0, 1], [0, 1], False),  # written with fewer copies: the other one is what is left
        ([0, 1], [0], True),
        ([0], [0], False),
        ([0, 1, 2], [], False),
    ],
)
def test_a_broker_is_needed_where_too_few_others_are_in_step(
    replicas: list[int], in_step: list[int], waits: bool
) -> None:
    found = STOP.endangered(metadata(partition(3, replicas, in_step)), 0, LEAST)
    assert found == (["clicks/3"] if waits else [])


@given(in_step=some.sets(some.integers(0, 2)), broker=some.integers(0, 2))
def test_a_stop_that_is_safe_leaves_the_minimum_where_it_was_kept(in_step: set[int], broker: int) -> None:
    safe = not STOP.endangered(metadata(partition(0, [0, 1, 2], sorted(in_step))), broker, LEAST)
    if safe and len(in_step) >= LEAST:
        assert len(in_step - {broker}) >= LEAST


def run(command: list[str], seconds: float = 30) -> tuple[float, subprocess.CompletedProcess[str]]:
    began = time.monotonic()
    environment = {"HOSTNAME": "lambda-kafka-1", "PATH": ""}
    done = subprocess.run(
        [sys.executable, SCRIPT, f"{seconds}", f"{LEAST}", *command], env=environment, capture_output=True, text=True
    )
    return time.monotonic() - began, done


def prints(file: Path) -> list[str]:
    return [sys.executable, "-c", f"print(open({str(file)!r}).read())"]


def test_it_waits_until_the_others_are_in_step(tmp_path: Path) -> None:
    file = tmp_path / "metadata.json"
    behind, whole = (metadata(partition(0, [0, 1, 2], in_step)) for in_step in ([0, 1], [0, 1, 2]))
    file.write_text(json.dumps(behind))
    later = f"import time; time.sleep(3); open({str(file)!r}, 'w').write({json.dumps(whole)!r})"
    process = subprocess.Popen([sys.executable, "-c", later])
    seconds, done = run(prints(file))
    process.wait()
    assert (done.returncode, 2 < seconds < 20) == (0, True)


def test_it_waits_no_longer_than_it_is_told(tmp_path: Path) -> None:
    file = tmp_path / "metadata.json"
    file.write_text(json.dumps(metadata(partition(0, [0, 1, 2], [0, 1]))))
    seconds, done = run(prints(file), 2)
    assert (done.returncode, 2 < seconds < 15) == (0, True)


@pytest.mark.parametrize("command", [["false"], ["/nothing"], ["echo", "{}"], ["echo", "no JSON"]])
def test_a_broker_that_does_not_answer_is_not_waited_for(command: list[str]) -> None:
    seconds, done = run([f"/bin/{command[0]}", *command[1:]] if "/" not in command[0] else command)
    assert (done.returncode, seconds < 15) == (0, True)

"""The real servers behind the integration tests: a stack in each process that runs such tests, fresh, on free ports.

`make test` shares the tests between two processes (pytest-xdist): the tests of streaming have a stack, all others that
need one have another, in their own order; those without a stack go by file, those on a cluster last, in one process.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.settings import Settings
from local.ports import Ports
from local.site import ROOT
from local.stack import Stack
from tests.support.running import Done, Job, job_environment, run

logging.getLogger("py4j").setLevel(logging.ERROR)  # it says goodbye after pytest has closed its streams


HERE = Path(__file__).parent
PROCESS = os.environ.get("PYTEST_XDIST_WORKER", "")


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the marks in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Says which tests stay in one process, one after the other."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group(group(item)))


def group(item: pytest.Item) -> str:
    if "local_stack" not in getattr(item, "fixturenames", ()):
        return item.location[0]
    return "streaming" if HERE / "jobs" / "streaming" in item.path.parents else "lake"


@pytest.fixture(scope="package")
def local_stack() -> Iterator[Stack]:
    """All servers of the local stack, ready, with folders, topics and tables created and no data."""
    stack = Stack(ROOT / "build" / f"test{PROCESS}", Ports.free())
    stack.down(wipe=True)
    stack.up()
    yield stack
    stack.down()


@pytest.fixture(scope="package")
def stack(local_stack: Stack) -> Settings:
    """The settings that reach the servers."""
    return local_stack.settings()


@pytest.fixture(scope="package")
def job(stack: Settings, local_stack: Stack) -> Job:
    """Runs ``python -m MODULE ARGUMENTS`` against the servers and returns what it printed and its exit code."""
    environment = job_environment(local_stack)

    def run_job(*arguments: str, timeout: float = 300, **variables: str) -> Done:
        return run(*arguments, variables={**environment, **variables}, timeout=timeout)

    return run_job

"""The real servers behind the integration tests: one stack for them all, fresh, on free ports and in its own folder.

It ends with the last of these tests, before those on a cluster begin.
"""

import logging
from collections.abc import Iterator

import pytest

from contracts.settings import Settings
from local.ports import Ports
from local.site import ROOT
from local.stack import Stack
from tests.support.running import Done, Job, job_environment, run

logging.getLogger("py4j").setLevel(logging.ERROR)  # it says goodbye after pytest has closed its streams


@pytest.fixture(scope="package")
def local_stack() -> Iterator[Stack]:
    """All servers of the local stack, ready, with folders, topics and tables created and no data."""
    stack = Stack(ROOT / "build" / "test", Ports.free())
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

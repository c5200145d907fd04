"""The real servers behind the integration tests: a stack in each process that runs such tests, fresh, on free ports.

`make test` shares the tests between two processes (pytest-xdist), each with a stack.
"""

import logging
import os
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

from contracts.settings import Settings
from local.ports import Ports
from local.site import ROOT
from local.stack import Stack
from tests.support.running import Done, Job, job_environment, run

logging.getLogger("py4j").setLevel(logging.ERROR)  # it says goodbye after pytest has closed its streams
hypothesis.settings.register_profile("noisy machines", deadline=None)
hypothesis.settings.load_profile("noisy machines")


STREAMING = tuple(
    f"tests/{name}"
    for name in (
        "jobs/streaming/",
        "local/test_demo",
        "contracts/",
        "dags/",
        "docs/",
        "deploy/",
        "generator/",
        "images/",
    )
)
PROCESS = os.environ.get("PYTEST_XDIST_WORKER", "")


class Halves(LoadScopeScheduling):
    """What the processes take: a half each, with its stack, then the modules that need none, of k8s-tests/."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith("k8s-tests/"):
            return nodeid.partition("::")[0]
        return "streaming" if nodeid.startswith(STREAMING) else "all others"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Halves:
    return Halves(config, log)


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

    def run_job(*arguments: str, timeout: float = 600, **variables: str) -> Done:
        return run(*arguments, variables={**environment, **variables}, timeout=timeout)

    return run_job

"""Starting and ending, with small servers instead of the real ones."""

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from contracts.errors import PlatformError
from local.ports import HOST, Ports
from local.servers import Server
from local.site import ROOT, Site
from local.stack import Stack
from tests.support.web_server import web_server


@pytest.fixture
def free_ports() -> Ports:
    """Ports that nobody holds."""
    return Ports.free()


@pytest.fixture
def small(tmp_path: Path, free_ports: Ports) -> Iterator[Stack]:
    """A stack of two web servers, the second after the first."""
    stack = Stack(tmp_path / "stack", free_ports, [web_server("zookeeper"), web_server("kafka", after=("zookeeper",))])
    yield stack
    stack.down(wipe=True)


def states(stack: Stack) -> dict[str, str]:
    return {server.name: server.state for server in stack.status()}


def test_up_starts_all_and_down_leaves_nothing(small: Stack) -> None:
    small.up()
    assert states(small) == {"zookeeper": "RUNNING", "kafka": "RUNNING"}
    pids = [server.pid for server in small.status()]
    supervisord = psutil.Process(pids[0]).ppid()
    small.up()
    assert [server.pid for server in small.status()] == pids, "a second start changes nothing"
    small.down()
    assert not any(psutil.pid_exists(pid) for pid in [*pids, supervisord])
    assert states(small) == {"zookeeper": "STOPPED", "kafka": "STOPPED"}


def test_only_starts_what_is_named_and_needed(small: Stack) -> None:
    small.up({"zookeeper"})
    assert states(small) == {"zookeeper": "RUNNING", "kafka": "STOPPED"}


def test_a_killed_server_starts_again(small: Stack) -> None:
    small.up()
    small.kill("zookeeper")
    assert states(small) == {"zookeeper": "EXITED", "kafka": "RUNNING"}
    small.up()
    assert states(small) == {"zookeeper": "RUNNING", "kafka": "RUNNING"}


def test_servers_that_outlive_their_supervisor_are_ended(small: Stack) -> None:
    small.up()
    pids = [server.pid for server in small.status()]
    psutil.Process(psutil.Process(pids[0]).ppid()).kill()
    time.sleep(0.3)
    assert all(psutil.pid_exists(pid) for pid in pids)
    small.down()
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_server_that_dies_shows_the_end_of_its_log(tmp_path: Path, free_ports: Ports) -> None:
    broken = web_server("kafka", ("zookeeper",), "print('line 1'); raise SystemExit('the disk is made of cheese')")
    stack = Stack(tmp_path / "stack", free_ports, [web_server("zookeeper"), broken])
    with pytest.raises(PlatformError) as error:
        stack.up()
    assert str(error.value).startswith("kafka died while it started")
    assert "the disk is made of cheese" in str(error.value)
    assert str(stack.site.log("kafka")) in str(error.value)
    assert states(stack) == {"zookeeper": "STOPPED", "kafka": "STOPPED"}, "what had started is stopped again"


def test_a_server_whose_program_is_missing_is_reported(tmp_path: Path, free_ports: Ports) -> None:
    missing = Server(
        name="kafka",
        command=lambda _: ["/nonexistent/program"],
        conf=(),
        ports=("kafka",),
        ready=lambda _: None,
    )
    with pytest.raises(PlatformError, match=r"kafka cannot be started: .*/nonexistent/program"):
        Stack(tmp_path, free_ports, [missing]).up()


def test_a_taken_port_stops_the_start_before_anything_runs(small: Stack) -> None:
    port = small.site.ports.kafka
    with socket.create_server((HOST, port)), pytest.raises(PlatformError, match="ECOMMERCE_PORT_KAFKA"):
        small.up()
    assert states(small) == {"zookeeper": "STOPPED", "kafka": "STOPPED"}


def test_a_failing_preparation_shows_what_its_program_said(tmp_path: Path, free_ports: Ports) -> None:
    from local.tools import run_tool

    with pytest.raises(PlatformError, match=r"preparing kafka failed with exit code 3:\n  no room left"):
        run_tool(Site(tmp_path, free_ports), "kafka", [sys.executable, "-c", "print('no room left'); exit(3)"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_start_leaves_nothing_running(number: int, tmp_path: Path, free_ports: Ports) -> None:
    ports = (str(free_ports.zookeeper), str(free_ports.kafka))
    command = [sys.executable, "-m", "tests.support.unfinished_start", str(tmp_path), *ports]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as starting:
        assert starting.stderr
        for line in starting.stderr:
            if re.search("kafka +starting", line):
                break
        time.sleep(0.5)
        starting.send_signal(number)
        starting.communicate(timeout=20)
    assert starting.returncode
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or [])]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, free_ports.zookeeper), 1)

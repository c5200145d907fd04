"""The API as a process: its command line, the real servers behind it, frozen ones, and requests that a fuzzer makes."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec
import psutil
import pytest
import requests

from clients.retry import until
from contracts.errors import NotReady, Unreachable
from contracts.settings import Settings
from local.ports import HOST, free
from local.site import ROOT
from local.stack import Stack
from tests.serving.api import NO_HANG
from tests.support.collector import collector
from tests.support.running import run

PASSWORD = "correct horse battery"  # noqa: S105


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "give either --password-file"),
        (("--open", "--password-file", "x"), "give either --password-file"),
        (("--password-file", "/nothing/there"), "cannot be read from /nothing/there"),
        (("--password-file", "{short}"), "shorter than 12 characters"),
        (("--open", "--port", "0"), "--port"),
        (("--open", "--metrics-port", "{taken}"), "cannot serve metrics"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: tuple[str, ...], told: str, tmp_path: Path) -> None:
    short = tmp_path / "password"
    short.write_text("secret\n")
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        values = {"short": short, "taken": taken.getsockname()[1]}
        result = run("serving.api", *(argument.format(**values) for argument in arguments), timeout=60)
    assert result.returncode == 2
    assert told in result.stderr
    assert "Traceback" not in result.stderr


@contextmanager
def serving(settings: Settings, *arguments: str, log: int | IO[bytes] | None = None) -> Iterator[str]:
    """An API of its own; its address."""
    (port,) = free(1)
    command = [sys.executable, "-m", "serving.api", "--port", str(port), *arguments]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **settings.as_environment()}
    with subprocess.Popen(command, cwd=ROOT, env=variables, stderr=log) as process:

        def answers() -> bool:
            try:
                return requests.get(f"http://{HOST}:{port}/healthz", timeout=5).ok
            except requests.ConnectionError as error:
                raise Unreachable(str(error)) from error

        try:
            until(answers, seconds=60, pause=0.2)
            yield f"http://{HOST}:{port}"
        finally:
            process.terminate()
            assert process.wait(20) == 0


def test_a_password_is_asked_for(stack: Settings, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    (metrics,) = free(1)
    with serving(stack, "--password-file", str(file), "--metrics-port", str(metrics)) as address:
        assert requests.get(f"{address}/v1/today", timeout=10).status_code == 401
        assert requests.get(f"{address}/v1/today", timeout=10, auth=("shop", PASSWORD)).status_code == 200
        told = requests.get(f"http://{HOST}:{metrics}/metrics", timeout=10).text
    assert "ecommerce_api_live_listeners" in told
    assert PASSWORD not in told


def test_servers_that_are_not_there(tmp_path: Path) -> None:
    with serving(Settings(webhdfs_url=f"http://{HOST}:1", hbase_thrift_port=1, sql_port=1), "--open") as address:
        for path in ("/v1/today", "/v1/freshness", "/v1/funnel?first=2026-11-23", "/v1/stock/P00001"):
            began = time.monotonic()
            answer = requests.get(address + path, timeout=10)
            assert answer.status_code == 503, path
            assert int(answer.headers["retry-after"]) > 0
            assert time.monotonic() - began < NO_HANG


@contextmanager
def frozen(stack: Stack, name: str) -> Iterator[None]:
    (pid,) = [server.pid for server in stack.status() if server.name == name]
    process = psutil.Process(pid)
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def test_a_server_that_hangs_holds_up_nobody_who_does_not_need_it(local_stack: Stack, api: str) -> None:
    def ask(path: str) -> tuple[int, float]:
        began = time.monotonic()
        return requests.get(api + path, timeout=30).status_code, time.monotonic() - began

    assert ask("/v1/stock?limit=1")[0] == 200
    assert ask("/v1/days?first=2026-11-23")[0] == 200
    with frozen(local_stack, "hbase-thrift"), ThreadPoolExecutor(100) as pool:
        hanging = [pool.submit(ask, "/v1/stock?limit=1") for _ in range(100)]
        time.sleep(0.1)
        needless = [pool.submit(ask, "/v1/days?first=2026-11-23") for _ in range(5)]
        assert {answer.result()[0] for answer in needless} == {200}
        assert {answer.result()[0] for answer in hanging} == {503}
        assert max(answer.result()[1] for answer in hanging) < NO_HANG

    def served() -> bool:
        status, _ = ask("/v1/stock?limit=1")
        if status != 200:
            raise NotReady(f"{status}")
        return True

    until(served, seconds=30)


def test_the_live_stream_begins_with_all_and_goes_on_with_what_changed(api: str) -> None:
    found = []
    with requests.get(f"{api}/live", stream=True, timeout=30) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        event = ""
        for line in answer.iter_lines(decode_unicode=True):
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: "):
                found.append((event, msgspec.json.decode(line.removeprefix("data: "))))
            if len(found) == 3:
                break
    assert [event for event, _ in found] == ["snapshot", "change", "change"]
    assert {"revenue", "alerts", "stock", "fresh", "before", "clock"} <= set(found[0][1])
    assert found[0][1]["clock"]["away"] == {}
    assert set(found[2][1]) >= {"clock"}


def test_what_a_fuzzer_asks_is_answered_as_described(api: str) -> None:
    """schemathesis; what is contradictory in itself (a first day after the last) no schema can say."""
    program = Path(sys.executable).with_name("st")
    arguments = ["--exclude-path", "/live", "--max-examples", "15", "--exclude-checks", "positive_data_acceptance"]
    command = [str(program), "run", f"{api}/openapi.json", *arguments, "--request-timeout", "20"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=400, cwd=ROOT / "build")
    assert result.returncode == 0, result.stdout[-5000:]


def test_it_ends_in_good_order_with_listeners(stack: Settings, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log, serving(stack, "--open", log=log) as address:
        listeners = [requests.get(f"{address}/live", stream=True, timeout=30) for _ in range(3)]
        assert all(next(listener.iter_lines()) for listener in listeners)
    assert "ERROR" not in (tmp_path / "log").read_text()


def test_a_request_is_a_trace_with_what_it_asked(stack: Settings, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    began, asked_by = "ab" * 16, "cd" * 8
    with collector() as (endpoint, spans):
        with serving(stack, "--password-file", str(file), "--traces-endpoint", endpoint) as address:
            headers = {"traceparent": f"00-{began}-{asked_by}-01"}
            answer = requests.get(f"{address}/v1/freshness", timeout=30, auth=("shop", PASSWORD), headers=headers)
            assert answer.status_code == 200
            assert requests.get(f"{address}/v1/today", timeout=30).status_code == 401
        (request,) = [span for span in spans if span.parent.hex() == asked_by]
        within = [span.name for span in spans if span.parent == request.id]
    assert request.trace.hex() == began
    assert request.name == "GET /v1/freshness"
    assert {"ask HBase", "ask HDFS"} <= set(within)
    assert not [span for span in spans if "healthz" in span.name or PASSWORD in span.text]
    assert {span.trace for span in spans if span.name.startswith("ask ")} == {request.trace}


def test_a_receiver_of_traces_that_is_away_stops_nothing(stack: Settings, tmp_path: Path) -> None:
    with (
        (tmp_path / "log").open("wb") as log,
        serving(stack, "--open", "--traces-endpoint", f"http://{HOST}:1/v1/traces", log=log) as address,
    ):
        assert requests.get(f"{address}/v1/today", timeout=30).status_code == 200
    assert "Traceback" not in (tmp_path / "log").read_text()

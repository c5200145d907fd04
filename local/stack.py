"""Starts and stops the stack: order by dependency, readiness, what is shown, and what remains when it goes wrong."""

import fcntl
import json
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from clients import retry
from contracts.errors import Failed, Mistake, NotReady
from contracts.settings import Settings
from local import install, tools
from local.ports import Ports, check_free
from local.progress import Progress
from local.servers import SERVERS, Server, with_dependencies
from local.site import Site, default_directory
from local.supervision import Supervisor

START_SECONDS = 180
"""Longest time a server may take to be ready."""
POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Status:
    """What ``python -m local status`` shows of a server."""

    name: str
    state: str
    on_request: bool
    pid: int
    uptime_seconds: int
    rss_bytes: int
    address: str
    ui: str
    log: Path


class Stack:
    """The local servers as one thing. Several may run at a time, each with its own directory and ports."""

    def __init__(
        self, directory: Path | None = None, ports: Ports | None = None, servers: Sequence[Server] = SERVERS
    ) -> None:
        self._servers = tuple(servers)
        site = Site((directory or default_directory()).resolve(), ports or Ports.from_environment())
        self._supervisor = Supervisor(site)
        self._site = site.remembered() if self._supervisor.running() else site

    @property
    def site(self) -> Site:
        return self._site

    def settings(self) -> Settings:
        """The settings with which entry points reach this stack."""
        return self._site.settings()

    def up(self, only: set[str] | None = None) -> None:
        """Starts the servers that do not run yet (``only`` those named, and what they need) and waits until they serve.

        Raises :class:`Failed` when one cannot; then, as after Ctrl-C, what this call started is stopped again.
        """
        servers = with_dependencies(self._servers, only)
        self._site.check()
        if self._servers == SERVERS:
            install_with_progress()
        with self._exclusively():
            self._clear_leftovers()
            mine = [server for server in servers if server.name not in self._running()]
            for server in mine:
                check_free(server.name, server.ports, self._site.ports)
            self._start(servers, mine)

    def down(self, wipe: bool = False) -> None:
        """Stops everything, dependants first; with ``wipe`` removes the data as well."""
        if self._site.directory.exists():
            with self._exclusively(), _undisturbed():
                self._stop([server for server in self._servers if server.name in self._running()])
                self._supervisor.shutdown()
                self._clear_leftovers()
                if wipe:
                    for name in ("data", "run", "tmp", "logs"):
                        shutil.rmtree(self._site.directory / name, ignore_errors=True)

    def prepare(self) -> None:
        """Creates the folders, topics and tables of the contracts that are not there yet, on a stack that runs."""
        running = self._running()
        for server in self._servers:
            if server.then:
                if server.name not in running:
                    raise Mistake(f"{server.name} is not running; start it with `python -m local up`")
                server.then(self._site)

    def kill(self, name: str) -> None:
        """Ends one server with SIGKILL; :meth:`up` starts it again."""
        self._supervisor.kill(name)
        self._wait_until_gone(name, 5)

    def stop(self, name: str) -> None:
        """Ends one server in good order; :meth:`up` starts it again."""
        (server,) = (server for server in self._servers if server.name == name)
        self._supervisor.stop(name)
        self._wait_until_gone(name, server.stop_seconds + 5)

    def _wait_until_gone(self, name: str, seconds: float) -> None:
        retry.until(
            lambda: self._supervisor.process(name),
            lambda process: not process.running,
            seconds=seconds,
            pause=0.05,
            what=f"the end of {name}",
        )

    def status(self) -> list[Status]:
        """All servers, running or not."""
        processes = self._supervisor.processes()
        ports = self._site.ports.as_dict()
        result = []
        for server in self._servers:
            process = processes.get(server.name)
            pid = process.pid if process else 0
            result.append(
                Status(
                    name=server.name,
                    state=process.state if process else "STOPPED",
                    on_request=server.on_request,
                    pid=pid,
                    uptime_seconds=process.seconds if process else 0,
                    rss_bytes=_memory(pid) if pid else 0,
                    address=f"127.0.0.1:{ports[server.ports[0]]}",
                    ui=f"http://127.0.0.1:{ports[server.ui]}" if server.ui else "",
                    log=self._site.log(server.name),
                )
            )
        return result

    def server(self, name: str) -> Status:
        """One of :meth:`status`."""
        return next(server for server in self.status() if server.name == name)

    def _running(self) -> set[str]:
        return {name for name, process in self._supervisor.processes().items() if process.running}

    def _start(self, servers: list[Server], mine: list[Server]) -> None:
        tools.cancelled.clear()
        with _terminable():
            try:
                if not self._supervisor.running():
                    shutil.rmtree(self._site.tmp)  # of servers that were killed
                    self._supervisor.start([server.program(self._site) for server in self._servers])
                    self._site.remember()
                with Progress("Starting the servers", [server.name for server in servers]) as progress:
                    _Starter(self._site, self._supervisor, progress).run(servers, mine)
            except BaseException:
                tools.cancelled.set()
                with _undisturbed():
                    self._stop([server for server in mine if server.name in self._running()])
                    if not self._running():
                        self._supervisor.shutdown()
                        self._clear_leftovers()
                raise
        self._note_processes()

    def _stop(self, servers: list[Server]) -> None:
        """Stops servers, each once those that need it are gone."""
        if not servers:
            return
        waiting = {server.name: {other.name for other in servers if server.name in other.after} for server in servers}
        asked: set[str] = set()
        with Progress("Stopping the servers", [server.name for server in reversed(servers)]) as progress:
            while waiting:
                running = self._running()
                for name in [name for name in waiting if name in asked and name not in running]:
                    del waiting[name]
                    progress.update(name, "stopped")
                for name, dependants in waiting.items():
                    if name not in asked and not dependants & waiting.keys():
                        asked.add(name)
                        progress.update(name, "stopping")
                        self._supervisor.stop(name)
                time.sleep(0.1)

    def _note_processes(self) -> None:
        """Writes down which processes are ours, for the case that supervisord is killed and leaves them behind."""
        pids = [process.pid for process in self._supervisor.processes().values() if process.pid]
        found = {pid: psutil.Process(pid).create_time() for pid in pids if psutil.pid_exists(pid)}
        (self._site.run / "processes.json").write_text(json.dumps(found))

    def _clear_leftovers(self) -> None:
        """Kills processes of this stack that outlived their supervisord."""
        file = self._site.directory / "run" / "processes.json"
        if self._supervisor.running() or not file.exists():
            return
        for pid, created in json.loads(file.read_text()).items():
            try:
                process = psutil.Process(int(pid))
                if process.create_time() == created:
                    process.kill()
                    process.wait(10)
            except psutil.NoSuchProcess:
                continue
        file.unlink()

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        """One ``up`` or ``down`` at a time for a directory."""
        with (self._site.run / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Mistake(f"another command is starting or stopping the stack in {self._site.directory}") from None
            yield


class _Starter:
    """Starts servers in threads, each as soon as what it needs is ready."""

    def __init__(self, site: Site, supervisor: Supervisor, progress: Progress) -> None:
        self._site = site
        self._supervisor = supervisor
        self._progress = progress
        self._ready: dict[str, threading.Event] = {}

    def run(self, servers: list[Server], mine: list[Server]) -> None:
        """Returns when all are ready; raises the first error."""
        self._ready = {server.name: threading.Event() for server in servers}
        for server in servers:
            if server not in mine:
                self._progress.update(server.name, "ready", "it was already running")
                self._ready[server.name].set()
        with ThreadPoolExecutor(max(1, len(mine))) as pool:
            futures: list[Future[None]] = [pool.submit(self._start, server) for server in mine]
            try:
                while not wait(futures, timeout=0.2, return_when=FIRST_EXCEPTION).done >= set(futures):
                    if any(future.done() and future.exception() for future in futures):
                        break
            finally:
                if not all(future.done() for future in futures):
                    tools.cancelled.set()
        errors = [error for future in futures if (error := future.exception())]
        for error in sorted(errors, key=lambda error: isinstance(error, tools.Cancelled)):
            raise error

    def _start(self, server: Server) -> None:
        try:
            for name in server.after:
                while not self._ready[name].wait(POLL_SECONDS):
                    _check_cancelled()
            if server.before:
                self._progress.update(server.name, "preparing")
                server.before(self._site)
            _check_cancelled()
            self._progress.update(server.name, "starting")
            self._supervisor.launch(server.name)
            self._wait_until_ready(server)
            if server.then:
                self._progress.update(server.name, "creating")
                server.then(self._site)
        except tools.Cancelled:
            raise
        except Exception:
            self._progress.update(server.name, "failed")
            raise
        self._ready[server.name].set()
        self._progress.update(server.name, "ready")

    def _wait_until_ready(self, server: Server) -> None:
        def ask() -> bool:
            _check_cancelled()
            if not self._supervisor.process(server.name).running:
                raise _failure(self._site, server, "died while it started")
            try:
                server.ready(self._site)
            except Exception as error:  # any error of any client library means: not yet
                raise NotReady(f"{type(error).__name__}: {error}") from error
            return True

        try:
            retry.until(ask, seconds=START_SECONDS, pause=POLL_SECONDS)
        except NotReady as error:
            raise _failure(self._site, server, f"was not ready: {error}") from error


def _failure(site: Site, server: Server, what: str) -> Failed:
    log = site.log(server.name)
    return Failed(f"{server.name} {what}; its log {log} ends with:\n{tools.tail(log)}")


def install_with_progress() -> None:
    """Installs the jars that are missing, showing what is fetched."""
    names = install.missing()
    if not names:
        install.check_java()
        return
    with Progress("Installing the servers", names) as progress:
        install.install(progress.update)


def _check_cancelled() -> None:
    if tools.cancelled.is_set():
        raise tools.Cancelled


def _memory(pid: int) -> int:
    """Resident bytes of a process, and what its children hold for themselves."""
    try:
        process = psutil.Process(pid)
        children = process.children(recursive=True)
        return int(process.memory_info().rss + sum(child.memory_full_info().uss for child in children))
    except psutil.Error:
        return 0


def _terminable() -> AbstractContextManager[None]:
    """SIGTERM and SIGHUP end the start as Ctrl-C does."""
    return _handled(signal.default_int_handler, signal.SIGTERM, signal.SIGHUP)


def _undisturbed() -> AbstractContextManager[None]:
    """A second Ctrl-C does not interrupt the stopping, which is bounded anyway."""
    return _handled(signal.SIG_IGN, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def _handled(handler: Any, *numbers: signal.Signals) -> Iterator[None]:
    """These signals have another handler meanwhile; only the main thread has any."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, before in old.items():
            signal.signal(number, before)

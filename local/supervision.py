"""supervisord as the keeper of a stack's processes: its configuration, starting, asking and stopping it."""

import os
import shlex
import shutil
import sys
import tempfile
import xmlrpc.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from clients import retry
from contracts.errors import Failed
from local.programs import call
from local.site import Site, write_private

KEPT_VARIABLES = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "TMPDIR", "USER", "XDG_CACHE_HOME", "JAVA_HOME")
RUNNING = ("STARTING", "RUNNING", "STOPPING")


@dataclass(frozen=True, slots=True)
class Program:
    """A process as supervisord sees it."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    log: Path
    stop_signal: str = "TERM"
    stop_seconds: int = 10
    stop_group: bool = True


@dataclass(frozen=True, slots=True)
class Process:
    """The state of a program; ``pid`` and ``seconds`` are 0 when it does not run."""

    name: str
    state: str
    pid: int
    seconds: int

    @property
    def running(self) -> bool:
        return self.state in RUNNING


class Supervisor:
    """A stack's supervisord, whether it runs or not."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._configuration = site.directory / "run" / "supervisord.conf"
        self._pid_file = site.directory / "run" / "supervisord.pid"
        self._socket_file = site.directory / "run" / "supervisord.socket"

    def running(self) -> bool:
        """Whether supervisord answers."""
        try:
            self._call("getState")
        except (OSError, xmlrpc.client.Error):
            return False
        return True

    def start(self, programs: Sequence[Program]) -> None:
        """Starts supervisord as a daemon with the programs, none of them running yet."""
        socket = _socket_folder() / "s"
        write_private(self._socket_file, str(socket))
        write_private(self._configuration, self._render(programs, socket))
        environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._configuration)]
        call(command, "starting supervisord", env=environment, cwd=self._site.directory)
        retry.until(self.running, seconds=10, pause=0.05, what="an answer of supervisord")

    def launch(self, name: str) -> None:
        """Starts one program; whether it stays up is seen in :meth:`process`.

        Raises :class:`PlatformError` when it cannot be started at all.
        """
        try:
            self._call("startProcess", name, False)
        except xmlrpc.client.Fault as fault:
            raise Failed(f"{name} cannot be started: {fault.faultString}") from fault

    def stop(self, name: str) -> None:
        """Asks one program to stop; supervisord kills it when its time is over."""
        try:
            self._call("stopProcess", name, False)
        except xmlrpc.client.Fault:  # it does not run
            return

    def kill(self, name: str) -> None:
        """Kills one program's process group at once."""
        self._call("signalProcess", name, "KILL")

    def process(self, name: str) -> Process:
        return _process(self._call("getProcessInfo", name))

    def processes(self) -> dict[str, Process]:
        """All programs by name; empty when supervisord does not run."""
        try:
            return {info["name"]: _process(info) for info in self._call("getAllProcessInfo")}
        except (OSError, xmlrpc.client.Error):
            return {}

    def shutdown(self) -> None:
        """Ends supervisord and with it whatever it still runs, and removes its socket."""
        pid = self._pid()
        if self.running():
            self._call("shutdown")
        if pid:
            try:
                psutil.Process(pid).wait(20)
            except psutil.NoSuchProcess:
                pass
            except psutil.TimeoutExpired:
                psutil.Process(pid).kill()
        if self._socket_file.exists():
            shutil.rmtree(Path(self._socket_file.read_text()).parent, ignore_errors=True)
            self._socket_file.unlink()

    def _pid(self) -> int:
        """The pid of supervisord when it lives, else 0."""
        try:
            pid = int(self._pid_file.read_text())
            return pid if "supervisor.supervisord" in psutil.Process(pid).cmdline() else 0
        except (OSError, ValueError, psutil.Error):
            return 0

    def _call(self, method: str, *arguments: Any) -> Any:
        """A new connection for each call: the transport is not safe to share between threads."""
        if not self._socket_file.exists():
            raise FileNotFoundError(self._socket_file)
        transport = SupervisorTransport(None, None, f"unix://{self._socket_file.read_text()}")
        proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport)
        try:
            return getattr(proxy.supervisor, method)(*arguments)
        finally:
            transport.close()

    def _render(self, programs: Sequence[Program], socket: Path) -> str:
        head = f"""\
[unix_http_server]
file = {_plain(str(socket))}
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisord]
logfile = {_plain(str(self._site.log("supervisord")))}
logfile_maxbytes = 1MB
logfile_backups = 1
pidfile = {_plain(str(self._pid_file))}
umask = 077
"""
        return head + "".join(_section(program) for program in programs)


def _section(program: Program) -> str:
    environment = ",".join(f'{name}="{_plain(value)}"' for name, value in sorted(program.environment.items()))
    return f"""
[program:{program.name}]
command = {_plain(shlex.join(program.command))}
directory = {_plain(str(program.directory))}
environment = {environment}
autostart = false
autorestart = false
startsecs = 0
stopsignal = {program.stop_signal}
stopwaitsecs = {program.stop_seconds}
stopasgroup = {str(program.stop_group).lower()}
killasgroup = true
redirect_stderr = true
stdout_logfile = {_plain(str(program.log))}
stdout_logfile_maxbytes = 20MB
stdout_logfile_backups = 1
"""


def _plain(text: str) -> str:
    """Text without meaning to supervisord, which expands ``%``."""
    return text.replace("%", "%%")


def _process(info: dict[str, Any]) -> Process:
    seconds = info["now"] - info["start"] if info["pid"] else 0
    return Process(info["name"], info["statename"], info["pid"], seconds)


def _socket_folder() -> Path:
    """A private folder with a path so short that a socket in it stays below the system's 108 bytes."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    usable = runtime and len(runtime) < 60 and os.access(runtime, os.W_OK)
    return Path(tempfile.mkdtemp(prefix="ecommerce-", dir=runtime if usable else "/tmp"))  # noqa: S108 (mode 0700)

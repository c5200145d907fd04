"""Programs that run once before a server starts: formatting, schemas. Java command lines."""

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from contracts.errors import Failed
from local import install
from local.site import Site

LOG_LINES = 25
cancelled = threading.Event()
"""Set when the user gives up: tools that run are then ended."""


class Cancelled(Exception):
    """The user gave up."""


# What Hadoop, HBase, Hive and Spark reach into on Java 17.
OPENED_PACKAGES = (
    "java.lang",
    "java.lang.invoke",
    "java.lang.reflect",
    "java.io",
    "java.net",
    "java.nio",
    "java.util",
    "java.util.concurrent",
    "java.util.concurrent.atomic",
    "jdk.internal.ref",
    "jdk.internal.misc",
    "sun.nio.ch",
    "sun.nio.cs",
    "sun.security.action",
    "sun.util.calendar",
)
COMMON_FLAGS = (
    # Compile quickly rather than well: halves the CPU time of a start (Spark 12.7 s to 6.9 s, Kafka 5.7 s to 2.6 s) and
    # costs nothing in the work of a demo; only a query that computes for long is slower, by about a third.
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Xss512k",
    "-Djava.net.preferIPv4Stack=true",
    "-Duser.timezone=UTC",
    *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED_PACKAGES),
)


def java(classpath: Sequence[Path | str], main_class: str, *arguments: str, flags: Sequence[str] = ()) -> list[str]:
    """A Java command line."""
    return [install.tool("java"), *COMMON_FLAGS, *flags, "-cp", ":".join(map(str, classpath)), main_class, *arguments]


def run_tool(site: Site, server: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    """Runs a program to its end, its output in a log of its own beside the server's.

    Raises :class:`PlatformError` with the last lines when it fails, ``Cancelled`` when the user gave up.
    """
    log = site.log(f"{server}-setup")
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        while True:
            try:
                code = process.wait(0.2)
                break
            except subprocess.TimeoutExpired:
                if cancelled.is_set():
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                    raise Cancelled from None
    if code:
        raise Failed(f"preparing {server} failed with exit code {code}:\n{tail(log)}\n(all of it in {log})")


def tail(log: Path, lines: int = LOG_LINES) -> str:
    """The end of a log file, indented."""
    if not log.exists():
        return "  (nothing logged)"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 64 * 1024))
        text = file.read().decode(errors="replace")
    return "\n".join(f"  {line[:300]}" for line in text.splitlines()[-lines:]) or "  (nothing logged)"

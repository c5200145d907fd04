"""HBase through its Thrift server: a connection a thread, renewed when it breaks."""

import importlib
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Final, TypeVar

import happybase
from thriftpy2.thrift import TType
from thriftpy2.transport import TTransportException

from clients import retry
from contracts.errors import NotReady, Refused, Unreachable
from contracts.hbase import HBaseTable
from contracts.settings import Settings

HBASE_SETTINGS: Final = ("hbase_thrift_host", "hbase_thrift_port")
SECONDS: Final = 60
"""For one answer of the server."""
Result = TypeVar("Result")
Row = tuple[bytes, dict[bytes, bytes]]


class _Connections(threading.local):
    """Each thread's own: on one that two threads share, each may get the other's answer.

    By host, port, and the seconds that an answer may take.
    """

    def __init__(self) -> None:
        self.by_address: dict[tuple[str, int, float], happybase.Connection] = {}


_connections = _Connections()
# happybase compiles this module from HBase's Thrift interface when it is imported: from an older one, which lacks the
# field with which the server says whether asking again may help.
# Source: hbase-thrift/src/main/resources/org/apache/hadoop/hbase/thrift/Hbase.thrift in apache/hbase, 2.6
_IOError: type[Exception] = importlib.import_module("Hbase_thrift").IOError
_IOError.thrift_spec[2] = (TType.BOOL, "canRetry", False)  # type: ignore[attr-defined]


def connect(settings: Settings, seconds: float = SECONDS) -> happybase.Connection:
    """A new connection. Raises :class:`Unreachable` where the Thrift server does not answer."""
    with typed(settings):
        return happybase.Connection(
            settings.hbase_thrift_host, settings.hbase_thrift_port, timeout=round(seconds * 1000)
        )


@contextmanager
def connection(settings: Settings, seconds: float = SECONDS) -> Iterator[happybase.Connection]:
    """A connection of one's own, closed at the end; raises as :func:`typed`."""
    with closing(connect(settings, seconds)) as made, typed(settings):
        yield made


@contextmanager
def typed(settings: Settings) -> Iterator[None]:
    """The libraries' errors in the terms of ``contracts.errors``."""
    address = f"{settings.hbase_thrift_host}:{settings.hbase_thrift_port}"
    try:
        yield
    except (TTransportException, OSError, EOFError) as error:
        raise Unreachable(
            f"HBase's Thrift server at {address} cannot be reached ({error}); start it (make local-up) or set "
            "ECOMMERCE_HBASE_THRIFT_HOST and ECOMMERCE_HBASE_THRIFT_PORT"
        ) from error
    except _IOError as error:
        reason = str(getattr(error, "message", error)).partition("\n")[0]
        if getattr(error, "canRetry", False):
            raise NotReady(f"HBase (Thrift server at {address}) does not serve yet: {reason}") from error
        raise Refused(f"HBase (Thrift server at {address}) refused: {reason}") from error


def answers(settings: Settings, seconds: float = SECONDS) -> None:
    """Raises unless the Thrift server lists HBase's tables."""
    with connection(settings, seconds) as made:
        made.tables()


def attempt(
    settings: Settings, work: Callable[[happybase.Connection], Result], seconds: float = retry.SECONDS
) -> Result:
    """Does idempotent work on this thread's connection, again from its start on a new one when that breaks.

    ``seconds``: how long to go on trying what passes. Raises as :func:`typed`.
    """
    answer = retry.answer_within(SECONDS)
    address = (settings.hbase_thrift_host, settings.hbase_thrift_port, answer)
    connections = _connections.by_address

    def once() -> Result:
        if address not in connections:
            connections[address] = connect(settings, answer)
        try:
            with typed(settings):
                return work(connections[address])
        except (Unreachable, NotReady):
            if broken := connections.pop(address, None):
                broken.close()
            raise

    return retry.retrying(seconds)(once)


def scan(settings: Settings, table: HBaseTable, seconds: float = retry.SECONDS, **arguments: Any) -> list[Row]:
    """The rows of a scan, with happybase's arguments."""
    return attempt(settings, lambda made: list(made.table(table.name).scan(**arguments)), seconds)

"""HBase through its Thrift server: a connection a process, renewed when it breaks."""

import importlib
from collections.abc import Callable
from typing import TypeVar

import happybase
import tenacity
from thriftpy2.transport import TTransportException

from contracts.settings import Settings

Result = TypeVar("Result")
_connections: dict[tuple[str, int], happybase.Connection] = {}
# happybase compiles this module from HBase's Thrift interface when it is imported.
HBaseIOError: type[Exception] = importlib.import_module("Hbase_thrift").IOError
BROKEN = (TTransportException, OSError, EOFError)
PASSING = (*BROKEN, HBaseIOError)


def connect(settings: Settings) -> happybase.Connection:
    """A new connection; raises ``TTransportException`` or ``OSError`` where the Thrift server does not answer."""
    return happybase.Connection(settings.hbase_thrift_host, settings.hbase_thrift_port, timeout=60_000)


def attempt(settings: Settings, work: Callable[[happybase.Connection], Result], seconds: float = 120) -> Result:
    """Does idempotent work on this process's connection, again from its start on a new one when the server breaks off.

    ``seconds``: how long to go on trying. Raises the last error then; an ``IOError`` that HBase itself answers (a
    region that moves, say) is tried again too.
    """
    address = (settings.hbase_thrift_host, settings.hbase_thrift_port)

    def once() -> Result:
        try:
            if address not in _connections:
                _connections[address] = connect(settings)
            return work(_connections[address])
        except PASSING:
            if broken := _connections.pop(address, None):
                broken.close()
            raise

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(PASSING),
        stop=tenacity.stop_after_delay(seconds),
        wait=tenacity.wait_exponential_jitter(multiplier=0.2, max=5),
        reraise=True,
    )
    return retrying(once)

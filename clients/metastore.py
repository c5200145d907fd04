"""The Hive Metastore, asked whether it serves; tables are made and read through the SQL endpoint."""

from contextlib import closing
from typing import Final

from impala._thrift_gen.hive_metastore import ThriftHiveMetastore
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TException
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TBufferedTransport

from contracts.errors import NotReady, Unreachable
from contracts.settings import Settings

SECONDS: Final = 5.0
"""For one answer."""


def answers(settings: Settings) -> None:
    """Raises unless a Thrift client sees the database ``default``."""
    host, _, port = settings.metastore_uri.removeprefix("thrift://").partition(":")
    socket = TSocket(host, int(port))
    socket.setTimeout(SECONDS * 1000)
    transport = TBufferedTransport(socket)
    try:
        transport.open()
        with closing(transport):
            databases = ThriftHiveMetastore.Client(TBinaryProtocol(transport)).get_all_databases()
    except (OSError, EOFError, TException) as error:
        raise Unreachable(f"the Hive Metastore at {settings.metastore_uri} does not answer: {error}") from error
    if "default" not in databases:
        raise NotReady(f"the Hive Metastore at {settings.metastore_uri} has no database yet")

"""The Hive Metastore: whether it serves, and the partitions of tables, as those tell it who write into their folders.

Tables are made and read through the SQL endpoint.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Final

from impala._thrift_gen.hive_metastore.ttypes import AddPartitionsRequest, NoSuchObjectException, Partition
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TException
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TBufferedTransport

from clients.hive4 import Client
from contracts.errors import NotReady, Unreachable
from contracts.hive import DATABASE, HiveTable
from contracts.settings import Settings

METASTORE_SETTINGS: Final = ("metastore_uri",)
SECONDS: Final = 5.0
"""For one answer."""


def answers(settings: Settings) -> None:
    """Raises unless a Thrift client sees the database ``default``."""
    with connect(settings) as client:
        if "default" not in client.get_all_databases():
            raise NotReady(f"the Hive Metastore at {settings.metastore_uri} has no database yet")


def add_partitions(settings: Settings, table: HiveTable, values: Iterable[tuple[str, ...]]) -> None:
    """Adds the partitions of a table that it does not have yet, each by its values, in the folders of Hive's custom.

    Raises :class:`Unreachable` where the metastore does not answer, or has no such table yet.
    """
    with connect(settings) as client:
        known = client.get_table(DATABASE, table.name)
        parts = []
        for each in values:
            place = deepcopy(known.sd)
            folders = "/".join(f"{name}={value}" for name, value in zip(table.partitions, each, strict=True))
            place.location = f"{known.sd.location}/{folders}"
            parts.append(Partition(list(each), DATABASE, table.name, sd=place, parameters={}))
        client.add_partitions_req(AddPartitionsRequest(DATABASE, table.name, parts, ifNotExists=True, needResult=False))


def put_location(settings: Settings, table: HiveTable, values: tuple[str, ...], location: str) -> None:
    """A partition of a table is from now on what lies at ``location`` (a URI): for a reader before or after.

    Raises :class:`Unreachable` where the metastore does not answer, or has no such table yet.
    """
    with connect(settings) as client:
        try:
            partition = client.get_partition(DATABASE, table.name, list(values))
        except NoSuchObjectException:
            place = client.get_table(DATABASE, table.name).sd
            place.location = location
            client.add_partition(Partition(list(values), DATABASE, table.name, sd=place, parameters={}))
        else:
            partition.sd.location = location
            client.alter_partition(DATABASE, table.name, partition)


@contextmanager
def connect(settings: Settings) -> Iterator[Client]:
    """A Thrift client for a while. Raises :class:`Unreachable` for what goes wrong meanwhile."""
    host, _, port = settings.metastore_uri.removeprefix("thrift://").partition(":")
    socket = TSocket(host, int(port))
    socket.setTimeout(SECONDS * 1000)
    transport = TBufferedTransport(socket)
    try:
        transport.open()
        yield Client(TBinaryProtocol(transport))
    except (OSError, EOFError, TException) as error:
        reason = getattr(error, "message", None) or error
        raise Unreachable(f"the Hive Metastore at {settings.metastore_uri} does not answer: {reason}") from error
    finally:
        transport.close()

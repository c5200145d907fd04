"""What Hive 4's metastore asks for and impyla's generated client, of Hive 2, does not have: ``get_table_req``.

Source: standalone-metastore/metastore-common/src/main/thrift/hive_metastore.thrift of Apache Hive 4.0.1.
"""

from typing import Any, ClassVar

from impala._thrift_gen.hive_metastore import ThriftHiveMetastore
from impala._thrift_gen.hive_metastore.ttypes import MetaException, NoSuchObjectException, Table
from thrift.protocol.TBase import TBase
from thrift.Thrift import TApplicationException, TMessageType, TType

Fields = tuple[tuple[int, int, str, Any, None] | None, ...]
"""A struct's fields, each where its number is: number, type, name, what the type is made of, default."""


class GetTableRequest(TBase):  # type: ignore[misc]
    """Names a table."""

    thrift_spec: ClassVar[Fields] = (
        None,
        (1, TType.STRING, "database", "UTF8", None),
        (2, TType.STRING, "name", "UTF8", None),
    )

    def __init__(self, database: str, name: str) -> None:
        self.database = database
        self.name = name


class GetTableResult(TBase):  # type: ignore[misc]
    """Holds a table."""

    thrift_spec: ClassVar[Fields] = (None, (1, TType.STRUCT, "table", (Table, Table.thrift_spec), None))
    table: Table


class Arguments(TBase):  # type: ignore[misc]
    """What the call is given."""

    thrift_spec: ClassVar[Fields] = (
        None,
        (1, TType.STRUCT, "request", (GetTableRequest, GetTableRequest.thrift_spec), None),
    )

    def __init__(self, request: GetTableRequest) -> None:
        self.request = request


class Answer(TBase):  # type: ignore[misc]
    """What the call gives: a table, or one of its errors."""

    thrift_spec: ClassVar[Fields] = (
        (0, TType.STRUCT, "success", (GetTableResult, GetTableResult.thrift_spec), None),
        (1, TType.STRUCT, "failure", (MetaException, MetaException.thrift_spec), None),
        (2, TType.STRUCT, "missing", (NoSuchObjectException, NoSuchObjectException.thrift_spec), None),
    )
    success: GetTableResult | None = None
    failure: Exception | None = None
    missing: Exception | None = None


class Client(ThriftHiveMetastore.Client):  # type: ignore[misc]
    """impyla's client, asking for a table as both Hive 3 and Hive 4 answer."""

    def get_table(self, database: str, name: str) -> Table:
        """A table. Raises :class:`TException` where there is none, or the server fails."""
        self._oprot.writeMessageBegin("get_table_req", TMessageType.CALL, self._seqid)
        Arguments(GetTableRequest(database, name)).write(self._oprot)
        self._oprot.writeMessageEnd()
        self._oprot.trans.flush()
        _, kind, _ = self._iprot.readMessageBegin()
        answer = TApplicationException() if kind == TMessageType.EXCEPTION else Answer()
        answer.read(self._iprot)
        self._iprot.readMessageEnd()
        if isinstance(answer, TApplicationException):
            raise answer
        if answer.success is None:
            raise answer.failure or answer.missing or TApplicationException(TApplicationException.MISSING_RESULT)
        return answer.success.table

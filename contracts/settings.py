"""Where the platform's servers are: one name per setting, the same in flags, environment variables and charts.

The defaults are those of the local stack (``make local-up``); the charts set the same environment variables to the
cluster's Service names. ``contracts.command`` makes flags of a settings type.
"""

import os
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, ClassVar, Protocol, TypeVar

from contracts.errors import Mistake
from contracts.paths import OWNER

PREFIX = "ECOMMERCE_"


class Dataclass(Protocol):
    """A type of settings: a dataclass whose fields are made by :func:`setting`."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


Kind = TypeVar("Kind", bound=Dataclass)


def setting(default: Any, help: str, kind: Any = None, variable: str = "") -> Any:
    """A field of a settings type.

    ``kind``: click's type of the flag, where the default's own says too little. ``variable``: its environment
    variable, where that is not made of the field's name.
    """
    return field(default=default, metadata={"help": help, "kind": kind, "variable": variable})


@dataclass(frozen=True, slots=True)
class Settings:
    """Addresses, logins and engine choices, all strings except the ports. No setting is a secret."""

    kafka_bootstrap: str = setting("127.0.0.1:9092", "Kafka bootstrap servers, host:port[,host:port…]")
    kafka_user: str = setting("", "Kafka user that logs in by password; empty logs in by certificate, or not at all")
    kafka_credentials: str = setting(
        "", "Folder with ca.crt, and password or tls.crt and tls.key, for Kafka over TLS; empty speaks plaintext"
    )
    hdfs_uri: str = setting("hdfs://127.0.0.1:8020", "HDFS file system (fs.defaultFS)")
    webhdfs_url: str = setting("http://127.0.0.1:9870", "WebHDFS address; several NameNodes separated by ';'")
    hdfs_user: str = setting(OWNER, "HDFS user name")
    hbase_thrift_host: str = setting("127.0.0.1", "HBase Thrift server host")
    hbase_thrift_port: int = setting(9090, "HBase Thrift server port")
    metastore_uri: str = setting("thrift://127.0.0.1:9083", "Hive Metastore address")
    sql_engine: str = setting("spark", "SQL engine behind the SQL endpoint: spark or impala")
    sql_host: str = setting("127.0.0.1", "SQL endpoint (HiveServer2 protocol) host")
    sql_port: int = setting(21050, "SQL endpoint (HiveServer2 protocol) port")
    sql_auth: str = setting("NOSASL", "SQL endpoint authentication mechanism, as impyla names it")
    sql_credentials: str = setting(
        "",
        "Folder with ca.crt, and username and password if sql_auth is LDAP, for SQL over TLS; empty speaks plaintext",
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Settings from ``ECOMMERCE_<NAME>`` variables, the defaults for those unset. Raises as :func:`read`."""
        return read(cls, environment)

    def as_environment(self) -> dict[str, str]:
        """The environment variables that make :meth:`from_environment` return this object again."""
        return {variable(item.name): str(getattr(self, item.name)) for item in fields(self)}


def read(kind: type[Kind], environment: Mapping[str, str] = os.environ) -> Kind:
    """Settings of a kind whose fields are strings and whole numbers, from their environment variables.

    Raises :class:`Mistake` naming the variable when a number is not a whole one.
    """
    values: dict[str, Any] = {}
    for item in fields(kind):
        raw = environment.get(variable(item.name))
        if raw is None:
            continue
        try:
            values[item.name] = int(raw) if item.type in (int, "int") else raw
        except ValueError as error:
            raise Mistake(f"{variable(item.name)} is {raw!r}; it must be a whole number") from error
    return kind(**values)


def variable(name: str, prefix: str = PREFIX) -> str:
    """The environment variable of a setting: ``kafka_bootstrap`` → ``ECOMMERCE_KAFKA_BOOTSTRAP``."""
    return prefix + name.upper()

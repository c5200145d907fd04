"""Where the platform's servers are: one name per setting, the same in flags, environment variables and charts.

Every entry point builds its ``Settings`` with :func:`Settings.from_environment`. The defaults are those of the local
stack (``make local-up``); the charts set the same environment variables to the cluster's Service names.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

PREFIX = "ECOMMERCE_"


def _setting(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, slots=True)
class Settings:
    """Addresses, logins and engine choices, all strings except the ports. No setting is a secret."""

    kafka_bootstrap: str = _setting("127.0.0.1:9092", "Kafka bootstrap servers, host:port[,host:port…]")
    kafka_user: str = _setting("", "Kafka user that logs in by password; empty logs in by certificate, or not at all")
    kafka_credentials: str = _setting(
        "", "Folder with ca.crt, and password or tls.crt and tls.key, for Kafka over TLS; empty speaks plaintext"
    )
    hdfs_uri: str = _setting("hdfs://127.0.0.1:8020", "HDFS file system (fs.defaultFS)")
    webhdfs_url: str = _setting("http://127.0.0.1:9870", "WebHDFS address; several NameNodes separated by ';'")
    hdfs_user: str = _setting("ecommerce", "HDFS user name")
    hbase_thrift_host: str = _setting("127.0.0.1", "HBase Thrift server host")
    hbase_thrift_port: int = _setting(9090, "HBase Thrift server port")
    metastore_uri: str = _setting("thrift://127.0.0.1:9083", "Hive Metastore address")
    sql_engine: str = _setting("spark", "SQL engine behind the SQL endpoint: spark or impala")
    sql_host: str = _setting("127.0.0.1", "SQL endpoint (HiveServer2 protocol) host")
    sql_port: int = _setting(21050, "SQL endpoint (HiveServer2 protocol) port")
    sql_auth: str = _setting("NOSASL", "SQL endpoint authentication mechanism, as impyla names it")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Settings from ``ECOMMERCE_<NAME>`` variables, the defaults for those unset.

        Raises ``ValueError`` naming the variable when a port is not a whole number.
        """
        values: dict[str, Any] = {}
        for item in fields(cls):
            raw = environment.get(variable(item.name))
            if raw is None:
                continue
            try:
                values[item.name] = int(raw) if item.type in (int, "int") else raw
            except ValueError as error:
                raise ValueError(f"{variable(item.name)} is {raw!r}; it must be a whole number") from error
        return cls(**values)

    def as_environment(self) -> dict[str, str]:
        """The environment variables that make :meth:`from_environment` return this object again."""
        return {variable(item.name): str(getattr(self, item.name)) for item in fields(self)}


def variable(name: str) -> str:
    """The environment variable of a setting: ``kafka_bootstrap`` → ``ECOMMERCE_KAFKA_BOOTSTRAP``."""
    return PREFIX + name.upper()

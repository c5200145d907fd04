"""The ports of a local stack, all on 127.0.0.1.

``ECOMMERCE_PORT_OFFSET`` shifts them all, ``ECOMMERCE_PORT_<NAME>`` sets one (``ECOMMERCE_PORT_KAFKA=19092``).
"""

import os
import random
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import filterfalse, islice

from contracts.errors import Mistake
from serving.api import PORT

HOST = "127.0.0.1"
OFFSET_VARIABLE = "ECOMMERCE_PORT_OFFSET"
_FREE = range(20_000, 32_000)


@dataclass(frozen=True, slots=True)
class Ports:
    kafka: int = 9092
    kafka_controller: int = 9093
    namenode: int = 8020
    namenode_ui: int = 9870
    datanode: int = 9866
    datanode_ui: int = 9864
    datanode_ipc: int = 9867
    zookeeper: int = 2181
    hbase_master: int = 16000
    hbase_master_ui: int = 16010
    hbase_regionserver: int = 16020
    hbase_regionserver_ui: int = 16030
    hbase_thrift: int = 9090
    postgres: int = 15432
    metastore: int = 9083
    sql: int = 21050
    sql_ui: int = 4050
    ingest_ui: int = 4051
    speed_ui: int = 4052
    serving: int = PORT
    shop_metrics: int = 4053

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Ports":
        """The defaults, shifted and overridden by the environment. Raises :class:`Mistake` for what is no port."""
        offset = _number(environment, OFFSET_VARIABLE, 0)
        values = {
            name: _number(environment, variable(name), default + offset) for name, default in cls().as_dict().items()
        }
        for name, port in values.items():
            if not 1024 <= port <= 65535:
                raise Mistake(f"port {port} of {name} is not between 1024 and 65535; check {OFFSET_VARIABLE}")
        if len(set(values.values())) < len(values):
            raise Mistake("two servers have the same port; check the ECOMMERCE_PORT_ variables")
        return cls(**values)

    @classmethod
    def free(cls) -> "Ports":
        """Ports that nobody holds, other ones at each call: several stacks may start side by side."""
        names = list(cls().as_dict())
        return cls(**dict(zip(names, free(len(names)), strict=True)))

    def as_environment(self) -> dict[str, str]:
        """The environment variables that make :meth:`from_environment` return these ports."""
        return {variable(name): str(port) for name, port in self.as_dict().items()}

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


def variable(name: str) -> str:
    """The environment variable of a port: ``kafka`` → ``ECOMMERCE_PORT_KAFKA``."""
    return f"ECOMMERCE_PORT_{name.upper()}"


def free(count: int) -> list[int]:
    """So many ports that nobody holds, other ones at each call.

    They lie below those that the kernel gives to outgoing connections (32768 on Linux), which could take one before its
    server does.
    """
    first = random.randrange(_FREE.start, _FREE.stop)
    candidates = [*range(first, _FREE.stop), *range(_FREE.start, first)]
    return list(islice(filterfalse(in_use, candidates), count))


def in_use(port: int) -> bool:
    """Whether something listens on the port or holds it, on loopback or on every interface."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def check_free(server: str, names: tuple[str, ...], ports: Ports) -> None:
    """Raises :class:`Mistake` naming the first of a server's ports that another process holds."""
    values = ports.as_dict()
    for name in names:
        if in_use(values[name]):
            raise Mistake(
                f"port {values[name]} for {server} is already in use; free it, set {variable(name)} to another port, "
                f"or shift all ports with {OFFSET_VARIABLE}"
            )


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    raw = environment.get(name, "")
    try:
        return int(raw) if raw else default
    except ValueError as error:
        raise Mistake(f"{name} is {raw!r}; it must be a whole number") from error

"""The SQL endpoint: one session over the HiveServer2 protocol, through impyla.

Without ``sql_credentials`` a client speaks plaintext. With it, it speaks TLS and checks the server's certificate; where
``sql_auth`` is LDAP it logs in as well. User and password stay in files: no setting holds one, so that none is in a
ConfigMap, a log or a list of processes.
"""

import logging
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from impala import dbapi
from impala.error import Error
from impala.hiveserver2 import HiveServer2Connection, HiveServer2Cursor
from thrift.transport.TTransport import TTransportException

from clients import retry
from clients.engine import Engine, engine
from contracts.errors import Mistake, NotReady, Refused, Unreachable
from contracts.settings import Settings

SQL_SETTINGS: Final = ("sql_engine", "sql_host", "sql_port", "sql_auth", "sql_credentials")
CA, USER, PASSWORD = "ca.crt", "username", "password"
"""The files of the credentials' folder, named as cert-manager and Kubernetes name them in their Secrets."""
LOGIN: Final = "LDAP"
"""The mechanism with a user and a password, whoever checks them: SASL calls it PLAIN."""
NO_LOGIN: Final = "NOSASL"
"""The mechanism without a handshake, in which nobody can be refused."""
LOST: Final = (OSError, TTransportException, EOFError)
"""What impyla raises where the server cannot be reached or hangs up."""
SECONDS: Final = 300
"""For one answer of the server; a statement may take longer, as impyla asks for its state again and again."""
CONNECT_SECONDS: Final = 10.0
"""For a server that starts to take a session."""
_WRAPPING: Final = re.compile(r"^((\[[A-Z_.]+\] )?[\w.$]+(Exception|Error)(\([\w.$]+\))?:|Error running query:|\s)+")


@dataclass(frozen=True, slots=True)
class Result:
    """What a statement gave: the names of its columns, none where it has no result, and its rows."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


class Sql(Protocol):
    """A session that runs statements one after another."""

    engine: Engine

    def execute(self, statement: str) -> None:
        """Runs a statement to its end. Raises :class:`Refused` or :class:`Unreachable`."""

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """All rows of a query; decimals as ``Decimal``. Raises as :meth:`execute`."""


class Session:
    """:class:`Sql` on a cursor of impyla."""

    def __init__(self, cursor: HiveServer2Cursor, settings: Settings) -> None:
        self.engine = engine(settings.sql_engine)
        self._cursor = cursor
        self._server = f"{settings.sql_engine} on {address(settings)}"

    def execute(self, statement: str) -> None:
        with self._typed(statement):
            self._cursor.execute(statement)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.result(query).rows

    def result(self, statement: str, limit: int | None = None) -> Result:
        """Runs a statement of any kind; of a result at most ``limit`` rows."""
        with self._typed(statement):
            self._cursor.execute(statement)
            try:
                columns = [column[0] for column in self._cursor.description or ()]
                rows = (self._cursor.fetchall() if limit is None else self._cursor.fetchmany(limit)) if columns else []
            except IndexError:  # impyla's answer to a result without columns, as Spark gives for DDL
                return Result([], [])
            return Result(columns, rows)

    @contextmanager
    def _typed(self, statement: str) -> Iterator[None]:
        """A server that is lost and one that refuses a statement, each as its own kind."""
        try:
            yield
        except LOST as error:
            raise Unreachable(
                f"lost the SQL endpoint ({self._server}) during {_brief(statement)!r}: {error}"
            ) from error
        except Error as error:
            raise Refused(
                f"the SQL endpoint ({self._server}) refused {_brief(statement)!r}: {_brief(reason(str(error)), 300)}"
            ) from error


def address(settings: Settings) -> str:
    return f"{settings.sql_host}:{settings.sql_port}"


@contextmanager
def connect(settings: Settings, seconds: float = CONNECT_SECONDS) -> Iterator[Session]:
    """A session of the SQL endpoint, set up for the tasks and closed at the end.

    Raises :class:`Unreachable` when the server takes none within ``seconds``, :class:`Refused` where it refuses the
    login.
    """
    with _session(settings, seconds) as session:
        for statement in session.engine.session():
            session.execute(statement)
        yield session


def answers(settings: Settings) -> None:
    """Raises unless the endpoint answers ``SELECT 1`` with 1."""
    with _session(settings, 0) as session:
        if (found := session.rows("SELECT 1")) != [(1,)]:
            raise NotReady(f"the SQL endpoint at {address(settings)} answers SELECT 1 with {found}")


def takes_sessions(settings: Settings) -> None:
    """Raises unless the endpoint opens a session; what a statement takes there is another matter."""
    with _session(settings, 0):
        pass


def reason(message: str) -> str:
    """The telling line of a server's error, which comes with class names before it and pages of stack after it."""
    for line in message.splitlines():
        text = _WRAPPING.sub("", line.strip())
        if text and not text.startswith("at "):
            return text
    return "it gave no reason"


@contextmanager
def _session(settings: Settings, seconds: float) -> Iterator[Session]:
    connection, cursor = retry.retrying(seconds)(_open, settings)
    try:
        yield Session(cursor, settings)
    finally:
        with suppress(*LOST, Error):  # it may be gone before its end
            cursor.close()
            connection.close()


def _open(settings: Settings) -> tuple[HiveServer2Connection, HiveServer2Cursor]:
    endpoint = f"the SQL endpoint ({engine(settings.sql_engine).name}) at {address(settings)}"
    known = _credentials(settings)
    for noisy in ("impala", "thrift"):  # they log every try, with a traceback
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    try:
        timeout = retry.answer_within(CONNECT_SECONDS)
        socket.create_connection((settings.sql_host, settings.sql_port), timeout=timeout).close()
    except OSError as error:
        raise _unreachable(settings, error) from error
    try:
        connection = dbapi.connect(
            host=settings.sql_host,
            port=settings.sql_port,
            auth_mechanism=settings.sql_auth,
            timeout=retry.answer_within(SECONDS),
            retries=1,
            **known,
        )
        # Otherwise impyla asks for each statement's log, which a server may not keep.
        return connection, connection.cursor(close_finished_queries=False)
    except TTransportException as error:
        if isinstance(error.inner, ssl.SSLError):
            raise Refused(
                f"{endpoint} does not prove by TLS that it is the one that {known['ca_cert']} vouches for: "
                f"{error.inner}"
            ) from error
        # Something listens and the handshake ends: the server has seen the login, and refuses it.
        if settings.sql_auth != NO_LOGIN and error.type == TTransportException.NOT_OPEN:
            raise Refused(
                f"{endpoint} refused the login of {known['user']!r} by {settings.sql_auth}, "
                f"or cannot ask who knows the password: {error}"
            ) from error
        raise _unreachable(settings, error) from error
    except (OSError, EOFError) as error:
        raise _unreachable(settings, error) from error
    except Error as error:
        raise Refused(f"{endpoint} takes no session: {error}") from error


def _credentials(settings: Settings) -> dict[str, Any]:
    """As whom to connect, and by which CA to know the server, for impyla. Raises :class:`Mistake` for files that are
    not there, and for a login without TLS.
    """
    folder = Path(settings.sql_credentials)
    if not settings.sql_credentials:
        if settings.sql_auth == LOGIN:
            raise Mistake(
                f"a login by {LOGIN} sends a password, and it goes over TLS alone: set ECOMMERCE_SQL_CREDENTIALS to a "
                f"folder with {CA}, {USER} and {PASSWORD}"
            )
        return {"user": settings.hdfs_user}
    # impyla looks at a certificate only when it is told to.
    tls = {"use_ssl": True, "ca_cert": str(folder / CA), "verify_cert": True}
    _text(folder / CA)  # OpenSSL's error would name no file
    if settings.sql_auth != LOGIN:
        return {"user": settings.hdfs_user, **tls}
    return {"user": _text(folder / USER), "password": _text(folder / PASSWORD), **tls}


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise Mistake(f"{path.name} for the SQL endpoint cannot be read: {path}: {error.strerror}") from error


def _unreachable(settings: Settings, error: Exception) -> Unreachable:
    return Unreachable(
        f"cannot reach the SQL endpoint ({settings.sql_engine}) at {address(settings)} ({_brief(str(error))}); "
        "start it (make local-up) or set ECOMMERCE_SQL_HOST and ECOMMERCE_SQL_PORT"
        + ("" if settings.sql_credentials else "; where it speaks TLS, ECOMMERCE_SQL_CREDENTIALS")
    )


def _brief(text: str, length: int = 80) -> str:
    """The text on one line, cut to a length."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"

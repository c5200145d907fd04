"""The SQL endpoint: one session over the HiveServer2 protocol, through impyla."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import tenacity
from impala import dbapi
from impala.error import Error
from impala.hiveserver2 import HiveServer2Connection, HiveServer2Cursor
from thrift.transport.TTransport import TTransportException

from contracts.command import CommandError
from contracts.settings import Settings
from jobs.batch.engine import Engine, engine

SQL_SETTINGS = ("sql_engine", "sql_host", "sql_port", "sql_auth")
LOST = (OSError, TTransportException, EOFError)
"""What impyla raises where the server cannot be reached or hangs up."""
TIMEOUT_SECONDS = 300
"""For one answer of the server; a statement may take longer, as impyla asks for its state again and again."""


class Sql(Protocol):
    """A session that runs statements one after another."""

    engine: Engine

    def execute(self, statement: str) -> None:
        """Runs a statement to its end. Raises ``CommandError`` when the server refuses it or is lost."""

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """All rows of a query; decimals as ``Decimal``. Raises as :meth:`execute`."""


class Session:
    """:class:`Sql` on a cursor of impyla."""

    def __init__(self, cursor: HiveServer2Cursor, settings: Settings) -> None:
        self.engine = engine(settings.sql_engine)
        self._cursor = cursor
        self._server = f"{settings.sql_engine} on {address(settings)}"

    def execute(self, statement: str) -> None:
        with self._told_apart(statement):
            self._cursor.execute(statement)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self._told_apart(query):
            self._cursor.execute(query)
            return list(self._cursor.fetchall())

    @contextmanager
    def _told_apart(self, statement: str) -> Iterator[None]:
        """A server that is lost and one that refuses a statement, each as its own sentence."""
        try:
            yield
        except LOST as error:
            raise CommandError(
                f"lost the SQL endpoint ({self._server}) during {_brief(statement)!r}: {error}"
            ) from error
        except Error as error:
            raise CommandError(
                f"the SQL endpoint ({self._server}) refused {_brief(statement)!r}: {_brief(str(error), 300)}"
            ) from error


def address(settings: Settings) -> str:
    return f"{settings.sql_host}:{settings.sql_port}"


@contextmanager
def connect(settings: Settings) -> Iterator[Session]:
    """A session of the SQL endpoint, set up for the tasks and closed at the end.

    Raises ``CommandError`` when the server cannot be reached after a few tries within seconds.
    """
    for noisy in ("impala", "thrift"):  # they log every try, with a traceback
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    dialect = engine(settings.sql_engine)
    try:
        connection, cursor = _open(settings)
    except (*LOST, Error) as error:
        raise CommandError(
            f"cannot reach the SQL endpoint ({dialect.name}) at {address(settings)} ({_brief(str(error))}); "
            "start it (make local-up) or set --sql-host and --sql-port"
        ) from error
    try:
        session = Session(cursor, settings)
        for statement in dialect.session():
            session.execute(statement)
        yield session
    finally:
        try:
            cursor.close()
            connection.close()
        except (*LOST, Error):
            logging.getLogger(__name__).debug("the SQL session was gone before its end")


@tenacity.retry(
    retry=tenacity.retry_if_exception_type(LOST),
    stop=tenacity.stop_after_attempt(4),
    wait=tenacity.wait_exponential_jitter(multiplier=0.5, max=4),
    reraise=True,
)
def _open(settings: Settings) -> tuple[HiveServer2Connection, HiveServer2Cursor]:
    connection = dbapi.connect(
        host=settings.sql_host,
        port=settings.sql_port,
        auth_mechanism=settings.sql_auth,
        timeout=TIMEOUT_SECONDS,
        retries=1,
    )
    # Otherwise impyla asks for each statement's log, which a server may not keep.
    return connection, connection.cursor(close_finished_queries=False)


def _brief(text: str, length: int = 80) -> str:
    """The text on one line, cut to a length."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"

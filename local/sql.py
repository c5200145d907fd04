"""A small prompt on the SQL endpoint, and the same for one statement."""

import logging
import re
import readline
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from impala.dbapi import connect
from impala.error import Error
from rich.console import Console
from rich.table import Table
from rich.text import Text
from thrift.transport.TTransport import TTransportException

from contracts.command import CommandError
from contracts.settings import Settings
from local.install import cache

_WRAPPING = re.compile(r"^((\[[A-Z_.]+\] )?[\w.$]+(Exception|Error)(\([\w.$]+\))?:|Error running query:|\s)+")
MAX_ROWS = 1000
"""Rows shown of a result on a terminal."""


@contextmanager
def cursor(settings: Settings) -> Iterator[Any]:
    """A cursor of the SQL endpoint. Raises ``CommandError`` when it cannot be reached."""
    for name in ("impala", "thrift"):  # they log, with stack traces, what they raise as well
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        connection = connect(
            settings.sql_host, settings.sql_port, auth_mechanism=settings.sql_auth, user=settings.hdfs_user
        )
        opened = connection.cursor()
    except (OSError, Error, TTransportException) as error:
        where = f"{settings.sql_host}:{settings.sql_port}"
        raise CommandError(f"the SQL endpoint at {where} cannot be reached; is the stack up? ({error})") from error
    try:
        yield opened
    finally:
        with suppress(Exception):  # the endpoint may be gone
            opened.close()
        connection.close()


def execute(opened: Any, statement: str, console: Console) -> None:
    """Runs one statement and prints its rows: a table on a terminal, tab-separated lines elsewhere.

    Raises ``CommandError`` with the server's first sentence when the statement fails.
    """
    try:
        opened.execute(statement)
        if not opened.description:
            return
        names = [column[0] for column in opened.description]
        rows = opened.fetchmany(MAX_ROWS + 1) if console.is_terminal else opened.fetchall()
    except IndexError:  # impyla's answer to a result without columns, as Spark gives for DDL
        return
    except (Error, TTransportException, OSError) as error:
        raise CommandError(first_sentence(str(error))) from error
    if not console.is_terminal:
        for row in [names, *rows]:
            print("\t".join(_cell(value) for value in row))
        return
    table = Table(*names)
    for row in rows[:MAX_ROWS]:
        table.add_row(*(Text(_cell(value)) for value in row))
    console.print(table)
    console.print(f"the first {MAX_ROWS} rows" if len(rows) > MAX_ROWS else f"{len(rows)} rows", style="dim")


def prompt(settings: Settings) -> None:
    """Reads statements, each ended by ``;``, until ``exit`` or end of input."""
    console = Console()
    history = cache() / "sql-history"
    if history.exists():
        readline.read_history_file(history)
    try:
        with cursor(settings) as opened:
            console.print("Statements end with ';'. Ctrl-D or exit leaves.", style="dim")
            for statement in _statements():
                try:
                    execute(opened, statement, console)
                except CommandError as error:
                    error.show()
    finally:
        history.parent.mkdir(parents=True, exist_ok=True)
        readline.write_history_file(history)


def first_sentence(message: str) -> str:
    """The telling line of a server's error, which comes with class names before it and pages of stack after it."""
    for line in message.splitlines():
        text = _WRAPPING.sub("", line.strip())
        if text and not text.startswith("at "):
            return text
    return "the statement failed"


def split(text: str) -> list[str]:
    """The statements of a text, at each ``;`` outside of quotes and comments; the last may be without one."""
    statements, current, quote, index = [], "", "", 0
    while index < len(text):
        character = text[index]
        if quote:
            quote = "" if character == quote else quote
        elif text.startswith("--", index):
            index = text.find("\n", index) if "\n" in text[index:] else len(text)
            continue
        elif character in "'\"`":
            quote = character
        if character == ";" and not quote:
            statements.append(current.strip())
            current = ""
        else:
            current += character
        index += 1
    return [statement for statement in [*statements, current.strip()] if statement]


def _statements() -> Iterator[str]:
    buffer = ""
    while True:
        try:
            line = input("sql> " if not buffer else "  -> ")
        except EOFError:
            if sys.stdin.isatty():
                print()
            yield from split(buffer)
            return
        except KeyboardInterrupt:
            print()
            buffer = ""
            continue
        if not buffer and line.strip().rstrip(";").lower() in ("exit", "quit"):
            return
        buffer += line + "\n"
        if buffer.rstrip().endswith(";"):
            yield from split(buffer)
            buffer = ""


def _cell(value: Any) -> str:
    return "NULL" if value is None else str(value)

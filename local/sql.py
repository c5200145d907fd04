"""A small prompt on the SQL endpoint, and the same for one statement."""

import readline
import sys
from collections.abc import Iterator
from typing import Any, Final

import sqlparse
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clients.sql import Session, connect
from contracts.command import show
from contracts.errors import Refused
from contracts.settings import Settings
from local.install import cache

MAX_ROWS: Final = 1000
"""Rows shown of a result on a terminal."""


def execute(session: Session, statement: str, console: Console) -> None:
    """Runs one statement and prints its rows: a table on a terminal, tab-separated lines elsewhere.

    Raises as :meth:`clients.sql.Session.result`.
    """
    result = session.result(statement, MAX_ROWS + 1 if console.is_terminal else None)
    if not result.columns:
        return
    if not console.is_terminal:
        for row in [result.columns, *result.rows]:
            print("\t".join(_cell(value) for value in row))
        return
    table = Table(*result.columns)
    for row in result.rows[:MAX_ROWS]:
        table.add_row(*(Text(_cell(value)) for value in row))
    console.print(table)
    shown = f"the first {MAX_ROWS} rows" if len(result.rows) > MAX_ROWS else f"{len(result.rows)} rows"
    console.print(shown, style="dim")


def prompt(settings: Settings) -> None:
    """Reads statements, each ended by ``;``, until ``exit`` or end of input."""
    console = Console()
    history = cache() / "sql-history"
    if history.exists():
        readline.read_history_file(history)
    try:
        with connect(settings) as session:
            console.print("Statements end with ';'. Ctrl-D or exit leaves.", style="dim")
            for statement in _statements():
                try:
                    execute(session, statement, console)
                except Refused as error:
                    show(error)
    finally:
        history.parent.mkdir(parents=True, exist_ok=True)
        readline.write_history_file(history)


def split(text: str) -> list[str]:
    """The statements of a text, without comments and closing semicolons; the last may be without one."""
    stripped = sqlparse.format(text, strip_comments=True)
    found = [statement.rstrip(";").strip() for statement in sqlparse.split(stripped)]
    return [statement for statement in found if statement]


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

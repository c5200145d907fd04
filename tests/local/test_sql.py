"""Statements for the SQL endpoint from the command line."""

import os

from local import sql
from local.stack import Stack
from tests.support.running import run


def test_statements_are_split_outside_quotes_and_comments() -> None:
    text = "select ';' ; -- not here;\nselect `a;b`, \"c;\"\n;select 3"
    assert sql.split(text) == ["select ';'", 'select `a;b`, "c;"', "select 3"]


def test_sql_command_prints_rows_and_fails_with_one_line(local_stack: Stack) -> None:
    variables = {**os.environ, "ECOMMERCE_LOCAL_DIR": str(local_stack.site.directory)}
    two = "select 1 a, null b; create database if not exists scratch"
    good = run("local", "sql", "-e", two, variables=variables)
    assert (good.returncode, good.stdout) == (0, "a\tb\n1\tNULL\n"), good.stderr
    bad = run("local", "sql", "-e", "selec 1", variables=variables)
    assert bad.returncode == 1
    assert bad.stderr.startswith("error: the SQL endpoint (spark on ")
    assert "[PARSE_SYNTAX_ERROR]" in bad.stderr
    assert len(bad.stderr.splitlines()) == 1

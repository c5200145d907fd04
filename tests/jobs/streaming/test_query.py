"""What a streaming job's log says when a batch fails: one sentence for what is known, a traceback for what is not."""

import os

import pytest

from tests.support.running import run


def ended(where: str) -> tuple[int, list[str]]:
    """Exit code and log of a query that fails so."""
    spark = {"PYTHONWARNINGS": "ignore", "PYSPARK_SUBMIT_ARGS": "--master local[1] pyspark-shell"}
    done = run("tests.support.failing_query", where, variables={**os.environ, **spark}, timeout=120)
    return done.returncode, done.stderr.strip().splitlines()


@pytest.mark.parametrize(
    ("where", "code", "sentence"),
    [
        ("driver", 3, "error: another job goes on in its place"),
        ("worker", 1, "error: the test query failed: HBase cannot be reached; start it"),
    ],
)
def test_a_known_failure_is_one_sentence(where: str, code: int, sentence: str) -> None:
    returned, log = ended(where)
    assert (returned, log[-1]) == (code, sentence)
    assert not any("Python Proxy" in line for line in log), log  # Spark may still tell where its own thread was stopped
    assert where == "worker" or not any("Traceback" in line for line in log), log  # a lost task has its own


def test_a_later_start_is_why() -> None:
    returned, log = ended("superseded")
    assert returned == 3
    assert log[-1].startswith("error: the test job was started again and goes on there")


def test_a_failure_stands_where_hdfs_does_not_answer() -> None:
    returned, log = ended("alone")
    assert (returned, log[-1]) == (1, "error: the test query failed: 'a bug'")


def test_another_error_has_its_traceback() -> None:
    returned, log = ended("bug")
    assert (returned, log[-1]) == (1, "error: the test query failed: 'a bug'")
    assert "KeyError: 'a bug'" in log
    assert any("failing_query.py" in line for line in log), log

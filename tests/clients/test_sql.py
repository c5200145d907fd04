"""What the SQL endpoint says when something is wrong."""

from pathlib import Path

import pytest

from clients import sql as endpoint
from contracts.errors import Unreachable
from local.ports import Ports
from local.site import Site


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (
            "org.apache.hive.service.cli.HiveSQLException: Error running query: [PARSE_SYNTAX_ERROR] "
            "org.apache.spark.sql.catalyst.parser.ParseException: \n"
            "[PARSE_SYNTAX_ERROR] Syntax error at or near 'selec'\n\tat org.apache.spark.Some.method(Some.scala:1)",
            "[PARSE_SYNTAX_ERROR] Syntax error at or near 'selec'",
        ),
        ("AnalysisException: Could not resolve table reference: 'x'", "Could not resolve table reference: 'x'"),
        ("", "it gave no reason"),
    ],
)
def test_a_server_error_becomes_one_sentence(message: str, sentence: str) -> None:
    assert endpoint.reason(message) == sentence


def test_an_endpoint_that_is_down_is_one_sentence(tmp_path: Path) -> None:
    settings = Site(tmp_path, Ports.free()).settings()
    with pytest.raises(Unreachable, match="cannot reach the SQL endpoint"), endpoint.connect(settings, seconds=0):
        pass

"""What the SQL endpoint says when something is wrong."""

import pytest

from clients import sql as endpoint
from contracts.errors import Unreachable
from contracts.settings import Settings


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


def test_an_endpoint_that_is_down_is_one_sentence() -> None:
    sentence = r"^cannot reach the SQL endpoint \(spark\) at 127\.0\.0\.1:1 "
    settings = Settings(sql_engine="spark", sql_host="127.0.0.1", sql_port=1)
    with pytest.raises(Unreachable, match=sentence), endpoint.connect(settings, seconds=0):
        pass

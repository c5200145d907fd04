"""The entrypoint of the metastore's image, before any Java runs."""

import os
import subprocess

import pytest

from local.site import ROOT

ENTRYPOINT = ROOT / "images" / "hive-metastore" / "entrypoint"


@pytest.mark.parametrize("password", ["two words", "a'quote", 'a"quote', "a;b", "a\ttab"])
def test_a_password_that_hives_schema_tool_would_split_is_refused_and_not_printed(password: str) -> None:
    environment = {"PATH": os.environ["PATH"], "POSTGRES_PASSWORD": password}
    done = subprocess.run(["bash", ENTRYPOINT, "schema"], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "a blank, a quote or a semicolon" in done.stderr
    assert password not in done.stdout + done.stderr

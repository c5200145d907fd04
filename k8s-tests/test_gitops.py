"""The charts as an engine renders them that cannot ask the cluster what was drawn before: nothing is drawn."""

from pathlib import Path

import pytest
import yaml

from contracts.errors import PlatformError
from support.gitops import GIVEN, rendered
from support.rendering import SIZES

PATHS = [
    ("airflow", "dagStart"),
    ("airflow", "existingLoginSecret"),
    ("airflow", "existingKeysSecret"),
    ("airflow", "postgres"),
    ("hive-metastore", "postgres"),
    ("serving", "login"),
    ("kafka", "existingSecrets"),
    ("kafka", "tls"),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("secured", ["true", "false"])
def test_two_renderings_are_the_same(charts: Path, tmp_path: Path, size: str, secured: str) -> None:
    once, again = (
        rendered(tmp_path, size, GIVEN, "--set", f"global.kafka.security.enabled={secured}") for _ in range(2)
    )
    assert once == again
    assert [item for item in yaml.load_all(once, yaml.CSafeLoader) if item and item["kind"] == "Secret"] == []


@pytest.mark.parametrize(("chart", "value"), PATHS)
def test_what_would_be_drawn_is_an_error_that_names_its_value(
    charts: Path, tmp_path: Path, chart: str, value: str
) -> None:
    values = {part: dict(given) for part, given in GIVEN.items()}
    del values[chart][value]
    sentence = f"global.draw is false, so nothing is drawn: set {value}(\\.\\w+)? of the chart {chart}"
    with pytest.raises(PlatformError, match=sentence):
        rendered(tmp_path, "standalone", values, "--set", "global.kafka.security.enabled=true")


def test_a_server_certificate_of_ones_own_needs_an_administrators(charts: Path, tmp_path: Path) -> None:
    values = GIVEN | {"kafka": {"existingSecrets": True, "tls": {"serverSecret": "mine"}}}
    with pytest.raises(PlatformError, match=r"set tls\.adminSecret as well"):
        rendered(tmp_path, "standalone", values, "--set", "global.kafka.security.enabled=true")


def test_logins_at_an_openid_provider_draw_nothing(charts: Path, tmp_path: Path) -> None:
    """And need no login with a password."""
    given = {key: value for key, value in GIVEN["airflow"].items() if key != "existingLoginSecret"}
    oidc = {
        "enabled": True,
        "issuer": "https://sso.example.com",
        "clientId": "airflow",
        "existingSecret": "client",
        "defaultRole": "Viewer",
    }
    values = GIVEN | {"airflow": given | {"auth": {"oidc": oidc}}}
    free = ("--set", "global.networkPolicies.egress.restricted=false")
    once, again = (rendered(tmp_path, "standalone", values, *free) for _ in range(2))
    assert once == again
    assert [item for item in yaml.load_all(once, yaml.CSafeLoader) if item and item["kind"] == "Secret"] == []


def test_every_value_that_must_be_given_is_in_the_docs() -> None:
    given = {(chart, value) for chart, values in GIVEN.items() if chart != "global" for value in values}
    assert given == set(PATHS)

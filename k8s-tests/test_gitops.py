"""The charts as an engine renders them that cannot ask the cluster what was drawn before: nothing is drawn."""

import re
from pathlib import Path

import pytest
import yaml

from contracts.errors import PlatformError
from deploy.helm import UMBRELLA, Helm
from support.platform import HERE
from support.rendering import OPERATORS, SIZES

DOCS = (HERE.parent / "docs" / "gitops.md").read_text()
GIVEN = yaml.safe_load(re.search(r"```yaml\n# values of the umbrella chart\n(.*?)```", DOCS, re.DOTALL)[1])  # type: ignore[index]
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


def rendered(folder: Path, size: str, values: dict[str, dict[str, object]], *flags: str) -> str:
    """What `helm template` renders, each time anew."""
    file = folder / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    files = [flag for path in (*SIZES[size], file) for flag in ("--values", str(path))]
    return Helm().call("template", "lambda", str(UMBRELLA), "-n", "shop", *OPERATORS, *files, *flags)


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


def test_every_value_that_must_be_given_is_in_the_docs() -> None:
    given = {(chart, value) for chart, values in GIVEN.items() if chart != "global" for value in values}
    assert given == set(PATHS)

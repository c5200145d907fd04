"""The charts as an engine renders them that cannot ask the cluster what was drawn before."""

import re
from pathlib import Path

import yaml

from deploy.helm import UMBRELLA, Helm
from support.platform import HERE
from support.rendering import OPERATORS, SIZES

DOCS = (HERE.parent / "docs" / "gitops.md").read_text()
GIVEN = yaml.safe_load(re.search(r"```yaml\n# values of the umbrella chart\n(.*?)```", DOCS, re.DOTALL)[1])  # type: ignore[index]


def rendered(
    folder: Path, size: str, values: dict[str, dict[str, object]], *flags: str, namespace: str = "shop"
) -> str:
    """What `helm template` renders, each time anew."""
    file = folder / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    files = [flag for path in (*SIZES[size], file) for flag in ("--values", str(path))]
    return Helm().call("template", "lambda", str(UMBRELLA), "-n", namespace, *OPERATORS, *files, *flags)

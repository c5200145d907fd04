"""README.md of each chart, made from its Chart.yaml and from the comments ``# --`` of its values.yaml."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from deploy.helm import CHARTS, UMBRELLA

LONGEST = 100
"""Characters of a default that a table's cell takes; a longer one is left to values.yaml."""
MARK = "# --"


def readme(chart: Path) -> str:
    """A chart's page as Markdown: what it is, how it is installed, and a row for each value."""
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    head = (
        f"# {about['name']}\n\n{about['description']}\n\n"
        "Made by `make readmes` from Chart.yaml and the comments of values.yaml; a test keeps them the same.\n"
    )
    if about["type"] == "library":
        return f"{head}\nA library: it makes nothing by itself, and has no values.\n"
    rows = "".join(f"| {' | '.join(_cell(text) for text in row)} |\n" for row in values(chart))
    return f"{head}\n{_where(chart)}\n\n## Values\n\n| value | default | meaning |\n| --- | --- | --- |\n{rows}"


def _where(chart: Path) -> str:
    how = "[docs/kubernetes.md](../../docs/kubernetes.md) says how it is installed"
    if chart == UMBRELLA:
        return f"{how}. Each part has a chart of its own with more values, given here below the part's name."
    parts = yaml.safe_load((UMBRELLA / "Chart.yaml").read_text())["dependencies"]
    (below,) = [part.get("alias", part["name"]) for part in parts if part["name"] == chart.name]
    return f"{how}; in values of the umbrella chart, what follows stands below `{below}`."


def values(chart: Path) -> Iterator[tuple[str, str, str]]:
    """Name, default and meaning of each value that has a comment, in the file's order."""
    text = (chart / "values.yaml").read_text()
    yield from _of(yaml.compose(text), "", text.splitlines(), {})


def _of(mapping: Any, above: str, lines: list[str], known: dict[int, str]) -> Iterator[tuple[str, str, str]]:
    known[id(mapping)] = above.removesuffix(".")
    for key, value in mapping.value:
        meaning = _comment(lines, key.start_mark.line)
        name = f"{above}{key.value}"
        if not meaning:
            continue
        if id(value) in known:
            yield f"`{name}`", f"as `{known[id(value)]}`", meaning
        elif isinstance(value, yaml.MappingNode) and _is_told(value, lines):
            yield f"`{name}`", "", meaning
            yield from _of(value, f"{name}.", lines, known)
        else:
            yield f"`{name}`", _default(value), meaning


def _is_told(mapping: yaml.MappingNode, lines: list[str]) -> bool:
    """Whether the mapping's own values have comments."""
    return any(_comment(lines, key.start_mark.line) for key, _ in mapping.value if not mapping.flow_style)


def _default(value: yaml.Node) -> str:
    loader = yaml.SafeLoader("")
    text = json.dumps(loader.construct_document(value), ensure_ascii=False)
    return f"`{text}`" if len(text) <= LONGEST else "see [values.yaml](values.yaml)"


def _comment(lines: list[str], line: int) -> str:
    """The comment above a line, as one line; empty where there is none that begins with the mark."""
    found: list[str] = []
    for text in map(str.strip, reversed(lines[:line])):
        if not text.startswith("#"):
            break
        found.insert(0, text.removeprefix(MARK).removeprefix("#").strip())
        if text.startswith(MARK):
            return " ".join(found)
    return ""


def _cell(text: str) -> str:
    """A table's cell: no bar ends it, and a placeholder such as <job> is no tag."""
    code = text.replace("|", "\\|").split("`")
    return "`".join(part if number % 2 else part.replace("<", "&lt;") for number, part in enumerate(code))


def files() -> dict[Path, str]:
    """Each chart's README with what belongs in it."""
    return {file.parent / "README.md": readme(file.parent) for file in sorted(CHARTS.glob("*/Chart.yaml"))}

"""The docs site builds without a warning, links included, and its pages fetch nothing from elsewhere."""

import logging
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from docs import reference
from tests.support.running import ok, run

FETCHED = re.compile(r'(?:<script[^>]* src|<img[^>]* src|<link[^>]* href)="?(?:https?:)?//[^"]+')


def test_the_site_builds(tmp_path: Path) -> None:
    ok(run("mkdocs", "build", "--strict", "--site-dir", str(tmp_path)))
    pages = list(tmp_path.rglob("*.html"))
    assert {"index.html", "contributing.html"} <= {page.name for page in pages}
    assert [fetched for page in pages for fetched in FETCHED.findall(page.read_text())] == []


@pytest.mark.parametrize(
    ("page", "markdown", "turned"),
    [
        ("index.md", "[ports](local/ports.py), [why](docs/exactly-once.md#x)", "ports, [why](exactly-once.md#x)"),
        ("local.md", "[ports](../local/ports.py), [it](../README.md)", "ports, [it](index.md)"),
        ("charts/kafka.md", "[how](../../docs/kubernetes.md)", "[how](../kubernetes.md)"),
        ("local.md", "[away](https://example.org), [here](#here)", "[away](https://example.org), [here](#here)"),
    ],
)
def test_links_between_files_are_links_of_the_site(page: str, markdown: str, turned: str) -> None:
    assert turn(page, markdown) == turned


def test_a_link_to_nothing_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        turn("index.md", "[gone](local/nothing.py)")
    assert caplog.messages == ["README.md links to local/nothing.py, which is not there"]


def turn(page: str, markdown: str) -> str:
    there: Any = SimpleNamespace(file=SimpleNamespace(src_uri=page))
    nothing: Any = None
    return reference.on_page_markdown(markdown, there, nothing, nothing)

"""What the pages for those on call tell to type: our commands are there, and have the flags."""

import re
from importlib import import_module
from pathlib import Path

import click
import pytest

from docs.reference import ROOT, entry, programs

RUNBOOKS = sorted((ROOT / "docs/runbooks").glob("*.md"))
PAGES = [*RUNBOOKS, ROOT / "docs/on-call.md"]
HEADINGS = ["What it means", "What to look at", "What to type", "When it is over"]
TYPED = re.compile(r"python -m ([\w.]+)((?: (?!-- )[^\s`|#]+)*)")


def wrong(module: str, arguments: list[str]) -> list[str]:
    """What a command would refuse: a module that nobody runs, a command or a flag that is not there."""
    if module not in programs():
        return [module]
    command: click.Command = import_module(entry(module)).main
    if isinstance(command, click.Group) and arguments:
        name, *arguments = arguments
        if name not in command.commands:
            return [f"{module} {name}"]
        command = command.commands[name]
    known = {flag for parameter in command.params for flag in parameter.opts}
    return [f"{module} {flag}" for flag in arguments if flag.startswith("--") and flag != "--" and flag not in known]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_are_there_and_have_the_flags(page: Path) -> None:
    text = page.read_text()
    typed = TYPED.findall(text)
    assert [flag for module, arguments in typed for flag in wrong(module, arguments.split())] == []


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_a_runbook_says_what_is_asked_of_it(page: Path) -> None:
    text = page.read_text()
    assert re.findall(r"^# (.+)$", text, re.MULTILINE) == [page.stem]
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS


def test_what_is_wrong_is_found() -> None:
    assert wrong("jobs.nothing", []) == ["jobs.nothing"]
    assert wrong("jobs.audit", ["--caught-up", "3", "--nothing"]) == ["jobs.audit --nothing"]
    assert wrong("serving", ["alarms"]) == ["serving alarms"]
    assert TYPED.findall("`python -m deploy run --kafka-client replay -- python -m jobs.replay --dry-run` x") == [
        ("deploy", " run --kafka-client replay"),
        ("jobs.replay", " --dry-run"),
    ]

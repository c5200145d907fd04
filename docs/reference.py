"""What the docs site has besides docs/: a hook of mkdocs, which `make docs` runs.

Pages that lie elsewhere (README.md, the charts' READMEs, …), the ``--help`` of every program, and a page of docstrings
for each package. Links between files of the repository become links of the site; one that leads nowhere is a warning,
which ``mkdocs --strict`` takes for an error.
"""

import logging
import posixpath
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from contracts.command import HELP

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGES: Final = ("contracts", "clients", "generator", "serving", "jobs", "dags", "local", "images", "deploy")
ELSEWHERE: Final = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "generator/README.md": "generator.md",
    **{f"charts/{folder.name}/README.md": f"charts/{folder.name}.md" for folder in (ROOT / "charts").iterdir()},
}
"""Pages of the site by the files that they are."""
LINK: Final = re.compile(r"\[([^\]]+)\]\(([^)\s#]*)(#[^)\s]*)?\)")
ROLE: Final = re.compile(r":(?:class|func|meth|mod|data):(?=<code>)")

log = logging.getLogger("mkdocs.reference")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that do not lie in docs/."""
    pages = {page: (ROOT / file).read_text() for file, page in ELSEWHERE.items()}
    pages["reference/commands.md"] = commands()
    pages |= {f"reference/{package}.md": docstrings(package) for package in PACKAGES}
    for page, text in pages.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links between files of the repository into links of the site, or text where the site has no such page."""
    here = page.file.src_uri
    file = next((file for file, known in ELSEWHERE.items() if known == here), f"docs/{here}")

    def turn(link: re.Match[str]) -> str:
        text, target, anchor = link[1], link[2], link[3] or ""
        if not target or re.match(r"[a-z]+:", target):
            return link[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(file), target))
        known = ELSEWHERE.get(path, path.removeprefix("docs/") if path.startswith("docs/") else "")
        if known:
            return f"[{text}]({posixpath.relpath(known, posixpath.dirname(here) or '.')}{anchor})"
        if not (ROOT / path).exists():
            log.warning("%s links to %s, which is not there", file, target)
        return text

    return LINK.sub(turn, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Docstrings name classes and functions by Sphinx' roles, which Markdown does not know."""
    return ROLE.sub("", html)


def docstrings(package: str) -> str:
    """A page of a package: what its modules say of themselves."""
    modules = [package, *sorted(name(file) for file in (ROOT / package).rglob("*.py") if file.stem[0] != "_")]
    return f"# {package}\n\n" + "\n".join(f"::: {module}\n" for module in modules)


def commands() -> str:
    """The page of all programs, with what ``--help`` prints."""
    parts = ["# Commands\n"]
    for program in programs():
        module = import_module({"generator": "generator.cli"}.get(program, entry(program)))
        standard_library = hasattr(module, "parser")
        texts = [module.parser().format_help()] if standard_library else helps(module.main, f"python -m {program}")
        parts += [f"## {program}\n", *(f"```\n{text.strip()}\n```\n" for text in texts)]
    return "\n".join(parts)


def helps(command: click.Command, path: str, parent: click.Context | None = None) -> Iterator[str]:
    """What a command and the commands below it print as help."""
    context = click.Context(command, parent, path, max_content_width=100, terminal_width=100, **HELP)
    yield command.get_help(context)
    if isinstance(command, click.Group):
        for below, child in command.commands.items():
            yield from helps(child, below, context)


def programs() -> list[str]:
    """Every module of the repository that ``python -m`` runs."""
    files = [file for package in (*PACKAGES, "bench") for file in (ROOT / package).rglob("*.py")]
    runs = [file for file in files if file.stem == "__main__" or 'if __name__ == "__main__":' in file.read_text()]
    return sorted(name(file).removesuffix(".__main__") for file in runs)


def entry(program: str) -> str:
    """The module that holds a program's command."""
    return f"{program}.__main__" if (ROOT / program.replace(".", "/") / "__main__.py").exists() else program


def name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)

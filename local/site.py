"""One local stack: its folders, ports, passwords and rendered configuration."""

import json
import os
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree

import jinja2

from contracts import paths
from contracts.errors import Mistake
from contracts.settings import Settings
from local.ports import HOST, Ports

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = ROOT / "local" / "servers"
DIRECTORY_VARIABLE = "ECOMMERCE_LOCAL_DIR"


def default_directory() -> Path:
    """``build/local`` of the checkout, or ``ECOMMERCE_LOCAL_DIR``."""
    return Path(os.environ.get(DIRECTORY_VARIABLE) or ROOT / "build" / "local").resolve()


@dataclass(frozen=True)
class Site:
    """Where a stack keeps its things; creates folders when they are asked for."""

    directory: Path = field(default_factory=default_directory)
    ports: Ports = field(default_factory=Ports.from_environment)

    def check(self) -> None:
        """Raises :class:`Mistake` for a folder that the servers cannot take: HDFS fails on a space or an umlaut."""
        if not re.fullmatch(r"[A-Za-z0-9_./+@=-]+", str(self.directory)):
            raise Mistake(
                f"the servers cannot keep their data in {str(self.directory)!r}, whose name has more than letters, "
                f"digits and _./+@=-; set {DIRECTORY_VARIABLE} to another folder"
            )

    @property
    def run(self) -> Path:
        return _folder(self.directory / "run", mode=0o700)

    @property
    def logs(self) -> Path:
        return _folder(self.directory / "logs")

    @property
    def tmp(self) -> Path:
        return _folder(self.directory / "tmp", mode=0o700)

    def log(self, server: str) -> Path:
        return self.logs / f"{server}.log"

    def data(self, server: str) -> Path:
        return _folder(self.directory / "data", mode=0o700) / server

    def conf(self, server: str) -> Path:
        return self.run / "conf" / server

    def settings(self) -> Settings:
        """The settings with which entry points reach this stack."""
        at = self.ports
        return Settings(
            kafka_bootstrap=f"{HOST}:{at.kafka}",
            hdfs_uri=f"hdfs://{HOST}:{at.namenode}",
            webhdfs_url=f"http://{HOST}:{at.namenode_ui}",
            hbase_thrift_host=HOST,
            hbase_thrift_port=at.hbase_thrift,
            metastore_uri=f"thrift://{HOST}:{at.metastore}",
            sql_engine="spark",
            sql_host=HOST,
            sql_port=at.sql,
            sql_auth="NOSASL",
        )

    def password(self, user: str) -> str:
        """A database user's password: drawn once, then read from a file that only its owner may read."""
        file = _folder(self.run / "secrets", mode=0o700) / user
        if not file.exists():
            write_private(file, secrets.token_urlsafe(24))
        return file.read_text()

    def once(self, name: str, prepare: Callable[[], None]) -> None:
        """Runs ``prepare`` unless it has once finished for this stack's data; after a crash half-way it runs again."""
        if not self.done(name):
            prepare()
            self._done(name).touch()

    def done(self, name: str) -> bool:
        """Whether :meth:`once` has finished that for this stack's data."""
        return self._done(name).exists()

    def _done(self, name: str) -> Path:
        return self.data(f"{name}.initialised")

    def fresh_data(self, server: str) -> Path:
        """A server's data folder, emptied."""
        folder = self.data(server)
        rmtree(folder, ignore_errors=True)
        return _folder(folder, mode=0o700)

    def render(self, server: str, templates: tuple[str, ...]) -> Path:
        """Renders the templates ``local/servers/<name>/conf/*`` into the server's configuration folder.

        Of files with the same name the one of the first template folder stands.
        """
        environment = jinja2.Environment(
            undefined=jinja2.StrictUndefined,
            keep_trailing_newline=True,
            autoescape=jinja2.select_autoescape(["xml"]),
        )
        values = {
            "host": HOST,
            "ports": self.ports,
            "directory": self.directory,
            "data": self.data(server),
            "hdfs_user": self.settings().hdfs_user,
            "batch_user": paths.BATCH,
            "hdfs_users": paths.USERS,
            "password": self.password,
        }
        rmtree(self.conf(server), ignore_errors=True)
        folder = _folder(self.conf(server))
        for name in reversed(templates):
            for template in sorted((TEMPLATES / name / "conf").iterdir()):
                write_private(folder / template.name, environment.from_string(template.read_text()).render(values))
        return folder

    def remember(self) -> None:
        """Notes the ports with which the stack was started, for commands given without the same environment."""
        write_private(self.run / "ports.json", json.dumps(self.ports.as_dict()))

    def remembered(self) -> "Site":
        """This stack with the ports with which it was last started."""
        file = self.directory / "run" / "ports.json"
        return Site(self.directory, Ports(**json.loads(file.read_text()))) if file.exists() else self


def write_private(path: Path, text: str) -> None:
    """Writes a file of mode 0600 whole or not at all."""
    partial_path = path.with_name(path.name + ".part")
    partial_path.unlink(missing_ok=True)
    with os.fdopen(os.open(partial_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    partial_path.rename(path)


def _folder(path: Path, mode: int = 0o755) -> Path:
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    return path

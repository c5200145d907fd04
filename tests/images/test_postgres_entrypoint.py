"""The entrypoint of the PostgreSQL image with a real PostgreSQL: what is in its folder is never removed."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest

from clients.retry import until
from contracts.errors import NotReady
from local import postgres
from local.ports import HOST, free
from local.site import ROOT

USER, PASSWORD = "shop", "kept in memory"
*AS_SOMEBODY, POSTGRES = postgres.binary("postgres")
"""PostgreSQL refuses to run as root."""


class Image:
    """The entrypoint with its folder ``data``, as a container runs it."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "volume" / "pgdata"
        self.data.parent.mkdir()
        (self.port,) = free(1)
        self._run = folder
        self._environment = {
            "PATH": f"{Path(POSTGRES).parent}:{os.environ['PATH']}",
            "PGDATA": str(self.data),
            "POSTGRES_USER": USER,
            "POSTGRES_PASSWORD": PASSWORD,
        }

    def start(self) -> subprocess.Popen[str]:
        options = (
            "-c",
            f"port={self.port}",
            "-c",
            f"unix_socket_directories={self._run}",
            "-c",
            "listen_addresses=127.0.0.1",
        )
        return subprocess.Popen(
            [*AS_SOMEBODY, "bash", str(ROOT / "images/postgres/entrypoint"), *options],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @contextmanager
    def serving(self) -> Iterator[None]:
        process = self.start()
        try:
            until(lambda: self.ask("SELECT 1") == 1, seconds=60, pause=0.2)
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)

    def refused(self) -> str:
        """The last line of a start that ends by itself."""
        _, said = self.start().communicate(timeout=60)
        return said.splitlines()[-1]

    def ask(self, statement: str) -> object:
        try:
            connection = psycopg2.connect(host=HOST, port=self.port, user=USER, password=PASSWORD, dbname=USER)
        except psycopg2.OperationalError as error:
            raise NotReady(str(error)) from error
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone() if cursor.description else None
        connection.close()
        return row[0] if row else None


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(tmp_path)


def test_a_database_is_made_once_and_kept(image: Image) -> None:
    with image.serving():
        image.ask("CREATE TABLE kept AS SELECT 7 AS seven")
    with image.serving():
        assert image.ask("SELECT seven FROM kept") == 7
    assert [path.name for path in image.data.parent.iterdir()] == ["pgdata"]


def test_a_first_start_that_is_cut_off_is_made_anew(image: Image) -> None:
    for seconds in (0.1, 0.5, 0.9, 1.4, 2.0):
        process = image.start()
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    (image.data / "postmaster.pid").unlink(missing_ok=True)  # a container's processes have their own numbers
    with image.serving():
        assert image.ask("SELECT 1") == 1


def test_the_database_of_another_image_is_served(image: Image) -> None:
    password = image.data.parent.parent / "password"
    password.write_text(PASSWORD)
    options = (
        "--username",
        USER,
        "--pwfile",
        str(password),
        "--auth=scram-sha-256",
        "--no-sync",
        "-D",
        str(image.data),
    )
    subprocess.run([*postgres.binary("initdb"), *options], check=True, capture_output=True)
    for database, statement in (
        ("postgres", f"CREATE DATABASE {USER};"),
        (USER, "CREATE TABLE kept AS SELECT 7 AS seven;"),
    ):
        single = [*postgres.binary("postgres"), "--single", "-D", str(image.data), database]
        subprocess.run(single, input=f"{statement}\n", check=True, capture_output=True, text=True)
    with image.serving():
        assert image.ask("SELECT seven FROM kept") == 7


def test_what_it_cannot_serve_it_refuses_and_leaves(image: Image) -> None:
    image.data.mkdir()
    (image.data / "letters").write_text("of a lifetime")
    assert image.refused() == (
        f"error: {image.data} holds no database of PostgreSQL, though it is there: move it away; nothing was changed"
    )
    (image.data / "PG_VERSION").write_text("9\n")
    assert f"{image.data} is of PostgreSQL 9, and this is 18: dump it there" in image.refused()
    if os.geteuid() == 0:
        os.chown(image.data, 12345, 12345)
        assert "and PostgreSQL runs here as uid 1000: give it all files" in image.refused()
    assert (image.data / "letters").read_text() == "of a lifetime"

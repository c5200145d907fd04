"""The images' command ``metrics-door``, with the nginx that they have, before a server that says what it was asked."""

import os
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from clients.retry import until
from local.site import ROOT

METRICS = "/metrics/prometheus"


class Page(BaseHTTPRequestHandler):
    """Answers with what was asked, headers included."""

    def _answer(self) -> None:
        body = f"{self.command} {self.path}\n{self.headers}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _answer

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of Debian's nginx, unpacked: installed, it would listen on port 80."""
    folder = tmp_path_factory.mktemp("nginx")
    download = subprocess.run(["apt-get", "download", "-qq", "nginx"], cwd=folder, capture_output=True, text=True)
    if download.returncode:
        pytest.skip(f"no nginx: {download.stderr.strip()}")
    subprocess.run(["dpkg", "-x", *map(str, folder.glob("nginx_*.deb")), str(folder)], check=True)
    return folder / "usr" / "sbin"


@pytest.fixture(scope="module")
def door(nginx: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of one before :class:`Page`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        places = [f"127.0.0.1:{port}", f"localhost:{server.server_port}", METRICS, "/prom"]
        environment = {"PATH": f"{nginx}:{os.environ['PATH']}", "TMPDIR": str(tmp_path_factory.mktemp("tmp"))}
        with subprocess.Popen([ROOT / "images" / "base" / "metrics-door", *places], env=environment) as process:
            until(lambda: answer(port, "/prom")[0] == 200, seconds=20, what="metrics-door")
            yield port
            process.terminate()
        server.shutdown()
    assert process.returncode == 0


def answer(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as found:  # noqa: S310
            return found.status, found.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return 0, ""


@pytest.mark.parametrize("path", [METRICS, "/prom"])
def test_the_paths_are_served(door: int, path: str) -> None:
    status, body = answer(door, path)
    assert (status, body.splitlines()[0]) == (200, f"GET {path}")


def test_nothing_of_the_question_goes_further(door: int) -> None:
    status, body = answer(door, "/prom?user.name=ecommerce&op=DELETE", Cookie="hadoop.auth=u=ecommerce", Referer="x")
    assert status == 200
    assert body.splitlines()[0] == "GET /prom"
    assert "hadoop.auth" not in body
    assert "Referer" not in body


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/webhdfs/v1/?op=LISTSTATUS&user.name=ecommerce",
        "/prom/../webhdfs/v1/?op=LISTSTATUS",
        "/prom/..%2fwebhdfs/v1/",
        "/prom%2f..%2fwebhdfs",
        "/prometheus",
        "/prom/",
        "/metrics/prometheus/../../jobs/job/kill/?id=1",
        "/jmx",
        "/conf",
    ],
)
def test_no_other_path_is(door: int, path: str) -> None:
    assert answer(door, path) == (404, "")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE"])
def test_no_other_method_is(door: int, method: str) -> None:
    status, body = answer(door, "/prom", method)
    assert status >= 400
    assert not body

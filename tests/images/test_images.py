"""The images' sources: what they install is locked, what they share with the local servers agrees."""

import re
import socket
import ssl
import struct
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import trustme

from images.builder import IMAGES, VERSION, build, content_tag, digest, dockerfile, local_name, parents, push
from images.tools import DEBIAN
from local.install import cache, locked
from local.site import ROOT, TEMPLATES
from local.tools import OPENED_PACKAGES
from tests.support.running import ok, run

GROUPS = ("tasks", "spark", "generator", "serving", "airflow")
PROBE = ROOT / "clients" / "probe.py"


def pins(file: Path) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", file.read_text(), re.MULTILINE))


@pytest.mark.parametrize("group", GROUPS)
def test_what_an_image_installs_is_in_the_projects_lock(group: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {re.split("[=<>]", name)[0] for name in project["project"]["dependencies"]}
    assert set(project["dependency-groups"][group]) <= wanted
    lock, installed = pins(ROOT / "requirements" / "lock.txt"), pins(ROOT / "requirements" / f"{group}.txt")
    assert installed
    assert set(installed.items()) <= set(lock.items())


def test_java_opens_the_same_packages_as_locally() -> None:
    options = (ROOT / "images" / "base" / "java-options").read_text()
    assert re.findall(r"java\.base/(\S+)=ALL-UNNAMED", options) == list(OPENED_PACKAGES)


def test_spark_asks_the_metastore_with_the_client_of_its_release() -> None:
    served, asking = ((TEMPLATES / name / "pom.xml").read_text() for name in ("hive-metastore", "hive-client"))
    (version,) = set(re.findall(r"<artifactId>hive-standalone-metastore-server</artifactId>\s*<version>(.+?)<", served))
    assert re.findall(r"<artifactId>hive-exec</artifactId>\s*<version>(.+?)<", asking) == [version]
    chart = (ROOT / "charts" / "sql" / "templates" / "_sql.tpl").read_text()
    for defaults in (chart, (TEMPLATES / "spark-thrift" / "conf" / "spark-defaults.conf").read_text()):
        assert re.findall(r"spark\.sql\.hive\.metastore\.version +(\S+)", defaults) == [version]
    (place,) = re.findall(r"spark\.sql\.hive\.metastore\.jars\.path +file://(\S+)/lib/\*\.jar", chart)
    assert f"COPY --from=build {place} {place}\n" in dockerfile("spark").read_text()


@pytest.mark.parametrize("name", ["base", *IMAGES])
def test_images_run_as_the_same_user(name: str) -> None:
    text = dockerfile(name).read_text()
    users = re.findall(r"^USER (\S+)$", text, re.MULTILINE)
    assert users[-1:] in ([], ["10001:10001"])  # the base's user, unless an image had to be root to install
    assert "org.opencontainers.image.description" in text
    assert name == "base" or "base" in parents(name)


OF_OTHERS = {"${ROOT_IMAGE}", "${BASE_IMAGE}", "${BUILD_IMAGE}"}
PROCESSORS = re.compile(r"amd64|x86|aarch64|arm64|linux-(x|aarch)")


def test_the_base_is_pinned_for_every_processor() -> None:
    assert re.fullmatch(r"docker\.io/library/debian@sha256:[0-9a-f]{64}", DEBIAN)
    for name in ("base", "build", *IMAGES):
        text = dockerfile(name).read_text()
        # Nothing else comes from elsewhere.
        assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) <= OF_OTHERS
        # That a base has several is said once.
        instructions = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
        copied = [path.read_text() for path in (ROOT / "images" / name).iterdir() if path.name != "Dockerfile"]
        assert not [found for one in (instructions, *copied) for found in PROCESSORS.findall(one)]
    for pom in (ROOT / "local" / "servers").glob("*/pom.xml"):
        assert not PROCESSORS.search(pom.read_text()), pom


def of_maven(server: str, artifact: str) -> str:
    """The version of an artifact in a server's pom.xml, without what it was built for."""
    text = (ROOT / "local" / "servers" / server / "pom.xml").read_text()
    (found,) = set(re.findall(rf"<artifactId>{artifact}</artifactId>\s*<version>([\d.]+)", text))
    return str(found)


LOCKED = pins(ROOT / "requirements" / "lock.txt")


@pytest.mark.parametrize(
    ("image", "charts", "version"),
    [
        ("kafka", ("kafka",), of_maven("kafka", r"kafka_2\.13")),
        ("hadoop", ("hdfs",), of_maven("hadoop", "hadoop-hdfs")),
        ("hbase", ("hbase",), of_maven("hbase", "hbase-server")),
        ("hive-metastore", ("hive-metastore",), of_maven("hive-metastore", "hive-standalone-metastore-server")),
        ("spark", ("sql", "spark-jobs"), LOCKED["pyspark"]),
        ("airflow", ("airflow",), LOCKED["apache-airflow"]),
        ("generator", ("generator", "ecommerce-lambda"), VERSION),
        ("serving", ("serving",), VERSION),
        ("tasks", (), VERSION),
    ],
)
def test_labels_say_the_version_of_what_runs(image: str, charts: tuple[str, ...], version: str) -> None:
    assert f'org.opencontainers.image.version="{version}"' in dockerfile(image).read_text()
    for chart in charts:
        assert f"\nappVersion: {version}\n" in (ROOT / "charts" / chart / "Chart.yaml").read_text()


def test_two_that_build_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with ThreadPoolExecutor(1) as pool:
        with locked(cache() / "images.lock"):
            other = pool.submit(build, (), lambda *_: None)
            with pytest.raises(TimeoutError):
                other.result(0.5)
        assert other.result(10) == []


def test_a_changed_source_changes_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import images.builder

    for folder in ("images", "contracts", "jobs", "generator", "dags", "local", "requirements"):
        subprocess.run(["cp", "-r", str(ROOT / folder), str(tmp_path)], check=True)
    monkeypatch.setattr(images.builder, "ROOT", tmp_path)
    before = {name: digest(name) for name in IMAGES}
    (tmp_path / "jobs" / "audit.py").write_text("")
    assert {name for name in IMAGES if digest(name) != before[name]} == {"spark", "tasks"}


def test_an_image_is_pushed_by_its_version_and_by_its_content(monkeypatch: pytest.MonkeyPatch) -> None:
    import images.builder

    class Pushes:
        pushed: ClassVar[list[tuple[str, str]]] = []

        def push(self, image: str, target: str) -> None:
            self.pushed.append((image, target))

    monkeypatch.setattr(images.builder, "tool", Pushes)
    push(("tasks",), "registry.example.com/team")
    repository = "registry.example.com/team/ecommerce-lambda/tasks"
    assert content_tag("tasks") == f"{VERSION}-{digest('tasks')}"
    assert Pushes.pushed == [(local_name("tasks"), f"{repository}:{tag}") for tag in (VERSION, content_tag("tasks"))]


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"beans": [{"State": "active", "Count": 2}]}' if "jmx" in self.path else b"hello"
        self.send_response(404 if self.path == "/missing" else 200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def page() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def probe(*arguments: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, str(PROBE), *arguments], capture_output=True, text=True, timeout=30)
    return done.returncode, done.stderr.strip()


def test_probe_asks_for_pages_and_beans(page: str) -> None:
    assert probe("tcp", page)[0] == 0
    assert probe("http", f"http://{page}/", "hell")[0] == 0
    assert probe("jmx", page, "Hadoop:x=y", "State=standby,active", "Count>=2")[0] == 0
    assert probe("http", f"http://{page}/missing")[0] == 1
    assert probe("http", f"http://{page}/", "heaven") == (
        1,
        f"error: http http://{page}/: the page does not contain 'heaven'",
    )
    assert probe("jmx", page, "Hadoop:x=y", "Count>=3") == (1, f"error: jmx {page}: Count is 2, not at least 3")


@pytest.mark.parametrize(("kind", "code"), [(2, 0), (3, 1)])
def test_probe_takes_a_thrift_reply_and_no_exception(kind: int, code: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                assert b"getTableNames" in connection.recv(100)
                connection.sendall(struct.pack(">I", 0x80010000 | kind) + b"rest")

        threading.Thread(target=answer, daemon=True).start()
        assert probe("thrift", f"127.0.0.1:{server.getsockname()[1]}", "getTableNames")[0] == code


@pytest.mark.parametrize(
    ("status", "said"),
    [(b"\x03", ""), (b"\x04", ""), (b"\x05", "it lets in without a password"), (b"", "it hung up")],
)
def test_probe_wants_a_login_without_a_password_refused(tmp_path: Path, status: bytes, said: str) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with tls.wrap_socket(connection, server_side=True) as secured:
                while not b"".join(heard).endswith(b"\0probe\0"):
                    heard.append(secured.recv(100))
                secured.sendall(status)

        threading.Thread(target=answer, daemon=True).start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        code, sentence = probe("login", address, "--ca", str(tmp_path / "ca.crt"))
    assert (code, sentence) == (bool(said), f"error: login {address}: {said}" if said else "")
    assert b"".join(heard) == b"\x01\0\0\0\x05PLAIN\x02\0\0\0\x07\0probe\0"


@pytest.mark.parametrize(
    ("said", "ready", "alive"), [("Mode: leader\n", 0, 1), ("not currently serving requests\n", 1, 1), ("imok", 1, 0)]
)
def test_probe_tells_a_zookeeper_in_its_quorum_from_one_that_runs(said: str, ready: int, alive: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            for _ in range(2):
                connection, _address = server.accept()
                with connection:
                    connection.recv(4)
                    connection.sendall(said.encode())

        threading.Thread(target=answer, daemon=True).start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert probe("zookeeper", address)[0] == ready
        assert probe("zookeeper", address, "ruok")[0] == alive


def test_probe_waits() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        code, message = probe("--wait", "2", "tcp", address)
    assert code == 1
    assert "Connection refused" in message


PROGRAMS = {
    "tasks": "jobs.prepare jobs.audit jobs.repair jobs.adopt jobs.replay jobs.rebuild serving.__main__ "
    "clients.__main__ "
    "clients.sql clients.metastore jobs.batch.tasks.revenue jobs.batch.tasks.reconcile jobs.batch.tasks.export_csv",
    "spark": "jobs.streaming.ingest jobs.streaming.speed jobs.prepare clients.__main__ clients.sql",
    "generator": "generator.cli",
    "serving": "serving.api.app",
    "airflow": "contracts.dag",
}
"""What runs in an image."""


@pytest.mark.parametrize("group", GROUPS)
def test_who_reads_kafka_can_unpack_what_the_shop_sends(group: str) -> None:
    """kafka-python imports a codec where it meets the first batch that is packed by it."""
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"][group]
    assert ("kafka-python[crc32c]" in named) <= ("lz4" in named)


@pytest.mark.parametrize("group", GROUPS)
def test_an_image_has_what_its_programs_import(group: str) -> None:
    installed = " ".join(name.lower().replace("_", "-") for name in pins(ROOT / "requirements" / f"{group}.txt"))
    ok(run("tests.support.only_installed", installed, PROGRAMS[group]))

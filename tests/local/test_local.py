"""The local stack: its ports, configuration and supervision; what is printed when something goes wrong."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest
from click.testing import CliRunner

from clients import sql as endpoint
from contracts.errors import PlatformError, Unreachable
from contracts.hbase import HBASE_TABLES
from contracts.topics import TOPICS
from local import install, postgres, ready, sql
from local.__main__ import main
from local.ports import HOST, OFFSET_VARIABLE, Ports, check_free
from local.servers import SERVERS, Server, with_dependencies
from local.site import ROOT, TEMPLATES, Site
from local.stack import Stack

SERVE = "import http.server,sys; http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), None).serve_forever()"
NAMES = [server.name for server in SERVERS]


# Ports


def test_the_offset_shifts_every_port_and_a_variable_sets_one() -> None:
    shifted = Ports.from_environment({OFFSET_VARIABLE: "1000", "ECOMMERCE_PORT_SQL": "21000"}).as_dict()
    assert {name: shifted[name] - port for name, port in Ports().as_dict().items() if name != "sql"} == dict.fromkeys(
        (name for name in shifted if name != "sql"), 1000
    )
    assert shifted["sql"] == 21000


@pytest.mark.parametrize(
    ("variables", "names"),
    [
        ({OFFSET_VARIABLE: "many"}, OFFSET_VARIABLE),
        ({OFFSET_VARIABLE: "60000"}, OFFSET_VARIABLE),
        ({"ECOMMERCE_PORT_KAFKA": "9093"}, "same port"),
    ],
)
def test_impossible_ports_are_one_sentence(variables: dict[str, str], names: str) -> None:
    with pytest.raises(PlatformError, match=names):
        Ports.from_environment(variables)


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])  # noqa: S104
def test_a_port_in_use_is_named_with_its_server_and_its_variable(address: str) -> None:
    with socket.socket() as holder:
        holder.bind((address, 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(PlatformError) as error:
            check_free("kafka", ("kafka",), Ports(kafka=port))
    assert str(port) in str(error.value)
    assert "kafka" in str(error.value)
    assert "ECOMMERCE_PORT_KAFKA" in str(error.value)


def test_the_settings_of_a_stack_follow_its_ports(tmp_path: Path) -> None:
    settings = Site(tmp_path, Ports.from_environment({OFFSET_VARIABLE: "1000"})).settings()
    assert settings.kafka_bootstrap == "127.0.0.1:10092"
    assert settings.webhdfs_url == "http://127.0.0.1:10870"
    assert settings.sql_port == 22050


# Definitions and templates


def test_every_port_belongs_to_one_server() -> None:
    owned = [name for server in SERVERS for name in server.ports]
    assert sorted(owned) == sorted(Ports().as_dict())
    assert all(server.ui is None or server.ui in server.ports for server in SERVERS)


def test_the_order_of_the_definitions_is_an_order_to_start_in() -> None:
    for index, server in enumerate(SERVERS):
        assert set(server.after) <= set(NAMES[:index])


def test_a_server_brings_what_it_needs() -> None:
    assert [server.name for server in with_dependencies(SERVERS, {"hdfs-datanode"})] == [
        "hdfs-namenode",
        "hdfs-datanode",
    ]
    assert {"hbase-master", "hbase-regionserver"} < {s.name for s in with_dependencies(SERVERS, {"hbase-thrift"})}
    assert not any(server.on_request for server in with_dependencies(SERVERS, None))
    with pytest.raises(PlatformError, match="unknown server 'oracle'"):
        with_dependencies(SERVERS, {"oracle"})


@pytest.mark.parametrize("server", [server for server in SERVERS if server.conf], ids=lambda server: server.name)
def test_templates_render_whole_and_bind_to_loopback(server: Server, tmp_path: Path) -> None:
    site = Site(tmp_path / "a & b", Ports.from_environment({OFFSET_VARIABLE: "1000"}))
    for file in site.render(server.name, server.conf).iterdir():
        text = file.read_text()
        assert "{{" not in text
        assert not re.search(r"0\.0\.0\.0|localhost|\[::\]", text), file
        assert not any(str(port) in text for port in Ports().as_dict().values()), file
        if file.suffix == ".xml":
            names = [item.text for item in ET.fromstring(text).iter("name")]  # noqa: S314
            assert len(names) == len(set(names)), file
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_poms_and_configuration_name_no_registry_and_no_machine() -> None:
    for file in [*TEMPLATES.rglob("*.*"), ROOT / "Makefile", ROOT / "local" / "uv.txt"]:
        text = file.read_text().replace("http://maven.apache.org/POM/4.0.0", "")
        assert not re.search(r"https?://(?!127\.0\.0\.1|\{)|/root/|/home/", text), file


def test_other_sources_are_installed_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = install.home("kafka")
    assert before.is_relative_to(tmp_path)
    monkeypatch.setattr(install, "TEMPLATES", tmp_path)
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "pom.xml").write_text("<project/>")
    assert install.home("kafka") != before
    assert "kafka" in install.missing()


def test_an_installation_that_was_cut_off_counts_as_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (install.home("kafka") / "lib").mkdir(parents=True)
    assert "kafka" in install.missing()


def test_java_too_old_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    java = tmp_path / "bin" / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(PlatformError, match=r"Java 17 or later is needed, .* is version 11"):
        install.check_java()


def test_passwords_are_drawn_once_and_private(tmp_path: Path) -> None:
    site, other = Site(tmp_path / "a", Ports()), Site(tmp_path / "b", Ports())
    assert site.password("metastore") == site.password("metastore") != other.password("metastore")
    file = site.run / "secrets" / "metastore"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(site.run.stat().st_mode) == 0o700


def test_a_preparation_that_failed_is_made_again(tmp_path: Path) -> None:
    site, calls = Site(tmp_path, Ports()), []

    def fail() -> None:
        calls.append("fail")
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        site.once("kafka", fail)
    site.once("kafka", lambda: calls.append("done"))
    site.once("kafka", fail)
    assert calls == ["fail", "done"]


def test_a_folder_that_the_servers_cannot_take_is_one_sentence(tmp_path: Path) -> None:
    for name in ("50%", "two words", "größer"):
        with pytest.raises(PlatformError, match=r"cannot keep their data in .*ECOMMERCE_LOCAL_DIR"):
            Stack(tmp_path / name, Ports()).up()


# Supervision, with small servers instead of the real ones


@pytest.fixture
def free_ports() -> Ports:
    """Ports that nobody holds."""
    return Ports.free()


@pytest.fixture
def small(tmp_path: Path, free_ports: Ports) -> Iterator[Stack]:
    """A stack of two web servers, the second after the first."""
    stack = Stack(tmp_path / "stack", free_ports, [_web("zookeeper"), _web("kafka", after=("zookeeper",))])
    yield stack
    stack.down(wipe=True)


def _web(name: str, after: tuple[str, ...] = (), code: str = SERVE) -> Server:
    def answers(site: Site) -> None:
        socket.create_connection((HOST, site.ports.as_dict()[name]), 1).close()

    return Server(
        name=name,
        command=lambda site: [sys.executable, "-c", code, str(site.ports.as_dict()[name])],
        conf=(),
        ports=(name,),
        ready=answers,
        after=after,
    )


def _states(stack: Stack) -> dict[str, str]:
    return {server.name: server.state for server in stack.status()}


def test_up_starts_all_and_down_leaves_nothing(small: Stack) -> None:
    small.up()
    assert _states(small) == {"zookeeper": "RUNNING", "kafka": "RUNNING"}
    pids = [server.pid for server in small.status()]
    supervisord = psutil.Process(pids[0]).ppid()
    small.up()
    assert [server.pid for server in small.status()] == pids, "a second start changes nothing"
    small.down()
    assert not any(psutil.pid_exists(pid) for pid in [*pids, supervisord])
    assert _states(small) == {"zookeeper": "STOPPED", "kafka": "STOPPED"}


def test_only_starts_what_is_named_and_needed(small: Stack) -> None:
    small.up({"zookeeper"})
    assert _states(small) == {"zookeeper": "RUNNING", "kafka": "STOPPED"}


def test_a_killed_server_starts_again(small: Stack) -> None:
    small.up()
    small.kill("zookeeper")
    assert _states(small) == {"zookeeper": "EXITED", "kafka": "RUNNING"}
    small.up()
    assert _states(small) == {"zookeeper": "RUNNING", "kafka": "RUNNING"}


def test_servers_that_outlive_their_supervisor_are_ended(small: Stack) -> None:
    small.up()
    pids = [server.pid for server in small.status()]
    psutil.Process(psutil.Process(pids[0]).ppid()).kill()
    time.sleep(0.3)
    assert all(psutil.pid_exists(pid) for pid in pids)
    small.down()
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_server_that_dies_shows_the_end_of_its_log(tmp_path: Path, free_ports: Ports) -> None:
    broken = _web("kafka", ("zookeeper",), "print('line 1'); raise SystemExit('the disk is made of cheese')")
    stack = Stack(tmp_path / "stack", free_ports, [_web("zookeeper"), broken])
    with pytest.raises(PlatformError) as error:
        stack.up()
    assert str(error.value).startswith("kafka died while it started")
    assert "the disk is made of cheese" in str(error.value)
    assert str(stack.site.log("kafka")) in str(error.value)
    assert _states(stack) == {"zookeeper": "STOPPED", "kafka": "STOPPED"}, "what had started is stopped again"


def test_a_server_whose_program_is_missing_is_reported(tmp_path: Path, free_ports: Ports) -> None:
    missing = Server(
        name="kafka",
        command=lambda _: ["/nonexistent/program"],
        conf=(),
        ports=("kafka",),
        ready=lambda _: None,
    )
    with pytest.raises(PlatformError, match=r"kafka cannot be started: .*/nonexistent/program"):
        Stack(tmp_path, free_ports, [missing]).up()


def test_a_taken_port_stops_the_start_before_anything_runs(small: Stack) -> None:
    port = small.site.ports.kafka
    with socket.create_server((HOST, port)), pytest.raises(PlatformError, match="ECOMMERCE_PORT_KAFKA"):
        small.up()
    assert _states(small) == {"zookeeper": "STOPPED", "kafka": "STOPPED"}


def test_a_failing_preparation_shows_what_its_program_said(tmp_path: Path, free_ports: Ports) -> None:
    from local.tools import run_tool

    with pytest.raises(PlatformError, match=r"preparing kafka failed with exit code 3:\n  no room left"):
        run_tool(Site(tmp_path, free_ports), "kafka", [sys.executable, "-c", "print('no room left'); exit(3)"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_start_leaves_nothing_running(number: int, tmp_path: Path, free_ports: Ports) -> None:
    code = f"""
import signal, sys
sys.path.insert(0, {str(ROOT)!r})
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from local.ports import Ports
from local.stack import Stack
from tests.local.test_local import _web
never = _web("kafka", ("zookeeper",), "import time; time.sleep(600)")
ports = Ports(zookeeper={free_ports.zookeeper}, kafka={free_ports.kafka})
Stack(Path({str(tmp_path)!r}), ports, [_web("zookeeper"), never]).up()
"""
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) as starting:
        assert starting.stderr
        for line in starting.stderr:
            if re.search("kafka +starting", line):
                break
        time.sleep(0.5)
        starting.send_signal(number)
        starting.communicate(timeout=20)
    assert starting.returncode
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or [])]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, free_ports.zookeeper), 1)


# Commands


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 3


def test_make_alone_lists_its_targets() -> None:
    answer = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert all(f"make {name} " in answer for name in ("demo", "test", "bench", "local-up", "sql", "lock", "clean"))


def test_statements_are_split_outside_quotes_and_comments() -> None:
    text = "select ';' ; -- not here;\nselect `a;b`, \"c;\"\n;select 3"
    assert sql.split(text) == ["select ';'", 'select `a;b`, "c;"', "select 3"]


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (
            "org.apache.hive.service.cli.HiveSQLException: Error running query: [PARSE_SYNTAX_ERROR] "
            "org.apache.spark.sql.catalyst.parser.ParseException: \n"
            "[PARSE_SYNTAX_ERROR] Syntax error at or near 'selec'\n\tat org.apache.spark.Some.method(Some.scala:1)",
            "[PARSE_SYNTAX_ERROR] Syntax error at or near 'selec'",
        ),
        ("AnalysisException: Could not resolve table reference: 'x'", "Could not resolve table reference: 'x'"),
        ("", "it gave no reason"),
    ],
)
def test_a_server_error_becomes_one_sentence(message: str, sentence: str) -> None:
    assert endpoint.reason(message) == sentence


def test_an_endpoint_that_is_down_is_one_sentence(tmp_path: Path, free_ports: Ports) -> None:
    settings = Site(tmp_path, Ports(sql=free_ports.kafka)).settings()
    with pytest.raises(Unreachable, match="cannot reach the SQL endpoint"), endpoint.connect(settings, seconds=0):
        pass


# The real servers


def test_everything_listens_on_loopback_only(local_stack: Stack) -> None:
    addresses = {
        connection.laddr.ip
        for server in local_stack.status()
        if server.pid
        for process in [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {HOST}


def test_the_readiness_checks_tell_a_dead_server(local_stack: Stack, tmp_path: Path) -> None:
    nobody = Site(tmp_path, Ports.free())
    for server in SERVERS:
        if not server.on_request:
            server.ready(local_stack.site)
            with pytest.raises((PlatformError, OSError, psycopg2.OperationalError), match=r"[Cc]onnection refused"):
                server.ready(nobody)


def test_the_stack_is_small(local_stack: Stack) -> None:
    servers = [server for server in local_stack.status() if not server.on_request]
    assert sum(server.rss_bytes for server in servers) < 5 * 2**30


def test_the_contracts_are_prepared_and_preparing_again_changes_nothing(local_stack: Stack) -> None:
    import happybase
    from confluent_kafka.admin import AdminClient

    local_stack.prepare()
    topics = AdminClient({"bootstrap.servers": local_stack.settings().kafka_bootstrap}).list_topics(timeout=10).topics
    assert {name: len(topic.partitions) for name, topic in topics.items() if not name.startswith("__")} == {
        topic.name: topic.partitions for topic in TOPICS
    }
    connection = happybase.Connection(HOST, local_stack.site.ports.hbase_thrift)
    assert {name.decode() for name in connection.tables()} == {table.name for table in HBASE_TABLES}
    connection.close()


def test_no_password_is_in_a_log_or_on_a_command_line(local_stack: Stack) -> None:
    site = local_stack.site
    secrets = [site.password(user) for user in (postgres.SUPERUSER, *postgres.DATABASES)]
    texts = [log.read_text(errors="replace") for log in site.logs.iterdir()]
    texts += [" ".join(psutil.Process(server.pid).cmdline()) for server in local_stack.status() if server.pid]
    texts.append((site.run / "supervisord.conf").read_text())
    assert not [secret for secret in secrets for text in texts if secret in text]


def test_the_database_asks_for_its_password(local_stack: Stack) -> None:
    ready.postgres(local_stack.site)
    address = {"host": HOST, "port": local_stack.site.ports.postgres}
    for password in ("", "metastore", "postgres"):
        with pytest.raises(psycopg2.OperationalError, match="password"):
            psycopg2.connect(dbname="metastore", user="metastore", password=password, **address)


def test_sql_command_prints_rows_and_fails_with_one_line(local_stack: Stack) -> None:
    environment = {**os.environ, "ECOMMERCE_LOCAL_DIR": str(local_stack.site.directory)}
    command = [sys.executable, "-m", "local", "sql", "-e"]
    good = subprocess.run(
        [*command, "select 1 a, null b; create database if not exists scratch"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (good.returncode, good.stdout) == (0, "a\tb\n1\tNULL\n")
    bad = subprocess.run([*command, "selec 1"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert bad.returncode == 1
    assert bad.stderr.startswith("error: the SQL endpoint (spark on ")
    assert "[PARSE_SYNTAX_ERROR]" in bad.stderr
    assert len(bad.stderr.splitlines()) == 1

"""The SQL endpoint with TLS and a login: a real Thrift server of Spark that asks a real LDAP server."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import trustme
from impala import dbapi

from clients import sql as endpoint
from contracts.errors import Mistake, PlatformError, Refused, Unreachable
from contracts.settings import Settings
from local import install
from local.site import ROOT
from local.tools import java
from tests.support.running import run
from tests.support.secured_sql import PASSWORD, PEOPLE, USER, Secured, credentials, secured_sql

pytestmark = pytest.mark.timeout(900)
REFUSED = r"^the SQL endpoint \(spark\) at 127\.0\.0\.1:\d+ refused the login of "


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def secured(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured_sql(tmp_path_factory.mktemp("sql"), authority, trustme.CA()) as server:
        yield server


@pytest.fixture
def as_(secured: Secured, authority: trustme.CA, tmp_path: Path) -> Callable[..., Settings]:
    """The settings of a client with another login, or another CA."""

    def settings(user: str = USER, password: str = PASSWORD, by: trustme.CA = authority) -> Settings:
        return replace(secured.settings, sql_credentials=credentials(tmp_path / "client", by, user, password))

    return settings


def answer(settings: Settings) -> list[tuple[object, ...]]:
    with endpoint.connect(settings) as session:
        return session.rows("SELECT 1")


def test_the_right_password_is_let_in(secured: Secured) -> None:
    assert answer(secured.settings) == [(1,)]
    endpoint.answers(secured.settings)


def test_nobody_runs_programs_in_it(secured: Secured) -> None:
    with endpoint.connect(secured.settings) as session:
        with pytest.raises(PlatformError, match="refused: AddJarsCommand would run programs in the SQL endpoint"):
            session.execute("ADD JAR /tmp/x.jar")
        assert session.rows("SELECT 1") == [(1,)]


@pytest.mark.parametrize(
    ("user", "password"),
    [
        (USER, "guessed"),
        (USER, ""),
        (USER, "\0"),
        (USER, f"\0{PASSWORD}"),
        ("", ""),
        ("", PASSWORD),
        ("nobody", PASSWORD),
        ("*", PASSWORD),
        ("plat*", PASSWORD),
        (f"{USER})(uid=*", PASSWORD),
        (f"{USER},{PEOPLE}", PASSWORD),
        ("other,dc=example,dc=com", PASSWORD),
        (f"uid=other,dc=example,dc=com:{USER}", PASSWORD),
        ("uid=other,dc=example,dc=com", PASSWORD),
    ],
)
def test_others_are_refused(as_: Callable[..., Settings], user: str, password: str) -> None:
    with pytest.raises(Refused, match=REFUSED):
        answer(as_(user, password))


def test_an_empty_password_does_not_reach_the_ldap_server(as_: Callable[..., Settings], secured: Secured) -> None:
    """Servers take a bind without a password for one of nobody in particular, and say yes (RFC 4513, 5.1.2)."""
    before = secured.asked.read_text()
    with pytest.raises(Refused):
        answer(as_(password=""))
    assert secured.asked.read_text() == before


def test_a_refusal_is_one_line_and_not_tried_again(as_: Callable[..., Settings], secured: Secured) -> None:
    settings = as_(password="guessed")  # noqa: S106
    before = secured.asked.read_text().count(" BIND REQUEST ")
    done = run("clients", "sql", "--wait", "30", variables=settings.as_environment())
    assert done.returncode == 1
    assert done.stderr.startswith("error: the SQL endpoint (spark) at 127.0.0.1:")
    assert (done.stdout, len(done.stderr.splitlines())) == ("", 1)
    assert secured.asked.read_text().count(" BIND REQUEST ") == before + 1


@pytest.mark.parametrize("mechanism", [endpoint.NO_LOGIN, endpoint.LOGIN])
def test_without_tls_nobody_is_let_in(secured: Secured, mechanism: str) -> None:
    settings = secured.settings
    login = {"user": USER, "password": PASSWORD, "auth_mechanism": mechanism}
    before = secured.asked.read_text()
    with pytest.raises(endpoint.LOST):
        dbapi.connect(settings.sql_host, settings.sql_port, timeout=20, retries=1, **login).cursor()
    assert secured.asked.read_text() == before


def test_this_platform_sends_no_password_without_tls(secured: Secured) -> None:
    with pytest.raises(Mistake, match="sends a password, and it goes over TLS alone: set ECOMMERCE_SQL_CREDENTIALS"):
        answer(replace(secured.settings, sql_credentials=""))


def test_without_a_login_nobody_is_let_in(secured: Secured) -> None:
    with pytest.raises(Unreachable):
        answer(replace(secured.settings, sql_auth=endpoint.NO_LOGIN))


def test_a_server_by_another_authority_gets_no_password(as_: Callable[..., Settings], secured: Secured) -> None:
    before = secured.asked.read_text()
    with pytest.raises(Refused, match=r"does not prove by TLS that it is the one that .*ca\.crt vouches for"):
        answer(as_(by=trustme.CA()))
    assert secured.asked.read_text() == before


def test_a_server_with_another_name_gets_no_password(secured: Secured) -> None:
    with pytest.raises(Refused, match="does not prove by TLS"):
        answer(replace(secured.settings, sql_host="localhost"))


def test_the_probe_wants_a_login_asked_for(secured: Secured, as_: Callable[..., Settings]) -> None:
    def probe(folder: str) -> tuple[int, str]:
        settings = secured.settings
        program = [sys.executable, str(ROOT / "clients" / "probe.py"), "login", endpoint.address(settings)]
        done = subprocess.run([*program, "--ca", f"{folder}/{endpoint.CA}"], capture_output=True, text=True)
        return done.returncode, done.stderr

    before = secured.asked.read_text()
    assert probe(secured.settings.sql_credentials) == (0, "")
    code, sentence = probe(as_(by=trustme.CA()).sql_credentials)
    assert code == 1
    assert "CERTIFICATE_VERIFY_FAILED" in sentence
    assert secured.asked.read_text() == before


def test_no_password_is_in_a_log_or_in_a_list_of_processes(secured: Secured) -> None:
    answer(secured.settings)
    drawn = (secured.log.parent / "keystore" / "keystore.xml").read_text().split("password</name><value>")[1][:64]
    server = psutil.Process(secured.process.pid)
    shown = " ".join([*server.cmdline(), *server.environ().values()])
    with endpoint.connect(secured.settings) as session:
        said = str(session.rows("SET")) + str(session.rows("SET -v"))
    for secret in (PASSWORD, drawn):
        assert secret not in secured.log.read_text() + shown + said
    assert PASSWORD not in secured.asked.read_text()


def test_files_that_are_missing_are_named(tmp_path: Path) -> None:
    settings = Settings(sql_port=1, sql_auth=endpoint.LOGIN, sql_credentials=str(tmp_path))
    for name in (endpoint.CA, endpoint.USER, endpoint.PASSWORD):
        with pytest.raises(Mistake, match=rf"^{name} for the SQL endpoint cannot be read: {tmp_path}/{name}: No such"):
            answer(settings)
        (tmp_path / name).write_text("x")


@pytest.mark.parametrize(("password", "code"), [(PASSWORD, 0), ("guessed", 1)])
def test_beeline_logs_in_as_the_docs_say(secured: Secured, tmp_path: Path, password: str, code: int) -> None:
    settings = secured.settings
    authority = f"{settings.sql_credentials}/{endpoint.CA}"
    store = ["-keystore", str(tmp_path / "sql.p12"), "-storepass", "changeit"]
    subprocess.run(
        ["keytool", "-importcert", "-noprompt", "-alias", "sql", "-file", authority, *store],
        check=True,
        capture_output=True,
    )
    (tmp_path / "password").write_text(password)
    url = f"jdbc:hive2://{endpoint.address(settings)}/;ssl=true;sslTrustStore=sql.p12;trustStorePassword=changeit"
    login = ["-n", USER, "-w", "password", "--silent=true", "--outputformat=csv2", "-e", "SELECT 40 + 2"]
    command = java([f"{install.spark_home()}/jars/*"], "org.apache.hive.beeline.BeeLine", "-u", url, *login)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert (bool(done.returncode), "\n42" in done.stdout) == (bool(code), not code), done.stderr

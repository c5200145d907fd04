"""TLS and a login at the SQL endpoint, as the charts render it; tests/clients/test_sql_login.py attacks a real one."""

import base64
import json
import ssl
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from cryptography import x509

from clients.sql import CA, LOGIN, NO_LOGIN
from contracts.errors import PlatformError
from deploy.helm import UMBRELLA, Helm, arguments
from deploy.pods import like_tests
from support.gitops import GIVEN, rendered
from support.rendering import OPERATORS, SIZES, STANDALONE, of, pod_specs, render
from tests.support.secured_sql import FILES, KEYSTORE, SECURED

TLS: dict[str, object] = {"global.sql.tls.enabled": True}
URL = "ldaps://ldap.example.com"
PATTERN = SECURED["hive.server2.authentication.ldap.userDNPattern"]
LOGS_IN: dict[str, object] = {
    **TLS,
    "global.sql.login.ldapUrl": URL,
    "global.sql.login.userDNPattern": PATTERN,
    "global.sql.login.caSecret": "ldap-ca",
    "global.sql.login.secret": "platform-sql",
    "global.networkPolicies.egress.restricted": False,
}
CLIENTS = {"Job/lambda-hive-tables", "Deployment/lambda-serving"} | {
    f"Pod/lambda-test-{name}" for name in ("parquet-and-hbase", "topics-and-tables")
}
"""Pods that ask the SQL endpoint, a Job's without its hash."""


def server(values: dict[str, object]) -> dict[str, Any]:
    return dict(pod_specs(render((STANDALONE,), **values)))["Deployment/lambda-sql"]


def hive_site(values: dict[str, object]) -> ElementTree.Element:
    text = of(render((STANDALONE,), **values), "ConfigMap")["lambda-sql"]["data"]["hive-site.xml"]
    return ElementTree.fromstring(text)  # noqa: S314


def properties(values: dict[str, object]) -> dict[str, str]:
    return {item.findtext("name", ""): item.findtext("value", "") for item in hive_site(values)}


def secrets(volume: dict[str, Any]) -> dict[str, list[str]]:
    """The Secrets of a projected volume, and which of their keys."""
    found = (source["secret"] for source in volume["projected"]["sources"])
    return {secret["name"]: [item["key"] for item in secret["items"]] for secret in found}


def named(items: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (found,) = [item for item in items if item["name"] == name]
    return found


def refusal(*files: Path, **values: object) -> str:
    return Helm().run("template", "lambda", str(UMBRELLA), *OPERATORS, *arguments(files, values)).stderr


@pytest.mark.parametrize("size", SIZES)
def test_by_default_nothing_of_it_is_there(charts: Path, size: str) -> None:
    text = json.dumps(render(SIZES[size]))
    assert '"ECOMMERCE_SQL_AUTH": "NOSASL"' in text
    assert not [word for word in ("sql-client", "sql-tls", "ECOMMERCE_SQL_CREDENTIALS", "TASK_SQL") if word in text]


def test_the_server_is_set_up_as_the_one_that_is_attacked(charts: Path) -> None:
    secured = properties(LOGS_IN)
    assert {name: secured[name] for name in SECURED} == SECURED
    assert secured["hive.server2.authentication.ldap.url"] == URL
    (include,) = hive_site(LOGS_IN).iter("{http://www.w3.org/2001/XInclude}include")
    assert include.get("href") == "file:///etc/sql-keystore/keystore.xml"
    without = properties(TLS)
    assert (without["hive.server2.use.SSL"], without["hive.server2.authentication"]) == ("true", NO_LOGIN)


def test_a_name_in_the_values_stays_one_value_of_the_configuration(charts: Path) -> None:
    odd = 'uid=%s,ou=a&b<c>"d",dc=example,dc=com'
    assert (
        properties({**LOGS_IN, "global.sql.login.userDNPattern": odd})["hive.server2.authentication.ldap.userDNPattern"]
        == odd
    )


@pytest.mark.parametrize(
    ("values", "ends"),
    [(TLS, ""), (LOGS_IN, " -Djavax.net.ssl.trustStore=/etc/sql-keystore/ldap.jks -Djavax.net.ssl.trustStoreType=JKS")],
)
def test_an_init_container_makes_the_keystore_with_the_program_that_is_tested(
    charts: Path, values: dict[str, object], ends: str
) -> None:
    spec = server(values)
    (init,) = [container for container in spec["initContainers"] if container["name"] == "keystore"]
    script, *rest = init["command"][2:]
    assert script.strip() == KEYSTORE.read_text().strip()
    assert rest[:3] == ["keystore", "/etc/sql-tls", "/etc/sql-keystore"]
    assert rest[3:] == (["/etc/sql-tls/ldap.crt"] if ends else [])
    container = named(spec["containers"], "sql")
    options = {item["name"]: item["value"] for item in container["env"]}["JAVA_OPTS"]
    assert options.endswith(ends)
    assert ("trustStore" in options) == bool(ends)
    # The key itself, and the platform's password, are not where SQL could read them.
    assert named(spec["volumes"], "keystore")["emptyDir"]["medium"] == "Memory"
    assert {mount["name"] for mount in container["volumeMounts"]} == {"configuration", "hadoop", "tmp", "keystore"}
    assert "platform-sql" not in json.dumps(spec)


def test_probes_ask_as_the_server_wants_it(charts: Path) -> None:
    for values, command in (
        ({}, ["python", "-m", "clients", "sql"]),
        (TLS, ["python", "-m", "clients", "sql"]),
        (LOGS_IN, ["probe", "login", "localhost:21050", "--ca", "/etc/sql-keystore/ca.crt"]),
    ):
        container = named(server(values)["containers"], "sql")
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["exec"]["command"] == command
        environment = {item["name"]: item["value"] for item in container["env"]}
        assert environment.get("ECOMMERCE_SQL_CREDENTIALS") == ("/etc/sql-keystore" if values else None)
        assert environment.get("ECOMMERCE_SQL_HOST") == ("localhost" if values else None)


@pytest.mark.parametrize(
    ("values", "files"),
    [
        (TLS, {"lambda-sql-tls": ["ca.crt"]}),
        (TLS | {"global.sql.tls.secret": "mine"}, {"mine": ["ca.crt"]}),
        (LOGS_IN, {"lambda-sql-tls": ["ca.crt"], "platform-sql": ["username", "password"]}),
    ],
)
def test_every_client_has_the_authority_and_the_login_and_nothing_else(
    charts: Path, values: dict[str, object], files: dict[str, list[str]]
) -> None:
    manifests = render((STANDALONE,), **values)
    found = set()
    for name, spec in pod_specs(manifests):
        if "sql-client" in json.dumps(spec):
            found.add(name.rpartition("-")[0] if name.startswith("Job/") else name)
            assert secrets(named(spec["volumes"], "sql-client")) == files
            (container,) = spec["containers"]
            assert {"name": "ECOMMERCE_SQL_CREDENTIALS", "value": "/etc/sql-client"} in container["env"]
            mount = {"name": "sql-client", "mountPath": "/etc/sql-client", "readOnly": True}
            assert mount in container["volumeMounts"]
    assert found == CLIENTS
    told = of(manifests, "ConfigMap")["lambda-settings"]["data"]["ECOMMERCE_SQL_AUTH"]
    assert told == (LOGIN if values is LOGS_IN else NO_LOGIN)
    pod = like_tests(yaml.safe_dump_all(manifests), ["python", "-m", "jobs.replay"], "replay")
    assert secrets(named(pod["spec"]["volumes"], "sql-client")) == files


def test_airflow_is_told_what_the_pods_of_its_tasks_need(charts: Path) -> None:
    spec = dict(pod_specs(render((STANDALONE,), **LOGS_IN)))["StatefulSet/lambda-airflow-scheduler"]
    environment = {item["name"]: item.get("value") for item in spec["containers"][0]["env"]}
    told = {name: value for name, value in environment.items() if "TASK_SQL" in name}
    assert told == {
        "ECOMMERCE_TASK_SQL_CA_SECRET": "lambda-sql-tls",
        "ECOMMERCE_TASK_SQL_LOGIN_SECRET": "platform-sql",
    }


def test_the_drawn_certificate_has_the_names_by_which_the_server_is_asked(charts: Path, tmp_path: Path) -> None:
    data = of(render((STANDALONE,), **TLS), "Secret")["lambda-sql-tls"]["data"]
    for name, value in data.items():
        (tmp_path / name).write_bytes(base64.b64decode(value))
    certificate = x509.load_pem_x509_certificate((tmp_path / "tls.crt").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [
        "localhost",
        "lambda-sql",
        "lambda-sql.shop",
        "lambda-sql.shop.svc",
    ]
    authority = x509.load_pem_x509_certificate((tmp_path / CA).read_bytes())
    certificate.verify_directly_issued_by(authority)
    ssl.create_default_context(cafile=tmp_path / CA)
    # What the init container makes of it, a JVM reads.
    (tmp_path / "out").mkdir()
    subprocess.run([KEYSTORE, tmp_path, tmp_path / "out", tmp_path / CA], check=True, capture_output=True)
    made = ElementTree.parse(tmp_path / "out" / "keystore.xml").getroot()  # noqa: S314
    keystore, password = (item.findtext("value", "") for item in made)
    listed = subprocess.run(
        ["keytool", "-list", "-keystore", keystore, "-storepass", password], capture_output=True, text=True
    )
    assert "PrivateKeyEntry" in listed.stdout
    assert {path.name: path.stat().st_mode & 0o77 for path in (tmp_path / "out").iterdir()} == dict.fromkeys(
        ("server.p12", "keystore.xml", "ca.crt", "ldap.jks"), 0
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"global.sql.tls.enabled": False}, "they would be sent in the open: set global.sql.tls.enabled"),
        ({"global.sql.login.userDNPattern": ""}, "set global.sql.login.userDNPattern, who may log in"),
        ({"global.sql.login.secret": ""}, "and global.sql.login.secret, as whom the platform does"),
        *(
            ({"global.sql.login.userDNPattern": pattern}, "is not a name such as uid=%s,ou=people")
            for pattern in ("uid=shop,dc=example", "%s", "%s@example.com", f"{PATTERN}:uid=shop,dc=example", "uid=%s")
        ),
        (
            {"sql.engine": "impala", "impala.enabled": True},
            "sql.engine is impala, which this chart sets up with neither TLS nor a login",
        ),
        ({"impala.enabled": True}, "with neither TLS nor a login: set impala.enabled to false"),
        ({"global.addresses.sql": "other"}, "draws no certificate for it: set global.sql.tls.secret"),
        (
            {"global.networkPolicies.egress.restricted": True},
            f"global.sql.login.ldapUrl is {URL}, and pods may reach nothing but the platform",
        ),
    ],
)
def test_a_login_that_would_be_none_is_refused(charts: Path, changes: dict[str, object], sentence: str) -> None:
    assert sentence in refusal(STANDALONE, **LOGS_IN | changes)


def test_an_engine_that_cannot_ask_the_cluster_draws_nothing(charts: Path, tmp_path: Path) -> None:
    flags = ("--set", "global.sql.tls.enabled=true")
    with pytest.raises(PlatformError, match=r"so nothing is drawn: set global\.sql\.tls\.secret of the chart sql"):
        rendered(tmp_path, "standalone", GIVEN, *flags)
    mine = (*flags, "--set", "global.sql.tls.secret=mine")
    once, again = (rendered(tmp_path, "standalone", GIVEN, *mine) for _ in range(2))
    assert once == again
    assert "kind: Secret\n" not in once


def test_clients_that_are_not_let_in_are_a_line_of_the_log(charts: Path) -> None:
    data = of(render((STANDALONE,), **TLS), "ConfigMap")["lambda-sql"]["data"]
    assert data["log4j2.properties"].strip() == (FILES / "log4j2.properties").read_text().strip()

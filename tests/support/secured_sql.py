"""Spark's Thrift server that speaks TLS and asks an LDAP server for each login, apart from the stack: two JVMs.

The LDAP server is UnboundID's in-memory one, over TLS as well (https://docs.ldap.com/ldap-sdk/docs/in-memory-directory-server.html).
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trustme

from clients import probe, retry
from clients import sql as endpoint
from contracts.settings import Settings
from local import install
from local.ports import HOST, Ports
from local.servers import classpath
from local.site import ROOT, write_private
from local.tools import java

USER = "platform"
PASSWORD = "no-one-guesses-this"  # noqa: S105
PEOPLE: Final = "ou=people,dc=example,dc=com"
LDAP_SERVER: Final = "com.unboundid:unboundid-ldapsdk:7.0.3"
FILES: Final = ROOT / "charts" / "sql" / "files"
KEYSTORE: Final = FILES / "keystore"
START_SECONDS = 300
SECURED: Final = {
    "hive.server2.use.SSL": "true",
    "hive.server2.authentication": "LDAP",
    "hive.server2.authentication.ldap.userDNPattern": f"uid=%s,{PEOPLE}",
}
"""What secures the server, besides where its LDAP server and its keystore are."""
ENTRIES = """dn: dc=example,dc=com
objectClass: domain
dc: example

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: people

dn: uid={user},ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: {user}
cn: {user}
sn: {user}
userPassword: {password}

dn: uid=other,dc=example,dc=com
objectClass: inetOrgPerson
uid: other
cn: other
sn: other
userPassword: {password}
"""
"""One person that may log in, and one that the pattern does not reach."""


@dataclass(frozen=True, slots=True)
class Secured:
    """The server, as its right user knows it, and where it and its LDAP server write what they do."""

    settings: Settings
    process: subprocess.Popen
    log: Path
    asked: Path


def credentials(folder: Path, authority: trustme.CA, user: str = USER, password: str = PASSWORD) -> str:
    """The folder, made, of a client that trusts this authority and has this login."""
    folder.mkdir()
    authority.cert_pem.write_to_path(folder / endpoint.CA)
    write_private(folder / endpoint.USER, user)
    write_private(folder / endpoint.PASSWORD, password)
    return str(folder)


@contextmanager
def secured_sql(folder: Path, authority: trustme.CA, directory: trustme.CA) -> Iterator[Secured]:
    """The server, its certificate by ``authority``, its LDAP server's by ``directory``."""
    install.install(lambda *_: None)
    ports = Ports.free()
    known = Settings(
        sql_host=HOST,
        sql_port=ports.sql,
        sql_auth=endpoint.LOGIN,
        sql_credentials=credentials(folder / "credentials", authority),
    )
    with _directory(folder / "directory", directory, ports.serving) as asked:
        keystore = _keystore(folder / "keystore", authority, folder / "directory" / "tls" / "ca.crt")
        conf = _conf(folder, ports, keystore / "keystore.xml")
        trusted = [f"-Djavax.net.ssl.trustStore={keystore}/ldap.jks", "-Djavax.net.ssl.trustStoreType=JKS"]
        main = ["--class", "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2", "spark-internal"]
        command = java(
            classpath(conf, "pyspark"),
            "org.apache.spark.deploy.SparkSubmit",
            *("--properties-file", f"{conf}/spark-defaults.conf", *main),
            flags=["-Xmx1g", f"-Djava.io.tmpdir={folder}", *trusted],
        )
        with _running(command, folder / "log", folder) as process:

            def up() -> bool:
                return process.poll() is not None or _listens(f"{HOST}:{ports.sql}")

            retry.until(up, seconds=START_SECONDS, what="the SQL endpoint")
            yield Secured(known, process, folder / "log", asked)


@contextmanager
def _directory(folder: Path, authority: trustme.CA, port: int) -> Iterator[Path]:
    """The LDAP server, and the file in which it writes what it is asked."""
    keystore = _keystore(folder, authority)
    (folder / "entries.ldif").write_text(ENTRIES.format(user=USER, password=PASSWORD))
    password = (keystore / "keystore.xml").read_text().split("password</name><value>")[1].split("<")[0]
    command = java(
        [_ldap_jar()],
        str(Path(__file__).with_name("Directory.java")),
        *("dc=example,dc=com", str(port), str(folder / "entries.ldif")),
        *(str(keystore / "server.p12"), password, str(folder / "asked")),
    )
    with _running(command, folder / "log", folder) as process:
        retry.until(
            lambda: process.poll() is not None or _listens(f"{HOST}:{port}"), seconds=START_SECONDS, what="LDAP"
        )
        yield folder / "asked"


def _keystore(folder: Path, authority: trustme.CA, trusted: Path | None = None) -> Path:
    """The certificates as the chart's own program makes them."""
    tls = folder / "tls"
    tls.mkdir(parents=True)
    identity = authority.issue_cert(HOST)
    authority.cert_pem.write_to_path(tls / "ca.crt")
    identity.private_key_pem.write_to_path(tls / "tls.key")
    (tls / "tls.crt").write_bytes(b"".join(blob.bytes() for blob in identity.cert_chain_pems))
    command = [str(KEYSTORE), str(tls), str(folder), *([str(trusted)] if trusted else [])]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def _conf(folder: Path, ports: Ports, keystore: Path) -> Path:
    """The server's configuration, with a metastore of its own."""
    properties = {
        **SECURED,
        "hive.server2.authentication.ldap.url": f"ldaps://{HOST}:{ports.serving}",
        "hive.server2.thrift.bind.host": HOST,
        "hive.server2.thrift.port": str(ports.sql),
        "hive.server2.enable.doAs": "false",
        "javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={folder}/metastore;create=true",
        "datanucleus.schema.autoCreateAll": "true",
        "hive.metastore.schema.verification": "false",
    }
    conf = folder / "conf"
    conf.mkdir()
    lines = [f"<property><name>{name}</name><value>{value}</value></property>" for name, value in properties.items()]
    include = f'<include xmlns="http://www.w3.org/2001/XInclude" href="file://{keystore}"/>'
    (conf / "hive-site.xml").write_text("\n".join(["<configuration>", *lines, include, "</configuration>"]))
    spark = {
        "spark.master": "local[1]",
        "spark.driver.host": HOST,
        "spark.driver.bindAddress": HOST,
        "spark.ui.enabled": "false",
        "spark.local.dir": str(folder),
        "spark.sql.extensions": install.STATEMENT_GUARD,
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
    }
    (conf / "spark-defaults.conf").write_text("".join(f"{name} {value}\n" for name, value in spark.items()))
    (conf / "log4j2.properties").write_text((FILES / "log4j2.properties").read_text())
    return conf


@contextmanager
def _running(command: list[str], log: Path, folder: Path) -> Iterator[subprocess.Popen]:
    with log.open("wb") as output:
        environment = {**os.environ, "SPARK_LOCAL_IP": HOST}
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, env=environment)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def _listens(address: str) -> bool:
    try:
        probe.tcp(address)
    except OSError:
        return False
    return True


def _ldap_jar() -> Path:
    """The LDAP server's jar, fetched once."""
    _, name, version = LDAP_SERVER.split(":")
    folder = install.cache() / "servers" / f"{name}-{version}"
    jar = folder / f"{name}-{version}.jar"
    with install.locked(install.cache() / "servers" / ".lock"):
        if not jar.exists():
            copy = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
            command = ["mvn", "-B", "-q", copy, f"-Dartifact={LDAP_SERVER}", f"-DoutputDirectory={folder}"]
            subprocess.run(command, check=True, capture_output=True)
    return jar

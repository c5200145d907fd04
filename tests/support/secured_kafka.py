"""A real Kafka broker that takes TLS and a password only, apart from the stack: one JVM, one user, no topics."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from clients import kafka, retry
from contracts.settings import Settings
from local import install
from local.ports import HOST, Ports
from local.servers import classpath
from local.tools import java

USER = "shop"
PASSWORD = "no-one-guesses-this"  # noqa: S105
START_SECONDS = 60
PROPERTIES = """
node.id=1
process.roles=broker,controller
controller.quorum.voters=1@{host}:{controller}
controller.listener.names=CONTROLLER
inter.broker.listener.name=INTERNAL
listeners=SASL_SSL://{host}:{port},INTERNAL://{host}:{internal},CONTROLLER://{host}:{controller}
advertised.listeners=SASL_SSL://{host}:{port},INTERNAL://{host}:{internal}
listener.security.protocol.map=SASL_SSL:SASL_SSL,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={login} required;
sasl.enabled.mechanisms={mechanism}
ssl.keystore.type=PEM
ssl.keystore.location={folder}/server.pem
log.dirs={folder}/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
"""


def credentials(folder: Path, authority: trustme.CA, password: str) -> str:
    """The folder, made, of a client that trusts this authority and has this password."""
    folder.mkdir()
    authority.cert_pem.write_to_path(folder / kafka.CA)
    (folder / kafka.PASSWORD).write_text(password)
    return str(folder)


@contextmanager
def secured_kafka(folder: Path, authority: trustme.CA) -> Iterator[Settings]:
    """The settings that log in at a broker which keeps its data in ``folder``, its certificate by this authority."""
    install.install(lambda *_: None)
    ports = Ports.free()
    known = Settings(
        kafka_bootstrap=f"{HOST}:{ports.kafka}",
        kafka_user=USER,
        kafka_credentials=credentials(folder / "credentials", authority, PASSWORD),
    )
    (folder / "server.pem").write_bytes(_identity(authority))
    configuration = folder / "server.properties"
    configuration.write_text(
        PROPERTIES.format(
            host=HOST,
            port=ports.kafka,
            internal=ports.datanode,
            controller=ports.kafka_controller,
            login=kafka.LOGIN,
            mechanism=kafka.MECHANISM,
            folder=folder,
        )
    )
    run = partial(java, classpath(folder, "kafka"))
    scram = f"{kafka.MECHANISM}=[name={USER},password={PASSWORD}]"
    identity = ["--cluster-id", str(uuid4()), "--config", str(configuration), "--add-scram", scram]
    subprocess.run(run("kafka.tools.StorageTool", "format", *identity), check=True, capture_output=True)
    with (folder / "log").open("wb") as log:
        broker = subprocess.Popen(run("kafka.Kafka", str(configuration)), stdout=log, stderr=log)
        try:
            retry.retrying(START_SECONDS)(kafka.answers, known)
            yield known
        finally:
            broker.kill()
            broker.wait()


def _identity(authority: trustme.CA) -> bytes:
    """The broker's key, as PKCS #8, and its certificate in one file, as Kafka takes them."""
    certificate = authority.issue_cert(HOST)
    key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
    chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + chain

"""The platform with TLS at the SQL endpoint, on a cluster: tables are made and read, and nobody gets in without it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.errors import PlatformError
from deploy.helm import Helm
from deploy.install import remove_namespace
from support.platform import INSTALLED, NAME, Cluster, Platform, installed, make_room

pytestmark = pytest.mark.long
NAMESPACE = "ecommerce-sql-tls"


@pytest.fixture(scope="module")
def secured(cluster: Cluster, images: None, charts: Path) -> Iterator[Platform]:
    """The platform in a namespace of its own, the tables made over TLS."""
    make_room(cluster.api, NAMESPACE)
    yield installed(cluster, NAMESPACE, {**INSTALLED, "airflow.enabled": False, "global.sql.tls.enabled": True})
    remove_namespace(cluster.api, NAMESPACE)


def test_helm_test_passes(secured: Platform) -> None:
    Helm(secured.cluster.access.kubeconfig).call("test", NAME, "--namespace", NAMESPACE, timeout=600)


def test_who_speaks_no_tls_gets_nothing(secured: Platform) -> None:
    with pytest.raises(PlatformError, match="cannot reach the SQL endpoint"):
        secured.run("python", "-m", "clients", "sql")

"""The platform with TLS at the SQL endpoint, on a cluster: all that asks SQL goes on, and nobody gets in without."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.errors import PlatformError
from deploy.helm import Helm
from deploy.install import remove_namespace
from support.airflow import Airflow
from support.platform import INSTALLED, NAME, Cluster, Platform, exact, installed, make_room
from support.shop import Shop

pytestmark = pytest.mark.long
NAMESPACE = "ecommerce-sql-tls"


@pytest.fixture(scope="module")
def secured(cluster: Cluster, images: None, charts: Path) -> Iterator[Platform]:
    """The platform in a namespace of its own, the tables made over TLS."""
    make_room(cluster.api, NAMESPACE)
    yield installed(cluster, NAMESPACE, {**INSTALLED, "global.sql.tls.enabled": True})
    remove_namespace(cluster.api, NAMESPACE)


def test_helm_test_passes(secured: Platform) -> None:
    Helm(secured.cluster.access.kubeconfig).call("test", NAME, "--namespace", NAMESPACE, timeout=600)


def test_the_daily_run_ends_well(secured: Platform) -> None:
    shop = Shop(secured.release)
    exact(secured, shop)
    Airflow(secured).run(shop.ledger()["first_event_time"][:10])


def test_who_speaks_no_tls_gets_nothing(secured: Platform) -> None:
    with pytest.raises(PlatformError, match="cannot reach the SQL endpoint"):
        secured.run("python", "-m", "clients", "sql")

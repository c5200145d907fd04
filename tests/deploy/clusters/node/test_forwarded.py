"""The ports that lead into the node: the usual ones, and others where something holds these."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.clusters.node import forwarded, identity
from deploy.clusters.node.forwarded import Forwarded
from local.ports import HOST


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets ports seem to be held, and no others."""

    def hold(*ports: int) -> None:
        monkeypatch.setattr(forwarded, "in_use", lambda port: port in ports)

    return hold


def test_the_usual_ports_are_taken_where_they_are_free(held: Callable[..., None]) -> None:
    held()
    assert Forwarded.choose() == Forwarded(api=16443, ingress=8080)


def test_a_port_that_is_held_is_passed_over(held: Callable[..., None]) -> None:
    held(8080)
    chosen = Forwarded.choose()
    assert chosen.api == 16443
    assert chosen.ingress != 8080
    with socket.create_server((HOST, chosen.ingress)):
        pass


def test_a_node_that_runs_is_reached_at_the_ports_it_was_started_with(tmp_path: Path) -> None:
    assert Forwarded.of(tmp_path) == Forwarded(), "a node of before kept none"
    (tmp_path / "run").mkdir()
    Forwarded(api=1, ingress=2).keep(tmp_path)
    assert Forwarded.of(tmp_path) == Forwarded(api=1, ingress=2)


def test_the_administrator_comes_from_outside_and_the_programs_from_inside(tmp_path: Path) -> None:
    identity.create(tmp_path, f"{HOST}:20001")
    servers = {
        file.name.partition(".")[0]: json.loads(file.read_text())["clusters"][0]["cluster"]["server"]
        for file in tmp_path.glob("*.kubeconfig")
    }
    assert servers.pop("admin") == "https://127.0.0.1:20001"
    assert set(servers.values()) == {"https://10.231.0.2:6443"}

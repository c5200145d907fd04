"""The node of packages where none may be started or ended."""

import os
from pathlib import Path

import pytest

from contracts.errors import Mistake
from deploy.clusters.node import network
from deploy.clusters.node.provider import Node


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    """Of a cache from which none was started, on a machine on which another's node runs."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(network, "exists", lambda: True)
    monkeypatch.setattr(network, "remove", lambda: pytest.fail("the namespace of another's node is removed"))
    monkeypatch.setattr(Node, "_install", lambda *_: None)
    monkeypatch.setattr(Node, "_start", lambda *_: pytest.fail("a second node is started"))
    return Node()


def test_ending_a_node_leaves_that_of_another_cache_alone(node: Node) -> None:
    node.down()
    assert node.access() is None


def test_beside_the_node_of_another_cache_none_is_started(node: Node) -> None:
    with pytest.raises(Mistake, match="a node of another cache runs on this machine"):
        node.up(lambda *_: None)

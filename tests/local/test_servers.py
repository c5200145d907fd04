"""The definitions of the servers, and their configuration."""

import re
import stat
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from contracts.errors import PlatformError
from local.ports import OFFSET_VARIABLE, Ports
from local.servers import SERVERS, Server, with_dependencies
from local.site import ROOT, TEMPLATES, Site

NAMES = [server.name for server in SERVERS]


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

"""The settings, folders and passwords of one stack."""

import stat
from pathlib import Path

import pytest

from contracts.errors import PlatformError
from local.ports import OFFSET_VARIABLE, Ports
from local.site import Site
from local.stack import Stack


def test_the_settings_of_a_stack_follow_its_ports(tmp_path: Path) -> None:
    settings = Site(tmp_path, Ports.from_environment({OFFSET_VARIABLE: "1000"})).settings()
    assert settings.kafka_bootstrap == "127.0.0.1:10092"
    assert settings.webhdfs_url == "http://127.0.0.1:10870"
    assert settings.sql_port == 22050


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

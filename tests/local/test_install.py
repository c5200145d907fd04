"""Which jars are there, and which Java."""

import os
import subprocess
from pathlib import Path

import pytest

from contracts.errors import PlatformError
from local import install, spark_classes


def test_other_sources_are_installed_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = install.home("kafka")
    assert before.is_relative_to(tmp_path)
    monkeypatch.setattr(install, "TEMPLATES", tmp_path)
    monkeypatch.setattr(install, "POMS", ("kafka",))
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "pom.xml").write_text("<project/>")
    assert install.home("kafka") != before
    assert install.missing() == ["kafka", install.SPARK_CLASSES]


def test_an_installation_that_was_cut_off_counts_as_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (install.home("kafka") / "lib").mkdir(parents=True)
    assert "kafka" in install.missing()


def test_java_too_old_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    java = tmp_path / "bin" / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(PlatformError, match=r"Java 17 or later is needed, .* is version 11"):
        install.check_java()


def test_the_archived_classes_fit_the_jvm_that_spark_starts(stack: object) -> None:
    flags = f"{spark_classes.flags(install.spark_archive(), long_running=False)} -Xshare:on"
    command = [f"{install.spark_home()}/bin/spark-submit", "--driver-java-options", flags, "--version"]
    done = subprocess.run(command, env={**os.environ, **spark_classes.LOOPBACK}, capture_output=True, text=True)
    assert not done.returncode, f"shared or refused: {done.stdout} {done.stderr}"

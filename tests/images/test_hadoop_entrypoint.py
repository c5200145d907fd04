"""What can be typed as `hdfs …` in a pod of HDFS; a program that prints its arguments stands in for Java."""

import os
import subprocess
from pathlib import Path

import pytest

ENTRYPOINT = Path(__file__).parents[2] / "images" / "hadoop" / "entrypoint"


def typed(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    java = folder / "java"
    java.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    java.chmod(0o755)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "JAVA_OPTS": "-Xmx64m"}
    return subprocess.run(["bash", ENTRYPOINT, *arguments], env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("command", "main"),
    [
        ("dfsadmin", "org.apache.hadoop.hdfs.tools.DFSAdmin"),
        ("fsck", "org.apache.hadoop.hdfs.tools.DFSck"),
        ("dfs", "org.apache.hadoop.fs.FsShell"),
    ],
)
def test_tools_get_their_arguments_as_they_were_typed(tmp_path: Path, command: str, main: str) -> None:
    done = typed(tmp_path, command, "-report", "a b")
    assert done.stdout.splitlines()[-3:] == [main, "-report", "a b"]
    assert "-Xmx64m" in done.stdout.splitlines()


def test_what_is_no_command_is_refused(tmp_path: Path) -> None:
    done = typed(tmp_path, "nothing")
    assert (done.returncode, "not 'nothing'" in done.stderr) == (2, True)

"""What docs/kubernetes.md says of snapshots of the lake, typed into the NameNode's pod while ingest goes on."""

import re

import pytest

from contracts import paths
from local.site import ROOT
from support.platform import NAME, Platform, typed

FOLDER = f"{paths.DATA}/_tried"
"""Whose name no reader looks at."""
PLACE = re.compile(r"/\.snapshot/before-the-change/\S+")
"""What the docs bring back, in a snapshot."""


def documented() -> dict[str, str]:
    """The commands, as they are typed in the pod, by their first option."""
    lines = re.findall(r"^kubectl exec \S+ -- (hdfs dfs.*)$", (ROOT / "docs" / "kubernetes.md").read_text(), re.M)
    found = {option: line for line in lines for option in re.findall(r"^hdfs \w+ (-\w+)", line)}
    assert {"-allowSnapshot", "-createSnapshot", "-cp", "-deleteSnapshot"} <= found.keys()
    return found


def done(platform: Platform, command: str) -> str:
    """What a command prints in the NameNode's pod; fails where its exit code is not 0."""
    release = platform.release
    shell = ["sh", "-c", f"{command} 2>&1; echo code $?"]
    output, _, code = typed(release.core, release.namespace, f"{NAME}-hdfs-namenode-0", shell).rpartition("code ")
    assert code.strip() == "0", f"{command}: {output}"
    return output


def counted(platform: Platform, folder: str) -> list[str]:
    """Folders, files and bytes of a folder."""
    return done(platform, f"hdfs dfs -count {folder}").splitlines()[-1].split()[:3]


@pytest.mark.faults
def test_a_snapshot_brings_back_what_is_gone(platform: Platform) -> None:
    commands = documented()
    done(platform, f"hdfs dfs -mkdir -p {FOLDER} && hdfs dfs -put /etc/hadoop/conf/hdfs-site.xml {FOLDER}/one")
    before = counted(platform, FOLDER)
    assert int(before[1]) > 0
    done(platform, commands["-allowSnapshot"])
    done(platform, commands["-createSnapshot"])
    try:
        done(platform, f"hdfs dfs -rm -r -skipTrash {FOLDER}")
        tried = PLACE.sub(f"/.snapshot/before-the-change/{FOLDER.rpartition('/')[2]}", commands["-cp"])
        done(platform, tried)
        assert counted(platform, tried.split()[-1]) == before
    finally:
        done(platform, commands["-deleteSnapshot"])
        done(platform, f"hdfs dfsadmin -disallowSnapshot {paths.DATA}")
        done(platform, f"hdfs dfs -rm -r -f -skipTrash /restored {FOLDER}")

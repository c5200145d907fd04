"""The disk of the only DataNode fills while the shop goes on: an alert says so, and with room again nothing is lost."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client

from clients.retry import until
from deploy.install import remove_namespace
from support.platform import Cluster, Platform, exact, installed, make_room
from support.prometheus import prometheus
from support.shop import Shop

pytestmark = pytest.mark.faults

NAMESPACE = "ecommerce-full-disk"
CLASS = "small-disk"
FOLDER = Path("/run/ecommerce-lambda-small-disk")
SIZE_MIB = 2048
LEFT_MIB = 20
"""Less than HDFS wants to see before it begins a block."""
FULL_SECONDS = 120
WITHOUT = {f"{part}.enabled": False for part in ("sql", "hive-metastore", "airflow")}


@pytest.fixture
def small_disk(cluster: Cluster) -> Iterator[Path]:
    """A disk of the node with 2 GiB, as the one volume of its storage class."""
    if cluster.provider.name != "node":
        pytest.skip(f"a small disk is made on the node of packages, not on {cluster.provider.name}")
    FOLDER.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m,mode=0777", "tmpfs", str(FOLDER)], check=True)
    core = client.CoreV1Api(cluster.api)
    volume = client.V1PersistentVolume(
        metadata=client.V1ObjectMeta(name=CLASS),
        spec=client.V1PersistentVolumeSpec(
            capacity={"storage": "100Gi"},
            access_modes=["ReadWriteOnce"],
            storage_class_name=CLASS,
            host_path=client.V1HostPathVolumeSource(path=str(FOLDER)),
        ),
    )
    core.create_persistent_volume(volume)
    try:
        yield FOLDER
    finally:
        remove_namespace(cluster.api, NAMESPACE)
        core.delete_persistent_volume(CLASS)
        subprocess.run(["umount", "--lazy", str(FOLDER)], check=True)
        FOLDER.rmdir()


@pytest.fixture
def platform_on_it(cluster: Cluster, images: None, charts: Path, small_disk: Path) -> Platform:
    """The data path alone, HDFS's blocks on the small disk."""
    make_room(cluster.api, NAMESPACE)
    values = {**WITHOUT, "hdfs.datanode.persistence.storageClass": CLASS, "generator.rate": 50}
    return installed(cluster, NAMESPACE, values)


def fill(disk: Path) -> Path:
    """A file of somebody else that leaves next to nothing."""
    free = shutil.disk_usage(disk).free - (LEFT_MIB << 20)
    file = disk / "somebody-elses"
    with file.open("wb") as opened:
        os.posix_fallocate(opened.fileno(), 0, free)
    return file


def test_a_full_disk_loses_nothing(platform_on_it: Platform, small_disk: Path, tmp_path: Path) -> None:
    shop = Shop(platform_on_it.release)
    with prometheus(platform_on_it.release, tmp_path) as seeing:
        until(seeing.down, lambda down: not down)
        assert "HDFSNearlyFull" not in seeing.firing()
        filler = fill(small_disk)
        until(seeing.firing, lambda alerts: "HDFSNearlyFull" in alerts)
        time.sleep(FULL_SECONDS)
        filler.unlink()
        began = time.monotonic()
        platform_on_it.release.wait("Waiting for all of it", 900)
        print(f"all ready {time.monotonic() - began:.0f} s after there was room again")
        exact(platform_on_it, shop)
        until(seeing.firing, lambda alerts: not {"HDFSNearlyFull", "MissingBlocks", "StreamAbsent"} & alerts)

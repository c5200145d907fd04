"""The OCI layout of the built images: what is shared, what is deleted, what a cluster is sent."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from images.layout import CONTAINERD_NAME, REF_NAME, Layout

SHARED, OWN, OTHER = b"the base's files", b"kafka's files", b"hbase's files"


def sha(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Written:
    """A layout as buildah writes it; ``packed`` with gzip."""

    def __init__(self, folder: Path) -> None:
        self.layout = Layout(folder)
        self.manifests: list[dict[str, Any]] = []
        (folder / "blobs" / "sha256").mkdir(parents=True)

    def blob(self, data: bytes) -> str:
        (self.layout.folder / "blobs" / "sha256" / sha(data).removeprefix("sha256:")).write_bytes(data)
        return sha(data)

    def image(self, ref: str, layers: list[bytes], *, packed: bool = False) -> None:
        stored = [gzip.compress(layer, mtime=0) if packed else layer for layer in layers]
        kind = "application/vnd.oci.image.layer.v1.tar" + ("+gzip" if packed else "")
        configuration = {"ref": ref, "rootfs": {"diff_ids": [sha(layer) for layer in layers]}}
        manifest = {
            "config": {"digest": self.blob(json.dumps(configuration).encode())},
            "layers": [{"mediaType": kind, "digest": self.blob(data), "size": len(data)} for data in stored],
        }
        digest = self.blob(json.dumps(manifest).encode())
        # As buildah does: a manifest whose name is given away stays without one.
        for item in self.manifests:
            if item.get("annotations") == {REF_NAME: ref}:
                del item["annotations"]
        self.manifests.append({"digest": digest, "annotations": {REF_NAME: ref}})
        (self.layout.folder / "index.json").write_text(json.dumps({"manifests": self.manifests}))

    def blobs(self) -> set[str]:
        return {f"sha256:{file.name}" for file in (self.layout.folder / "blobs" / "sha256").iterdir()}


@pytest.fixture
def written(tmp_path: Path) -> Written:
    made = Written(tmp_path)
    made.image("kafka-1", [SHARED, OWN])
    made.image("hbase-1", [SHARED, OTHER])
    return made


def test_a_layer_stays_while_an_image_needs_it(written: Written) -> None:
    written.layout.remove(["kafka-1"])
    assert written.layout.refs() == ["hbase-1"]
    assert written.layout.digest("kafka-1") is None
    assert {sha(SHARED), sha(OTHER)} <= written.blobs()
    assert sha(OWN) not in written.blobs()
    assert len(written.blobs()) == 4  # with its manifest and configuration


def test_only_missing_layers_are_sent(written: Written) -> None:
    stream = io.BytesIO()
    written.layout.write("kafka-1", "docker.io/shop/kafka:1", {sha(SHARED)}, stream)
    stream.seek(0)
    with tarfile.open(fileobj=stream) as tar:
        files = {member.name: tar.extractfile(member) for member in tar.getmembers()}
        assert f"blobs/sha256/{sha(OWN)[7:]}" in files
        assert f"blobs/sha256/{sha(SHARED)[7:]}" not in files
        index = files["index.json"]
        assert index
        (manifest,) = json.load(index)["manifests"]
    assert manifest["annotations"] == {CONTAINERD_NAME: "docker.io/shop/kafka:1"}
    assert manifest["digest"] == written.layout.digest("kafka-1")


def test_compressed_layers_are_unpacked_once(written: Written) -> None:
    written.image("spark-1", [SHARED, b"spark's files"], packed=True)
    assert written.layout.unpack("spark-1")
    assert sha(b"spark's files") in written.blobs()
    written.image("spark-1", [SHARED, b"spark's files"])  # what buildah makes of it then
    assert not written.layout.unpack("spark-1")
    assert written.layout.size("spark-1") == len(SHARED) + len(b"spark's files")
    packed = sha(gzip.compress(b"spark's files", mtime=0))
    assert packed in written.blobs()
    written.layout.remove([])
    assert packed not in written.blobs()


def test_an_empty_folder_has_no_images(tmp_path: Path) -> None:
    assert Layout(tmp_path).refs() == []
    assert Layout(tmp_path).digest("kafka-1") is None


def test_an_image_of_which_something_is_gone_is_not_whole(written: Written) -> None:
    assert written.layout.whole("kafka-1")
    assert not written.layout.whole("zookeeper-1")
    for blob in written.blobs():
        path = written.layout.folder / "blobs" / "sha256" / blob.removeprefix("sha256:")
        data = path.read_bytes()
        path.unlink()
        assert [ref for ref in ("kafka-1", "hbase-1") if written.layout.whole(ref)] != ["kafka-1", "hbase-1"]
        path.write_bytes(data)
    assert written.layout.whole("kafka-1")

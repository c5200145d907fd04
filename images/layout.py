"""An OCI image layout: the built images in one folder, each layer once however many images share it.

Source: https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

import gzip
import io
import json
import shutil
import tarfile
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import IO, Any

REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"
"""The annotation from which containerd takes an image's name when it imports a layout."""


class Layout:
    """The layout in ``folder``, which the builder writes to. Digests are spelled ``sha256:…``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def digest(self, ref: str) -> str | None:
        """Of the manifest that ``ref`` names; None when there is no such image."""
        manifest = self._named().get(ref)
        return str(manifest["digest"]) if manifest else None

    def whole(self, ref: str) -> bool:
        """Whether ``ref`` names an image of which everything is there."""
        digest = self.digest(ref)
        if digest is None or not self._path(digest).exists():
            return False
        return all(self._path(blob).exists() for blob in self._blobs(ref))

    def size(self, ref: str) -> int:
        """Bytes of the image's layers, unpacked."""
        return sum(layer["size"] for layer in self._manifest(ref)["layers"])

    def remove(self, refs: Iterable[str]) -> None:
        """Forgets images, and deletes the blobs that no other image needs."""
        kept = [manifest for ref, manifest in self._named().items() if ref not in set(refs)]
        index = {"schemaVersion": 2, "manifests": kept}
        draft = self.folder / "index.json.part"
        draft.write_text(json.dumps(index))
        draft.rename(self.folder / "index.json")
        wanted = {blob for ref in self.refs() for blob in self._blobs(ref)}
        for file in (self.folder / "blobs" / "sha256").iterdir():
            if f"sha256:{file.name}" not in wanted:
                file.unlink()

    def unpack(self, ref: str) -> bool:
        """Puts the image's compressed layers into the layout uncompressed as well; False when there are none."""
        manifest = self._manifest(ref)
        configuration = json.loads(self._path(manifest["config"]["digest"]).read_text())
        packed = [
            (self._path(layer["digest"]), self._path(digest))
            for layer, digest in zip(manifest["layers"], configuration["rootfs"]["diff_ids"], strict=True)
            if layer["mediaType"].endswith("+gzip")
        ]
        for source, target in packed:
            draft = target.with_suffix(".part")
            with gzip.open(source) as compressed, draft.open("wb") as file:
                shutil.copyfileobj(compressed, file, 1 << 20)
            draft.rename(target)
        return bool(packed)

    def refs(self) -> list[str]:
        return list(self._named())

    def write(self, ref: str, name: str, without: Collection[str], stream: IO[bytes]) -> None:
        """Writes one image as a tar for ``ctr images import``, to be called ``name`` there.

        Layers whose digests are in ``without`` stay out: containerd has them.
        """
        named = {**self._named()[ref], "annotations": {CONTAINERD_NAME: name}}
        index = {"schemaVersion": 2, "manifests": [named]}
        with tarfile.open(fileobj=stream, mode="w|") as tar:
            for file, data in (("oci-layout", {"imageLayoutVersion": "1.0.0"}), ("index.json", index)):
                content = json.dumps(data).encode()
                info = tarfile.TarInfo(file)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            layers = {layer["digest"] for layer in self._manifest(ref)["layers"]}
            for blob in self._blobs(ref):
                if blob not in layers or blob not in without:
                    tar.add(self._path(blob), f"blobs/sha256/{blob.removeprefix('sha256:')}")

    def _blobs(self, ref: str) -> list[str]:
        manifest = self._manifest(ref)
        layers = dict.fromkeys(layer["digest"] for layer in manifest["layers"])
        return [str(self.digest(ref)), manifest["config"]["digest"], *layers]

    def _manifest(self, ref: str) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads(self._path(str(self.digest(ref))).read_text())
        return manifest

    def _path(self, digest: str) -> Path:
        return self.folder / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def _named(self) -> dict[str, dict[str, Any]]:
        """The index's manifests by their names; one that a later image took the name of has none any more."""
        file = self.folder / "index.json"
        manifests = json.loads(file.read_text())["manifests"] if file.exists() else []
        names = ((manifest.get("annotations", {}).get(REF_NAME), manifest) for manifest in manifests)
        return {name: manifest for name, manifest in names if name}

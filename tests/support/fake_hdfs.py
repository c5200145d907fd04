"""A NameNode in memory, behind the methods of ``hdfs.InsecureClient`` that ``clients.hdfs`` uses.

Where a real one refuses, this refuses with the same ``HdfsError.exception``; ``tests/clients/test_hdfs.py`` holds one
against the other. Every method is atomic, so that threads may share one.
"""

import io
import posixpath
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from threading import RLock
from typing import Any, Concatenate, ParamSpec, TypeVar

from hdfs import HdfsError

Given = ParamSpec("Given")
Result = TypeVar("Result")
Names = list[str]
Level = tuple[str, Names, Names]
"""A folder, the folders in it, the files in it."""


def _atomic(work: Callable[Concatenate["FakeHdfs", Given], Result]) -> Callable[Concatenate["FakeHdfs", Given], Result]:
    @wraps(work)
    def locked(hdfs: "FakeHdfs", /, *arguments: Given.args, **keywords: Given.kwargs) -> Result:
        with hdfs._lock:
            return work(hdfs, *arguments, **keywords)

    return locked


class FakeHdfs:
    """``files``: the bytes of each path; ``folders``: the paths of all folders. Both may be looked into by tests."""

    url = "http://fake-namenode:9870"

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.folders = {"/"}
        self._lock = RLock()

    @_atomic
    def status(self, hdfs_path: str, strict: bool = True) -> dict[str, Any] | None:
        if hdfs_path in self.files:
            return {"type": "FILE", "length": len(self.files[hdfs_path]), "pathSuffix": ""}
        if hdfs_path in self.folders:
            return {"type": "DIRECTORY", "length": 0, "pathSuffix": ""}
        if strict:
            raise _missing(hdfs_path)
        return None

    @_atomic
    def list(self, hdfs_path: str, status: bool = False) -> Any:
        if hdfs_path in self.files:
            raise HdfsError(f"{hdfs_path!r} is not a directory.")
        if hdfs_path not in self.folders:
            raise _missing(hdfs_path)
        names = sorted(
            posixpath.basename(path) for path in self._everything() if posixpath.dirname(path) == hdfs_path != path
        )
        return [(name, self.status(posixpath.join(hdfs_path, name))) for name in names] if status else names

    @_atomic
    def walk(self, hdfs_path: str) -> Iterator[Level]:
        """Of the state at the call, where the real one asks for each folder as it comes to it."""
        if hdfs_path not in self._everything():
            raise _missing(hdfs_path)
        return iter([*self._walk(hdfs_path)] if hdfs_path in self.folders else [])

    def _walk(self, folder: str) -> Iterator[Level]:
        names = {name: posixpath.join(folder, name) for name in self.list(folder)}
        folders = [name for name, path in names.items() if path in self.folders]
        yield folder, folders, [name for name, path in names.items() if path in self.files]
        for name in folders:
            yield from self._walk(names[name])

    @_atomic
    def makedirs(self, hdfs_path: str, permission: str | None = None) -> None:
        if hdfs_path in self.files:
            raise HdfsError(f"{hdfs_path} is a file", exception="FileAlreadyExistsException")
        self._make_folder(hdfs_path)

    def _make_folder(self, path: str) -> None:
        if path in self.files:
            raise HdfsError(f"{path} is no directory", exception="ParentNotDirectoryException")
        if path not in self.folders:
            self._make_folder(posixpath.dirname(path))
            self.folders.add(path)

    @_atomic
    def write(self, hdfs_path: str, data: bytes, overwrite: bool = False) -> None:
        if hdfs_path in self.folders or (hdfs_path in self.files and not overwrite):
            raise HdfsError(f"{hdfs_path} already exists", exception="FileAlreadyExistsException")
        self._make_folder(posixpath.dirname(hdfs_path))
        self.files[hdfs_path] = bytes(data)

    @contextmanager
    def read(self, hdfs_path: str, offset: int = 0) -> Iterator[io.BytesIO]:
        with self._lock:
            if hdfs_path not in self.files:
                raise _missing(hdfs_path)
            data = self.files[hdfs_path]
        yield io.BytesIO(data[offset:])

    @_atomic
    def delete(self, hdfs_path: str, recursive: bool = False) -> bool:
        if hdfs_path not in self._everything():
            return False
        if hdfs_path in self.folders and self.list(hdfs_path) and not recursive:
            raise HdfsError(f"{hdfs_path} is non empty", exception="PathIsNotEmptyDirectoryException")
        for path in self._below(hdfs_path):
            self.files.pop(path, None)
            self.folders.discard(path)
        return True

    @_atomic
    def rename(self, hdfs_src_path: str, hdfs_dst_path: str) -> None:
        """As the public method: into a folder of that name, else refused where the name is taken."""
        if hdfs_dst_path in self.folders:
            hdfs_dst_path = posixpath.join(hdfs_dst_path, posixpath.basename(hdfs_src_path))
        known = self._everything()
        if (
            hdfs_src_path not in known
            or (hdfs_dst_path in known and (hdfs_src_path != hdfs_dst_path or hdfs_src_path in self.folders))
            or posixpath.dirname(hdfs_dst_path) not in self.folders
            or (hdfs_src_path in self.folders and hdfs_dst_path.startswith(f"{hdfs_src_path}/"))
        ):
            raise HdfsError(f"Unable to rename {hdfs_src_path!r} to {hdfs_dst_path!r}.")
        self._move(hdfs_src_path, hdfs_dst_path)

    @_atomic
    def _rename(self, hdfs_path: str, destination: str, renameoptions: str) -> None:
        """WebHDFS's own, of a file, or of a folder without OVERWRITE: it raises where it is refused."""
        if hdfs_path not in self._everything():
            raise _missing(hdfs_path)
        if posixpath.dirname(destination) not in self.folders:
            raise _missing(posixpath.dirname(destination))
        if hdfs_path in self.files and destination in self.folders:
            raise HdfsError(f"{destination} is a directory", exception="IOException")
        if hdfs_path in self.folders and destination in self._everything():
            raise HdfsError(f"{destination} exists", exception="FileAlreadyExistsException")
        if destination == hdfs_path or (destination in self.files and renameoptions != "OVERWRITE"):
            raise HdfsError(f"{destination} exists", exception="FileAlreadyExistsException")
        self._move(hdfs_path, destination)

    def _move(self, source: str, target: str) -> None:
        for path in self._below(source):
            moved = target + path.removeprefix(source)
            if path in self.files:
                self.files[moved] = self.files.pop(path)
            else:
                self.folders.discard(path)
                self.folders.add(moved)

    def _everything(self) -> set[str]:
        return self.folders | self.files.keys()

    def _below(self, path: str) -> set[str]:
        """The path and all that is in it."""
        return {known for known in self._everything() if known == path or known.startswith(f"{path}/")}


def _missing(path: str) -> HdfsError:
    return HdfsError(f"File does not exist: {path}", exception="FileNotFoundException")

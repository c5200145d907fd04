"""The client of HDFS on a NameNode in memory, and that one held against a real NameNode."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from hdfs import HdfsError

from clients import hdfs as files
from contracts.errors import NotFound, Refused
from contracts.settings import Settings
from tests.support.fake_hdfs import FakeHdfs

REFUSED = "refused"
"""An error without the name of a Java exception."""


def outcome(work: Callable[[], Any]) -> Any:
    """What a call returned, or the exception that the NameNode named."""
    try:
        return work()
    except HdfsError as error:
        return ("HdfsError", error.exception or REFUSED)


def scenario(hdfs: Any, root: str) -> list[Any]:
    """The outcome of each of many calls below the folder ``root``, which is empty at first."""

    def content(path: str) -> bytes:
        with hdfs.read(f"{root}/{path}") as reader:
            return bytes(reader.read())

    def kind(path: str, strict: bool = True) -> Any:
        found = hdfs.status(f"{root}/{path}", strict=strict)
        return found and (found["type"], found["length"])

    def replace(source: str, target: str, option: str = "OVERWRITE") -> None:
        hdfs._rename(f"{root}/{source}", destination=f"{root}/{target}", renameoptions=option)

    def walk(path: str) -> list[Any]:
        return [
            (parent.removeprefix(root), sorted(folders), sorted(found))
            for parent, folders, found in hdfs.walk(f"{root}/{path}" if path else root)
        ]

    calls: list[Callable[[], Any]] = [
        lambda: kind("none", strict=False),
        lambda: kind("none"),
        lambda: hdfs.list(f"{root}/none"),
        lambda: walk("none"),
        lambda: content("none"),
        lambda: hdfs.delete(f"{root}/none", recursive=True),
        lambda: hdfs.write(f"{root}/a/b/one", data=b"1", overwrite=True),
        lambda: hdfs.write(f"{root}/a/b/one", data=b"no"),
        lambda: hdfs.write(f"{root}/a/b/one", data=b"one", overwrite=True),
        lambda: hdfs.write(f"{root}/a/b", data=b"a folder", overwrite=True),
        lambda: hdfs.write(f"{root}/a/b/one/under", data=b"a file", overwrite=True),
        lambda: content("a/b"),
        lambda: kind("a/b/one"),
        lambda: kind("a/b"),
        lambda: hdfs.list(f"{root}/a/b/one"),
        lambda: walk("a/b/one"),
        lambda: hdfs.makedirs(f"{root}/a/b"),
        lambda: hdfs.makedirs(f"{root}/a/b/one"),
        lambda: hdfs.makedirs(f"{root}/a/b/one/under"),
        lambda: hdfs.makedirs(f"{root}/c/d"),
        lambda: hdfs.write(f"{root}/a/two", data=b"two", overwrite=True),
        # As create_once and move need it.
        lambda: hdfs.rename(f"{root}/a/two", f"{root}/a/b/one"),
        lambda: hdfs.rename(f"{root}/none", f"{root}/a/three"),
        lambda: hdfs.rename(f"{root}/none", f"{root}/a/two"),
        lambda: hdfs.rename(f"{root}/a/two", f"{root}/none/two"),
        lambda: hdfs.rename(f"{root}/a/two", f"{root}/a/two"),
        lambda: hdfs.rename(f"{root}/a/two", f"{root}/a/three"),
        lambda: hdfs.rename(f"{root}/a/three", f"{root}/c/d"),
        lambda: hdfs.rename(f"{root}/a", f"{root}/a/b/inside"),
        lambda: hdfs.rename(f"{root}/a/b", f"{root}/c"),
        lambda: (content("c/d/three"), content("c/b/one"), walk("")),
        # As write_whole needs it.
        lambda: hdfs.write(f"{root}/new", data=b"new"),
        lambda: replace("new", "c/d/three", "NONE"),
        lambda: replace("new", "c/d/three"),
        lambda: replace("new", "c/d/three"),
        lambda: replace("c/d/three", "c/d/three"),
        lambda: replace("c/d/three", "none/three"),
        lambda: replace("c/d/three", "c/b"),
        lambda: replace("c/d/three", "c/d/four"),
        lambda: replace("c/d/four", "c/d/five", "NONE"),
        lambda: content("c/d/five"),
        lambda: hdfs.delete(f"{root}/c"),
        lambda: hdfs.delete(f"{root}/a"),
        lambda: hdfs.delete(f"{root}/c/d/five"),
        lambda: walk(""),
        lambda: hdfs.delete(root, recursive=True),
        lambda: kind("c/b/one", strict=False),
    ]
    return [_plain(outcome(call)) for call in calls]


def _plain(value: Any) -> Any:
    """What a call that answers nothing returns is the library's affair."""
    return value if isinstance(value, str | bytes | bool | tuple | list) else None


def test_the_fake_answers_as_a_real_namenode(stack: Settings) -> None:
    root = f"/test-fake/{uuid4().hex}"
    fake, real = FakeHdfs(), files.client(stack)
    for hdfs in (fake, real):
        hdfs.makedirs(root)
    assert scenario(fake, root) == scenario(real, root)


def test_a_move_that_was_done_already_is_fine() -> None:
    hdfs = FakeHdfs()
    files.write(hdfs, "/staged/rows", b"rows")
    files.make_folder(hdfs, "/final")
    files.move(hdfs, "/staged/rows", "/final/rows")
    files.move(hdfs, "/staged/rows", "/final/rows")
    assert hdfs.files == {"/final/rows": b"rows"}
    with pytest.raises(Refused):
        files.move(hdfs, "/staged/rows", "/final/other")


def test_a_move_replaces_no_file() -> None:
    hdfs = FakeHdfs()
    files.write(hdfs, "/a", b"a")
    files.write(hdfs, "/b", b"b")
    with pytest.raises(Refused):
        files.move(hdfs, "/a", "/b")
    assert hdfs.files == {"/a": b"a", "/b": b"b"}


def test_of_two_who_create_a_file_the_first_has_it() -> None:
    hdfs = FakeHdfs()
    assert files.create_once(hdfs, "/log/1", b"first", "/log/_first")
    assert not files.create_once(hdfs, "/log/1", b"second", "/log/_second")
    assert hdfs.files == {"/log/1": b"first"}


class LosesAnswers(FakeHdfs):
    """Does what it is asked to, and says that it was refused: the answer to the first try was lost."""

    def rename(self, hdfs_src_path: str, hdfs_dst_path: str) -> None:
        super().rename(hdfs_src_path, hdfs_dst_path)
        raise HdfsError("the second try finds the source gone")


def test_a_lost_answer_does_not_lose_the_file() -> None:
    hdfs = LosesAnswers()
    assert files.create_once(hdfs, "/log/1", b"mine", "/log/_mine")
    files.write(hdfs, "/staged", b"rows")
    files.move(hdfs, "/staged", "/log/2")
    assert hdfs.files == {"/log/1": b"mine", "/log/2": b"rows"}


def test_a_file_is_replaced_whole_and_a_failure_leaves_the_old_one() -> None:
    hdfs = FakeHdfs()
    files.write_whole(hdfs, "/view/latest", b"old")
    files.write_whole(hdfs, "/view/latest", b"new")
    assert hdfs.files == {"/view/latest": b"new"}
    files.make_folder(hdfs, "/view/folder")
    with pytest.raises(Refused):
        files.write_whole(hdfs, "/view/folder", b"new")
    assert hdfs.files == {"/view/latest": b"new"}


def test_what_is_not_there() -> None:
    hdfs = FakeHdfs()
    assert (files.names(hdfs, "/none"), files.walk(hdfs, "/none"), files.exists(hdfs, "/none")) == ([], [], False)
    files.remove(hdfs, "/none")
    with pytest.raises(NotFound, match="/none"):
        files.read(hdfs, "/none")

"""HDFS through WebHDFS and the package ``hdfs``: what passes is tried again, errors are ``contracts.errors``'."""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Concatenate, Final, ParamSpec, TypeVar
from uuid import uuid4

import requests
from hdfs import HdfsError, InsecureClient

from clients import retry
from contracts.errors import NotFound, NotReady, PlatformError, Refused, Unreachable
from contracts.settings import Settings

HDFS_SETTINGS: Final = ("webhdfs_url", "hdfs_user")
SECONDS: Final = 60
"""For one answer."""
CONNECT_SECONDS: Final = 10.0
"""For a server that starts or fails over to answer the first question."""
OPEN: Final = "1777"
"""The permissions of a folder in which every user may make files, and remove their own alone."""
PASSING: Final = frozenset({"StandbyException", "RetriableException", "SafeModeException"})
"""Java exceptions of a NameNode that does not serve yet."""
Given = ParamSpec("Given")
Result = TypeVar("Result")


def client(settings: Settings) -> InsecureClient:
    """A WebHDFS client as ``settings.hdfs_user``; ``webhdfs_url`` may name several NameNodes separated by ';'."""
    session = requests.Session()
    session.trust_env = False  # a proxy for the internet is none for the cluster
    timeout = retry.answer_within(SECONDS)
    return InsecureClient(settings.webhdfs_url, user=settings.hdfs_user, session=session, timeout=timeout)


def connect(settings: Settings, seconds: float = CONNECT_SECONDS) -> InsecureClient:
    """A client of a server that answers. Raises :class:`Unreachable` or :class:`NotReady` after ``seconds``."""
    made = client(settings)
    retry.retrying(seconds)(answers, settings)
    return made


def answers(settings: Settings) -> None:
    """Raises unless an active NameNode answers this user over WebHDFS."""
    made = client(settings)
    with typed(made):
        made.status("/")


def rpc_answers(settings: Settings) -> None:
    """Raises :class:`Unreachable` unless the NameNode's RPC port, which Spark speaks to, takes a connection."""
    host, _, port = settings.hdfs_uri.removeprefix("hdfs://").partition(":")
    try:
        if port:  # a name service has none
            socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise Unreachable(
            f"HDFS at {settings.hdfs_uri} cannot be reached ({error}); start it (make local-up) or set "
            "ECOMMERCE_HDFS_URI"
        ) from error


@contextmanager
def typed(hdfs: InsecureClient) -> Iterator[None]:
    """The library's errors in the terms of ``contracts.errors``."""
    try:
        yield
    except requests.ConnectionError as error:
        raise Unreachable(
            f"HDFS at {hdfs.url} cannot be reached ({type(error).__name__}); start it (make local-up) or set "
            "ECOMMERCE_WEBHDFS_URL"
        ) from error
    except requests.RequestException as error:
        raise Unreachable(f"HDFS at {hdfs.url} did not answer: {error}") from error
    except HdfsError as error:
        raise _meaning(hdfs, error) from error


def _meaning(hdfs: InsecureClient, error: HdfsError) -> PlatformError:
    reason = f"{error.message or error}".partition("\n")[0]
    if error.exception in PASSING:
        return NotReady(f"HDFS at {hdfs.url} does not serve yet: {reason}")
    if error.exception == "FileNotFoundException":
        return NotFound(f"HDFS at {hdfs.url}: {reason}")
    return Refused(f"HDFS at {hdfs.url} refused: {reason}")


def _operation(
    work: Callable[Concatenate[InsecureClient, Given], Result],
) -> Callable[Concatenate[InsecureClient, Given], Result]:
    """Work that may be repeated: tried again while its error passes."""

    def typed_work(hdfs: InsecureClient, /, *arguments: Given.args, **keywords: Given.kwargs) -> Result:
        with typed(hdfs):
            return work(hdfs, *arguments, **keywords)

    @wraps(work)
    def operation(hdfs: InsecureClient, /, *arguments: Given.args, **keywords: Given.kwargs) -> Result:
        return retry.retrying()(typed_work, hdfs, *arguments, **keywords)

    return operation


@_operation
def write(hdfs: InsecureClient, path: str, data: bytes) -> None:
    """Writes a file, over one of the same name; a reader may see a part of it."""
    hdfs.write(path, data=data, overwrite=True)


@_operation
def read(hdfs: InsecureClient, path: str, offset: int = 0) -> bytes:
    """The bytes of a file from ``offset`` on; raises :class:`NotFound` where it is not there."""
    with hdfs.read(path, offset=offset) as reader:
        return bytes(reader.read())


@_operation
def size(hdfs: InsecureClient, path: str) -> int:
    """The bytes of a file, how many; raises :class:`NotFound` where it is not there."""
    return int(hdfs.status(path)["length"])


@_operation
def exists(hdfs: InsecureClient, path: str) -> bool:
    return hdfs.status(path, strict=False) is not None


@_operation
def names(hdfs: InsecureClient, folder: str) -> list[str]:
    """The names in a folder, sorted; none where there is no such folder."""
    try:
        return sorted(hdfs.list(folder))
    except HdfsError as error:
        if error.exception == "FileNotFoundException":
            return []
        raise


@_operation
def sizes(hdfs: InsecureClient, folder: str) -> dict[str, int]:
    """The names in a folder with their bytes, 0 for a folder; none where there is no such folder."""
    try:
        return {name: status["length"] for name, status in hdfs.list(folder, status=True)}
    except HdfsError as error:
        if error.exception == "FileNotFoundException":
            return {}
        raise


@_operation
def walk(hdfs: InsecureClient, folder: str) -> list[str]:
    """The paths of all files below a folder; none where there is no such folder."""
    if hdfs.status(folder, strict=False) is None:
        return []
    return [f"{parent}/{name}" for parent, _, found in hdfs.walk(folder) for name in found]


@_operation
def make_folder(hdfs: InsecureClient, path: str) -> None:
    """Makes a folder and what it is in; who may write there is who may write in what it is in."""
    # For the group 7 is what an access control list may give at most (its mask).
    hdfs.makedirs(path, permission="775")


@_operation
def remove(hdfs: InsecureClient, path: str) -> None:
    """Removes a file, or a folder with all that is in it; nothing where it is gone already."""
    hdfs.delete(path, recursive=True)


@_operation
def mode(hdfs: InsecureClient, path: str) -> str:
    """The permissions of a file or folder, as ``1777``; raises :class:`NotFound` where it is not there."""
    return str(hdfs.status(path)["permission"])


@_operation
def open_to_all(hdfs: InsecureClient, folder: str) -> None:
    """Lets every user make files in a folder, and remove their own alone. The caller must own the folder."""
    hdfs.set_permission(folder, OPEN)


@_operation
def may_write(hdfs: InsecureClient, folder: str, users: Sequence[str]) -> bool:
    """Whether a folder's access control list says so, for the folder and for all that will be in it."""
    return set(_entries(users)) <= set(hdfs.acl_status(folder)["entries"])


@_operation
def let_write(hdfs: InsecureClient, folder: str, users: Sequence[str]) -> None:
    """Lets users write a folder and those that are in it, now and later. The caller must own those where they may not.

    Source: https://hadoop.apache.org/docs/r3.4.2/hadoop-project-dist/hadoop-hdfs/HdfsPermissionsGuide.html#ACLs
    """
    below = [parent for parent, _, _ in hdfs.walk(folder)]
    for parent in reversed(below):  # the folder itself last: where it says so, it is so in all of it
        if not may_write(hdfs, parent, users):
            hdfs.set_acl(parent, ",".join(_entries(users)), clear=False)


def _entries(users: Sequence[str]) -> list[str]:
    return [f"{scope}user:{user}:rwx" for user in users for scope in ("", "default:")]


def move(hdfs: InsecureClient, source: str, target: str) -> None:
    """Renames a file; done already (the source gone, the target there) is fine, so that a retry and a replay are too.

    Raises :class:`Refused` when neither is there.
    """
    try:
        _rename(hdfs, source, target)
    except Refused:
        if exists(hdfs, source) or not exists(hdfs, target):
            raise


@_operation
def _rename(hdfs: InsecureClient, source: str, target: str) -> None:
    hdfs.rename(source, target)


def move_folder(hdfs: InsecureClient, source: str, target: str) -> bool:
    """Renames a folder; done already (the source gone, the target there) is fine. False where the target was there.

    Raises :class:`NotFound` where the source or the target's parent is not there.
    """
    try:
        _rename_onto_nothing(hdfs, source, target)
    except Refused:
        if exists(hdfs, source) and exists(hdfs, target):
            return False
        raise
    except NotFound:
        if exists(hdfs, source) or not exists(hdfs, target):
            raise
    return True


@_operation
def _rename_onto_nothing(hdfs: InsecureClient, source: str, target: str) -> None:
    # The package's public rename moves into a folder of the target's name.
    hdfs._rename(source, destination=target, renameoptions="NONE")


@_operation
def _replace(hdfs: InsecureClient, source: str, target: str) -> None:
    # The package's public rename has no option to replace the target, which WebHDFS does atomically.
    hdfs._rename(source, destination=target, renameoptions="OVERWRITE")


def write_whole(hdfs: InsecureClient, path: str, data: bytes) -> None:
    """Writes a file so that a reader sees the old one or the new one, never a part or none."""
    folder, _, name = path.rpartition("/")
    temporary = f"{folder}/.{name}.{uuid4().hex}"
    try:
        write(hdfs, temporary, data)
        _replace(hdfs, temporary, path)
    except BaseException:
        remove(hdfs, temporary)
        raise


def create_once(hdfs: InsecureClient, path: str, data: bytes, temporary: str) -> bool:
    """Makes a file appear whole or not at all; False when one of that name is there already.

    HDFS refuses a rename onto an existing file, which makes this the lock between two writers. After a lost answer the
    file's own content tells whose rename it was.
    """
    write(hdfs, temporary, data)
    try:
        _rename(hdfs, temporary, path)
    except Refused:
        won = exists(hdfs, path) and not exists(hdfs, temporary) and read(hdfs, path) == data
        remove(hdfs, temporary)
        return won
    return True


def hidden(path: str) -> bool:
    """Whether Hive and Impala pass a file over: its name begins with '_' or '.'."""
    return path.rpartition("/")[2].startswith(("_", "."))

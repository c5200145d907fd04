"""HDFS for Python code: WebHDFS through the ``hdfs`` package, with retries of what may pass."""

import requests
import tenacity
from hdfs import HdfsError, InsecureClient

from contracts.command import CommandError
from contracts.settings import Settings


def client(settings: Settings) -> InsecureClient:
    """A WebHDFS client as ``settings.hdfs_user``; ``webhdfs_url`` may name several NameNodes separated by ';'."""
    session = requests.Session()
    session.trust_env = False  # a proxy for the internet is none for the cluster
    return InsecureClient(settings.webhdfs_url, user=settings.hdfs_user, session=session, timeout=60)


def require(settings: Settings) -> None:
    """Raises ``CommandError`` where WebHDFS does not answer or refuses the user; tries once, to say so at once."""
    try:
        client(settings).status("/")
    except (requests.RequestException, HdfsError) as error:
        raise CommandError(
            f"HDFS at {settings.webhdfs_url} cannot be used ({error}); start it (make local-up) or set "
            "ECOMMERCE_WEBHDFS_URL"
        ) from error


def passing(error: BaseException) -> bool:
    """Whether HDFS may answer soon: it cannot be reached, no NameNode is active yet, or it is still starting."""
    if isinstance(error, HdfsError):
        return error.exception in ("StandbyException", "RetriableException", "SafeModeException")
    return isinstance(error, requests.ConnectionError | requests.Timeout)


retrying = tenacity.retry(
    retry=tenacity.retry_if_exception(passing),
    stop=tenacity.stop_after_delay(120),
    wait=tenacity.wait_exponential_jitter(multiplier=0.2, max=5),
    reraise=True,
)


@retrying
def write(hdfs: InsecureClient, path: str, data: bytes) -> None:
    """Writes a file whole, over one of the same name."""
    hdfs.write(path, data=data, overwrite=True)


@retrying
def read(hdfs: InsecureClient, path: str) -> bytes:
    """The bytes of a file; raises ``HdfsError`` where it is not there."""
    with hdfs.read(path) as reader:
        return bytes(reader.read())


@retrying
def exists(hdfs: InsecureClient, path: str) -> bool:
    return hdfs.status(path, strict=False) is not None


@retrying
def names(hdfs: InsecureClient, folder: str) -> list[str]:
    """The names in a folder, sorted; none where there is no such folder."""
    try:
        return sorted(hdfs.list(folder))
    except HdfsError as error:
        if error.exception == "FileNotFoundException":
            return []
        raise


@retrying
def make_folder(hdfs: InsecureClient, path: str) -> None:
    hdfs.makedirs(path)


@retrying
def remove(hdfs: InsecureClient, path: str) -> None:
    """Removes a file, or a folder with all that is in it; nothing where it is gone already."""
    hdfs.delete(path, recursive=True)


def move(hdfs: InsecureClient, source: str, target: str) -> None:
    """Renames a file; done already (the source gone, the target there) is fine, so that a retry and a replay are too.

    Raises ``HdfsError`` when neither is there.
    """
    try:
        _rename(hdfs, source, target)
    except HdfsError:
        if exists(hdfs, source) or not exists(hdfs, target):
            raise


@retrying
def _rename(hdfs: InsecureClient, source: str, target: str) -> None:
    hdfs.rename(source, target)


def create_once(hdfs: InsecureClient, path: str, data: bytes, temporary: str) -> bool:
    """Makes a file appear whole or not at all; False when one of that name is there already.

    HDFS refuses a rename onto an existing file, which makes this the lock between two writers. After a lost answer the
    file's own content tells whose rename it was.
    """
    write(hdfs, temporary, data)
    try:
        _rename(hdfs, temporary, path)
    except HdfsError:
        won = exists(hdfs, path) and not exists(hdfs, temporary) and read(hdfs, path) == data
        remove(hdfs, temporary)
        return won
    return True

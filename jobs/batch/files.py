"""HDFS as the tasks use it: one client that is known to answer, and files that appear whole."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta

import requests
import tenacity
from hdfs import HdfsError, InsecureClient

from contracts import paths
from contracts.command import CommandError
from contracts.settings import Settings
from jobs import hdfs

HDFS_SETTINGS = ("webhdfs_url", "hdfs_user")


@contextmanager
def connect(settings: Settings) -> Iterator[InsecureClient]:
    """A WebHDFS client of a server that answers.

    Raises ``CommandError`` when it does not after a few tries within seconds, is lost later, or refuses something.
    """
    client = hdfs.client(settings)
    try:
        _answers(client)
    except requests.RequestException as error:
        raise CommandError(
            f"cannot reach HDFS at {settings.webhdfs_url} ({type(error).__name__}); "
            "start it (make local-up) or set --webhdfs-url"
        ) from error
    try:
        yield client
    except requests.RequestException as error:
        raise CommandError(f"lost HDFS at {settings.webhdfs_url}: {error}") from error
    except HdfsError as error:
        raise CommandError(f"HDFS at {settings.webhdfs_url} refused: {error.message or error}") from error


@tenacity.retry(
    retry=tenacity.retry_if_exception_type((requests.ConnectionError, requests.Timeout)),
    stop=tenacity.stop_after_attempt(4),
    wait=tenacity.wait_exponential_jitter(multiplier=0.5, max=4),
    reraise=True,
)
def _answers(client: InsecureClient) -> None:
    client.status("/")


def write_whole(client: InsecureClient, path: str, data: bytes) -> None:
    """Writes a file so that a reader sees the old one or the new one, never a part or none."""
    folder, _, name = path.rpartition("/")
    temporary = f"{folder}/.{name}.{uuid.uuid4().hex}"
    try:
        hdfs.write(client, temporary, data)
        # HdfsCLI's public rename has no option to replace the target, which WebHDFS does atomically.
        client._rename(temporary, destination=path, renameoptions="OVERWRITE")
    except BaseException:
        hdfs.remove(client, temporary)
        raise


def landed_files(client: InsecureClient, stream: str, day: date) -> int:
    """How many Parquet files of a day a stream has."""
    midnight = datetime.combine(day, time())
    return sum(
        1
        for hour in range(24)
        for name in hdfs.names(client, paths.hour_folder(stream, midnight + timedelta(hours=hour)))
        if name.endswith(".parquet") and not name.startswith((".", "_"))
    )

"""Numbers that one process alone can take: the later number fences the earlier (``jobs.streaming.commits``)."""

from hdfs import InsecureClient

from clients import hdfs as files


def taken(hdfs: InsecureClient, folder: str) -> list[int]:
    """The numbers that are taken and kept."""
    return [int(name) for name in files.names(hdfs, folder) if name.isdigit()]


def take(hdfs: InsecureClient, folder: str, by: str, draft: str) -> int:
    """Takes the next number. ``draft``: a path of the process's own, on the same file system."""
    files.make_folder(hdfs, folder)
    while True:
        number = max(taken(hdfs, folder), default=0) + 1
        if files.create_once(hdfs, f"{folder}/{number:08d}", by.encode(), draft):
            return number


def forget(hdfs: InsecureClient, folder: str, before: int) -> None:
    """Removes the notes of numbers below one."""
    for number in taken(hdfs, folder):
        if number < before:
            files.remove(hdfs, f"{folder}/{number:08d}")

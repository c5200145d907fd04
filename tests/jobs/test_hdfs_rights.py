"""Who may do what on HDFS: each folder of the contracts is attacked by each user who may not write there."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from hdfs import HdfsError, InsecureClient

from clients import hdfs as files
from clients import sql
from contracts import paths
from contracts.errors import PlatformError, Refused
from contracts.hive import MARTS, RAW
from contracts.settings import Settings
from jobs.prepare import create_folders, create_hive_tables, missing_folders

OF_THE_OWNER = [
    "/",
    paths.DATA,
    paths.STAGING,
    paths.COMMITS,
    paths.COMPACTION,
    paths.CHECKPOINTS,
    paths.REPLAYED,
    *map(paths.stream_folder, RAW),
]
FORBIDDEN = [(paths.BATCH, folder) for folder in OF_THE_OWNER] + [
    (paths.READER, folder) for folder in (*OF_THE_OWNER, *paths.OF_BATCH)
]


@pytest.fixture(scope="module")
def lake(stack: Settings) -> Iterator[Settings]:
    """Every folder of the contracts, with a folder ``there`` and a file in each, which are gone afterwards."""
    owner = files.client(stack)
    there = [below(folder, "there") for folder in (*OF_THE_OWNER, *paths.OF_BATCH)]
    for folder in there:
        files.make_folder(owner, folder)
        files.write(owner, f"{folder}/file", b"kept")
    yield stack
    for folder in there:
        files.remove(owner, folder)


def below(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"


def as_user(settings: Settings, user: str) -> InsecureClient:
    return files.client(replace(settings, hdfs_user=user))


def everything(hdfs: InsecureClient, folder: str) -> list[Callable[[], object]]:
    """Each way to change what is in a folder."""
    new, there = below(folder, uuid4().hex), below(folder, "there")
    return [
        lambda: files.write(hdfs, new, b"new"),
        lambda: files.write(hdfs, f"{there}/file", b"over it"),
        lambda: files.make_folder(hdfs, new),
        lambda: files.remove(hdfs, f"{there}/file"),
        lambda: files.remove(hdfs, there),
        lambda: files.move(hdfs, f"{there}/file", new),
        lambda: files.move_folder(hdfs, there, new),
        lambda: files.write_whole(hdfs, f"{there}/file", b"over it"),
        lambda: files.let_write(hdfs, folder, (paths.BATCH, paths.READER)),
        lambda: files.open_to_all(hdfs, folder),
        lambda: _own(hdfs, folder),
        lambda: hdfs.set_permission(f"{there}/file", "777"),
    ]


def _own(hdfs: InsecureClient, folder: str) -> None:
    with files.typed(hdfs):
        hdfs.set_owner(folder, owner=paths.READER)


@pytest.mark.parametrize(("user", "folder"), FORBIDDEN)
def test_who_may_not_write_changes_nothing(lake: Settings, user: str, folder: str) -> None:
    attacker = as_user(lake, user)
    before = files.mode(attacker, folder), attacker.acl_status(folder)
    for attempt in everything(attacker, folder):
        with pytest.raises((Refused, HdfsError), match="ermission denied"):
            attempt()
    assert files.read(attacker, below(folder, "there/file")) == b"kept", "and all of it may be read"
    assert (files.mode(attacker, folder), attacker.acl_status(folder)) == before


@pytest.mark.parametrize("folder", paths.OF_BATCH)
def test_the_batch_layer_and_the_owner_write_over_each_other(lake: Settings, folder: str) -> None:
    """As a run by hand does what a task did, and retention removes what either made."""
    clients = as_user(lake, paths.BATCH), files.client(lake)
    for first, second in (clients, clients[::-1]):
        new = f"{folder}/{uuid4().hex}"
        files.make_folder(first, f"{new}/made/below")
        files.write(first, f"{new}/implied/below/file", b"first")
        files.write_whole(second, f"{new}/implied/below/file", b"second")
        files.write(second, f"{new}/made/below/file", b"second")
        files.move_folder(second, f"{new}/made", f"{new}/moved")
        assert files.read(first, f"{new}/implied/below/file") == b"second"
        files.remove(second, new)
        assert not files.exists(first, new)


def test_the_owner_is_no_superuser(lake: Settings) -> None:
    owner = files.client(lake)
    with pytest.raises(Refused, match="not a super user"):
        _own(owner, paths.DATA)


def test_each_may_have_temporary_files_of_its_own(lake: Settings) -> None:
    own = f"{paths.TEMPORARY}/{uuid4().hex}"
    files.write(as_user(lake, paths.READER), own, b"mine")
    with pytest.raises(Refused, match="ermission denied"):
        files.remove(as_user(lake, paths.BATCH), own)
    files.remove(as_user(lake, paths.READER), own)


def test_folders_of_before_get_the_rights(lake: Settings) -> None:
    """Version 0.1.0 had one user for all of it."""
    owner, batch = files.client(lake), as_user(lake, paths.BATCH)
    old = f"{paths.MARTS}/{uuid4().hex}"
    files.make_folder(owner, f"{old}/_runs/2026-11-01-night")
    for folder in (f"{old}/_runs/2026-11-01-night", f"{old}/_runs", old, paths.MARTS):
        owner.remove_acl(folder)
    with pytest.raises(Refused):
        files.write(batch, f"{old}/_runs/file", b"")
    assert missing_folders(lake) == [paths.MARTS]
    create_folders(lake, missing_folders(lake))
    assert missing_folders(lake) == []
    files.write(batch, f"{old}/_runs/2026-11-01-night/file", b"")
    files.remove(batch, f"{old}/_runs")
    files.remove(owner, old)


def test_sql_writes_the_marts_and_not_the_raw_data(lake: Settings) -> None:
    create_hive_tables(lake, [*RAW, *MARTS])
    with sql.connect(lake) as session:
        for table in RAW.values():
            columns = ", ".join(f"CAST(NULL AS {column.type})" for column in table.columns)
            partition = f"PARTITION ({', '.join(f'`{name}`' for name in table.partitions)})"
            statement = f"INSERT INTO {table.qualified} {partition} SELECT {columns}, '2020-01-01', '00'"
            with pytest.raises(PlatformError, match="ermission denied"):
                session.execute(statement)
        assert not files.exists(files.client(lake), f"{paths.stream_folder('clicks')}/date=2020-01-01")

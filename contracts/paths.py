"""Folders on HDFS, relative to the file system of ``Settings.hdfs_uri``."""

import hashlib
import re
from datetime import datetime
from typing import Final, NamedTuple

DATA: Final = "/data/ecommerce"
MARTS: Final = f"{DATA}/marts"
STAGING: Final = f"{DATA}/_staging"
COMMITS: Final = f"{DATA}/_commits"
REPLAYED: Final = f"{DATA}/_replayed"
"""Which dead letters were sent again (``jobs.replay``)."""
DAYS: Final = f"{DATA}/_days"
"""Which days the batch layer has computed, and which of them each run takes."""
DAY_PLANS: Final = f"{DAYS}/_runs"
FIRST_KEPT: Final = f"{DAYS}/_first"
"""The first day that ``jobs.retention`` has kept: those before are computed no more."""
DAILY_RUN: Final = f"{DAYS}/_ended"
"""When the newest daily run ended well."""
COMPACTION: Final = f"{DATA}/_compaction"
"""What ``jobs.compaction`` makes and replaces, and what SQL reads meanwhile."""
COMPACTION_RUN: Final = f"{COMPACTION}/ended"
"""When the newest compaction ended well."""
EXPORTS: Final = "/exports/ecommerce"
CHECKPOINTS: Final = "/checkpoints"
WAREHOUSE: Final = "/user/hive/warehouse"
INGEST: Final = "ingest"
SPEED: Final = "speed"
"""The streaming jobs: the names of their checkpoint, staging and commit folders."""
TEMPORARY: Final = "/tmp"  # noqa: S108 - of HDFS, where each may make what is its own, and no other removes it
ALL: Final = (DATA, MARTS, STAGING, COMMITS, DAYS, EXPORTS, CHECKPOINTS, WAREHOUSE, TEMPORARY)
OWNER: Final = "ecommerce"
"""The HDFS user whose all of it is: ingest, compaction, retention, HBase and what is run by hand."""
BATCH: Final = "batch"
"""The HDFS user of the daily run and of the SQL endpoint: reads all, and writes the folders of :data:`OF_BATCH`."""
OF_BATCH: Final = (MARTS, DAYS, EXPORTS, WAREHOUSE)
READER: Final = "reader"
"""The HDFS user of the API: reads all, and writes nothing."""
SUPERUSER: Final = "hdfs"
"""The HDFS user of HDFS's own servers, whom no right binds; no program of the platform is it."""
USERS: Final = (SUPERUSER, OWNER, BATCH, READER)


def stream_folder(stream: str) -> str:
    """``/data/ecommerce/clicks``"""
    return f"{DATA}/{stream}"


def hour_folder(stream: str, hour: datetime) -> str:
    """``/data/ecommerce/clicks/date=2026-11-23/hour=09`` of a UTC hour."""
    return f"{stream_folder(stream)}/date={hour:%Y-%m-%d}/hour={hour:%H}"


def partition_of(path: str) -> tuple[str, str, str]:
    """Stream, date and hour of a landed file's path. Raises ``ValueError`` for another path."""
    match = re.fullmatch(rf"{DATA}/(\w+)/date=(\d{{4}}-\d\d-\d\d)/hour=(\d\d)/[^/]+", path)
    if not match:
        raise ValueError(f"{path!r} is not the path of a landed file")
    stream, date, hour = match.groups()
    return stream, date, hour


class LandedBatch(NamedTuple):
    """What the name of a landed file tells: Kafka partition, first and last offset of the batch there, and the commit.

    Version 0.1.0 left the commit out.
    """

    partition: int
    first: int
    last: int
    commit: int | None


def landed_file(batch: LandedBatch) -> str:
    """``part-00003-120-479-17.parquet``"""
    return f"part-{batch.partition:05d}-{batch.first}-{batch.last}-{batch.commit}.parquet"


def landed_batch(path: str) -> LandedBatch | None:
    """What the name at the end of a path tells; None where ingest did not make it."""
    match = re.fullmatch(r"part-(\d+)-(\d+)-(\d+)(?:-(\d+))?\.parquet", path.rpartition("/")[2])
    if not match:
        return None
    partition, first, last, commit = match.groups()
    return LandedBatch(int(partition), int(first), int(last), int(commit) if commit else None)


class Compacted(NamedTuple):
    """What the name of a compacted file tells: the first and the last commit that landed rows of it."""

    first: int
    last: int


def compacted_file(commits: Compacted, unique: str) -> str:
    """``compacted-12-841-1f4a9c0d.parquet``"""
    return f"compacted-{commits.first}-{commits.last}-{unique}.parquet"


def compacted(path: str) -> Compacted | None:
    """What the name at the end of a path tells; None where no compaction made it."""
    match = re.fullmatch(r"compacted-(\d+)-(\d+)-\w+\.parquet", path.rpartition("/")[2])
    return Compacted(int(match[1]), int(match[2])) if match else None


def commits_of(path: str) -> Compacted | None:
    """The first and the last commit that landed rows of a file, 0 for version 0.1.0; None where it is not ingest's."""
    if made_of := compacted(path):
        return made_of
    landed = landed_batch(path)
    return Compacted(landed.commit or 0, landed.commit or 0) if landed else None


def mart_folder(mart: str) -> str:
    return f"{MARTS}/{mart}"


def mart_run(mart: str, day: str, run: str) -> str:
    """``/data/ecommerce/marts/revenue_daily/_runs/2026-11-23-…``: what one run made of a day."""
    return f"{mart_folder(mart)}/_runs/{day}-{run}"


def day_mark(day: str) -> str:
    """``/data/ecommerce/_days/2026-11-23.json``"""
    return f"{DAYS}/{day}.json"


def day_plan(day: str, run: str) -> str:
    """``/data/ecommerce/_days/_runs/2026-11-23-….json`` of a run of a day, whatever characters its id has."""
    return f"{DAY_PLANS}/{day}-{hashlib.sha256(run.encode()).hexdigest()[:16]}.json"


def export_folder(date: str) -> str:
    """``/exports/ecommerce/date=2026-11-23``"""
    return f"{EXPORTS}/date={date}"

"""Folders on HDFS, relative to the file system of ``Settings.hdfs_uri``."""

from datetime import datetime
from typing import Final

DATA: Final = "/data/ecommerce"
MARTS: Final = f"{DATA}/marts"
STAGING: Final = f"{DATA}/_staging"
COMMITS: Final = f"{DATA}/_commits"
REPLAYED: Final = f"{DATA}/_replayed"
"""Which dead letters were sent again (``jobs.replay``)."""
EXPORTS: Final = "/exports/ecommerce"
CHECKPOINTS: Final = "/checkpoints"
WAREHOUSE: Final = "/user/hive/warehouse"
INGEST: Final = "ingest"
SPEED: Final = "speed"
"""The streaming jobs: the names of their checkpoint, staging and commit folders."""
ALL: Final = (DATA, MARTS, STAGING, COMMITS, EXPORTS, CHECKPOINTS, WAREHOUSE)


def stream_folder(stream: str) -> str:
    """``/data/ecommerce/clicks``"""
    return f"{DATA}/{stream}"


def hour_folder(stream: str, hour: datetime) -> str:
    """``/data/ecommerce/clicks/date=2026-11-23/hour=09`` of a UTC hour."""
    return f"{stream_folder(stream)}/date={hour:%Y-%m-%d}/hour={hour:%H}"


def mart_folder(mart: str) -> str:
    return f"{MARTS}/{mart}"


def export_folder(date: str) -> str:
    """``/exports/ecommerce/date=2026-11-23``"""
    return f"{EXPORTS}/date={date}"

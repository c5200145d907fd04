"""The lake as tests share it."""

import msgspec

from clients import hdfs as files
from clients.commits import CommitLog
from contracts.paths import INGEST
from contracts.settings import Settings
from jobs.compaction import choice


def leave_to_themselves(settings: Settings) -> None:
    """Compactions pass over what has landed until now, as if one had just ended: other tests land months of hours."""
    hdfs = files.client(settings)
    files.write_whole(hdfs, choice.SEEN, msgspec.json.encode(CommitLog(hdfs, INGEST).newest().days))

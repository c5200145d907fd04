"""What a day is, for SQL, for serving and on HDFS: is it closed, its revenue by each, its clicks, its landed files."""

import json
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from clients import hdfs
from clients.sql import connect
from contracts import paths
from contracts.hive import MARTS, RAW
from contracts.settings import Settings
from serving import days, views
from serving.layers import Layers

(text,) = sys.argv[1:]
day = date.fromisoformat(text)
settings = Settings.from_environment()
files = hdfs.client(settings)
start = datetime(day.year, day.month, day.day, tzinfo=UTC)
served = views.revenue(Layers(settings), start, start + timedelta(days=1), datetime.now(UTC))
with connect(settings) as sql:
    of_day = f"WHERE `date` = '{day}'"
    revenue = sql.rows(f"SELECT revenue FROM {MARTS['revenue_daily'].qualified} {of_day}")  # noqa: S608
    clicks = sql.rows(f"SELECT COUNT(*), COUNT(DISTINCT event_id) FROM {RAW['clicks'].qualified} {of_day}")  # noqa: S608
landed = {
    stream: len(
        [path for path in hdfs.walk(files, f"{paths.stream_folder(stream)}/date={day}") if not hdfs.hidden(path)]
    )
    for stream in RAW
}
print(
    json.dumps(
        {
            "closed": day in days.closed(files, [day]),
            "sql": str(revenue[0][0]) if revenue else None,
            "serving": str(sum((minute.revenue for minute in served), Decimal(0))),
            "sources": sorted({minute.source for minute in served}),
            "clicks": list(clicks[0]),
            "files": landed,
        }
    )
)

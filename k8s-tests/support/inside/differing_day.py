"""A reconciliation that fails: while it runs, the speed layer has a purchase of the day that nobody made."""

import json
import subprocess
import sys
from contextlib import closing
from datetime import datetime

from clients import hbase
from contracts.hbase import LATE_AMOUNT, REVENUE_LATE, late_key
from contracts.settings import Settings

RUN = ("--run", "differing")
TASKS = {"check_data": ("--grace", "0"), "revenue": (), "reconcile": ()}

(day,) = sys.argv[1:]
settings = Settings.from_environment()
key = late_key(datetime.fromisoformat(f"{day}T12:00:00+00:00"), "nobody")
with closing(hbase.connect(settings)) as connection:
    connection.table(REVENUE_LATE.name).put(key, {LATE_AMOUNT.column: b"1.00"})
codes = {
    task: subprocess.run([sys.executable, "-m", f"jobs.batch.tasks.{task}", "--date", day, *RUN, *more]).returncode
    for task, more in TASKS.items()
}
with closing(hbase.connect(settings)) as connection:
    connection.table(REVENUE_LATE.name).delete(key)
print(json.dumps(codes))

"""The hourly DAG that makes the many small files of hours that are over into one or a few (``jobs.compaction``).

A run that breaks off is ended by the next try or the next run. Settings of the task:

ECOMMERCE_COMPACTION_OLDER_THAN  how long ago an hour ended that is compacted, in seconds
ECOMMERCE_COMPACTION_GRACE       how long a SQL statement may take that reads what is exchanged, in seconds
"""

import os

import pendulum
from airflow.sdk import DAG, CronTriggerTimetable

from contracts.dag import COMPACTION_DAG_ID
from contracts.paths import OWNER
from dags.operators import Task, operator

COMPACT = Task(
    "compact",
    "jobs.compaction",
    (),
    "Compacts hours that are over, of each day of which rows have landed since the last run.",
    minutes=180,
    memory="4Gi",
    hdfs_user=OWNER,
)


def build() -> DAG:
    """The DAG of one task."""
    make = operator()
    with DAG(
        COMPACTION_DAG_ID,
        description="Hours that are over: one file, or a few large ones, in the place of many small ones.",
        schedule=CronTriggerTimetable("20 * * * *", timezone="UTC"),
        start_date=pendulum.from_format(os.environ.get("ECOMMERCE_DAG_START", "2026-01-01"), "YYYY-MM-DD", tz="UTC"),
        catchup=False,
        max_active_runs=1,
        default_args={"owner": "data-engineering", "depends_on_past": False},
        tags=["ecommerce", "batch-layer", "hourly"],
        doc_md=DOC,
    ) as dag:
        make(COMPACT)
    return dag


DOC = """
# Compaction

Ingest lands a few files every ten seconds. Once an hour is over, this makes one file of them, or a few of up to 192 MB,
while ingest, SQL and readers of folders go on. Rows that land for an hour later are gathered: it is compacted again
once they are more than three files.

- **Running it again**, or two at once, is safe: a later run fences an earlier one, and ends what it left.
- **It failed?** The last line of its log is one sentence that says why. Nothing is lost or counted twice meanwhile: SQL
  reads an hour either as it was or as it is.
"""

dag = build()

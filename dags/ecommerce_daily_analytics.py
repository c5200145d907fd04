"""The daily DAG: checks the day's data, fills the marts, reconciles batch with speed and exports CSV files.

``TASKS`` is the whole graph; each task is a module of ``jobs.batch.tasks`` with the day and the run as its arguments.
Where tasks run is said in ``operators``. ``ECOMMERCE_DAG_START``: first day of the scheduled runs, YYYY-MM-DD in UTC.
"""

import os
from datetime import date, datetime
from typing import Any

import pendulum
from airflow.sdk import DAG, CronDataIntervalTimetable, Param

from contracts.dag import DAG_ID
from contracts.paths import OWNER
from dags.operators import Task, operator


def daily(id: str, upstream: tuple[str, ...], doc: str, **more: Any) -> Task:
    """A task of the days that the run takes."""
    of_the_run = ("--date", "{{ day(params, dag_run) }}", "--run", "{{ run_id }}")
    return Task(id, f"jobs.batch.tasks.{id}", of_the_run, doc, upstream, **more)


CLICKS, PURCHASES, INVENTORY = RAW = ("clicks", "purchases", "inventory")
REVENUE = ("revenue_daily", "revenue_hourly", "revenue_minutely", "sales_daily")
FUNNEL, STOCK, RECONCILIATION = ("conversion_funnel",), ("stock_daily",), ("reconciliation",)
AFFINITY = ("category_affinity", "product_affinity")
MARTS = ("revenue", "funnel", "affinity", "stock")
TASKS = (
    daily(
        "check_data",
        (),
        "Waits until the day has landed whole, fails where no stream has files of it, and plans the days of the run: "
        "this one, and older ones that got rows since they were computed.",
        minutes=45,
    ),
    daily("repair_partitions", ("check_data",), "Makes the landed partitions and files known to the SQL endpoint."),
    daily(
        "revenue",
        ("repair_partitions",),
        "Fills `revenue_daily`, `revenue_hourly`, `revenue_minutely` and `sales_daily`.",
        reads=(PURCHASES,),
        writes=REVENUE,
    ),
    daily(
        "funnel",
        ("repair_partitions",),
        "Fills `conversion_funnel`: Home → Product → Purchase, by sessions.",
        reads=(CLICKS, PURCHASES),
        writes=FUNNEL,
    ),
    daily(
        "affinity",
        ("repair_partitions",),
        "Fills `category_affinity` and `product_affinity`: viewed against bought.",
        reads=(CLICKS, PURCHASES),
        writes=AFFINITY,
    ),
    daily(
        "stock",
        ("repair_partitions",),
        "Fills `stock_daily`: stock at the end of the day, and its movements.",
        reads=(INVENTORY,),
        writes=STOCK,
    ),
    daily(
        "reconcile",
        MARTS,
        "Fills `reconciliation` and fails with the difference when a minute's batch revenue is not the speed layer's, "
        "late purchases added. Closes the days that agree.",
        reads=(*RAW, "revenue_minutely", "sales_daily"),
        writes=RECONCILIATION,
    ),
    daily(
        "export_csv",
        ("reconcile",),
        "Writes a CSV of each mart to `/exports/ecommerce/date=…/` on HDFS.",
        reads=(*REVENUE, *FUNNEL, *AFFINITY, *STOCK, *RECONCILIATION),
    ),
    Task(
        "retention",
        "jobs.retention",
        (),
        "Removes what is older than it is to be kept, if told so.",
        ("export_csv",),
        hdfs_user=OWNER,
    ),
)


def day(params: Any, dag_run: Any) -> str:
    """The day that a run is about: its parameter ``date``, else the date of its logical date, else of its interval.

    Raises ``ValueError`` for a run that has none of them, such as one triggered without a logical date.
    """
    if params.get("date"):
        return date.fromisoformat(params["date"]).isoformat()
    moment: datetime | None = dag_run.logical_date or dag_run.data_interval_start
    if moment is None:
        raise ValueError("this run has no logical date; trigger it with one, or with the parameter date=YYYY-MM-DD")
    return moment.date().isoformat()


def build() -> DAG:
    """The DAG of ``TASKS``."""
    make = operator()
    with DAG(
        DAG_ID,
        description="Daily marts of the shop: revenue, funnel, affinity, stock; reconciled with the speed layer.",
        # The interval's first day is the one that is over when the run starts; late events had half an hour by then.
        schedule=CronDataIntervalTimetable("30 0 * * *", timezone="UTC"),
        start_date=pendulum.from_format(os.environ.get("ECOMMERCE_DAG_START", "2026-01-01"), "YYYY-MM-DD", tz="UTC"),
        # Not needed for days that were missed: a run takes every older day that is open.
        catchup=False,
        max_active_runs=1,
        params={
            "date": Param(
                None,
                type=["null", "string"],
                format="date",
                title="Day",
                description="The day to compute, by event time in UTC. Left empty: the run's logical date.",
            )
        },
        user_defined_macros={"day": day},
        default_args={"owner": "data-engineering", "depends_on_past": False},
        tags=["ecommerce", "batch-layer", "daily"],
        doc_md=DOC,
    ) as dag:
        operators = {task.id: make(task) for task in TASKS}
        for task in TASKS:
            operators[task.id].set_upstream([operators[name] for name in task.upstream])
    return dag


DOC = """
# Daily analytics

Turns days of landed events into the marts of the database `ecommerce`, makes sure that they agree with the speed layer
to the cent, and exports them as CSV files.

- **Which days?** A scheduled run takes the day that ended half an hour before. A run by hand takes the parameter
  `date`, else the date of its logical date; without either it fails. Each run also takes older days that got rows since
  they were computed, and those that were missed.
- **When?** `check_data` waits until ingest has landed all that Kafka took until half an hour after the day's end.
- **Running it again** is safe: every task overwrites days of its run only. A backfill of N days is N runs.
- **A task failed?** The last line of its log is one sentence that says why. `reconcile` names the minutes that differ;
  while the speed layer is still catching up, its retries pass.
"""

dag = build()

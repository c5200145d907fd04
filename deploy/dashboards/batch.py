"""SQL and Airflow: how fresh SQL is, which days are open, when the runs ended, and how the servers are."""

from dataclasses import replace
from typing import Final

from grafana_foundation_sdk.models import units

from deploy.dashboards.parts import HERE, Board, figure, graph, grown, per_second

SQL: Final = "metrics_sql_driver"
"""What the metrics of Spark's Thrift server begin with (spark.metrics.namespace)."""
RUN: Final = "sum by (dag_id) (increase(airflow_dagrun_duration_success_milliseconds[1d]))"
"""What runs took that ended well, as a native histogram."""

SQL_IS_BEHIND: Final = figure(
    "SQL is behind",
    "Rows that Kafka took longer ago than this are in SQL's answers.",
    units.Seconds,
    f"time() - min(ecommerce_sql_fresh_until_timestamp_seconds{{{HERE}}})",
    {120: "orange", 600: "red"},
    decimals=0,
)
DAYS_OPEN: Final = figure(
    "Days open",
    "Days that are over and not reconciled as of their newest rows.",
    units.Short,
    f"count(ecommerce_day_open_timestamp_seconds{{{HERE}}}) or vector(0)",
    {2: "orange"},
)

BOARD: Final = Board(
    "ecommerce-batch",
    "E-commerce · SQL and Airflow",
    "What SQL answers, and the runs that make the marts.",
    {
        "The batch layer": (
            replace(SQL_IS_BEHIND, width=4),
            figure(
                "Since the newest daily run",
                "That ended well; until the first one, since ingest started.",
                units.Seconds,
                f"time() - max(ecommerce_daily_run_timestamp_seconds{{{HERE}}})",
                {25 * 3600: "orange", 27 * 3600: "red"},
                width=4,
            ),
            figure(
                "Since the newest compaction",
                "That ended well; until the first one, since ingest started.",
                units.Seconds,
                f"time() - max(ecommerce_compaction_timestamp_seconds{{{HERE}}})",
                {2 * 3600: "orange", 6 * 3600: "red"},
                width=4,
            ),
            replace(DAYS_OPEN, width=4),
            figure(
                "Days that differ",
                "Open days whose newest reconciliation failed: batch and speed layer do not agree.",
                units.Short,
                f"sum(ecommerce_day_differs{{{HERE}}}) or vector(0)",
                {1: "red"},
                width=4,
            ),
            figure(
                "Files and folders more",
                "Of HDFS, than a day ago.",
                units.Short,
                f"max(delta(fs_namesystem_files_total{{{HERE}}}[1d]))",
                {10_000: "orange", 20_000: "red"},
                width=4,
                decimals=0,
            ),
            graph(
                SQL_IS_BEHIND.title,
                SQL_IS_BEHIND.description,
                SQL_IS_BEHIND.unit,
                {"SQL": SQL_IS_BEHIND.queries[""]},
                width=12,
            ),
            graph(
                "Open days",
                "How long each has been open, since it ended or was last closed; nothing here is good.",
                units.Seconds,
                {"{{day}}": f"time() - max by (day) (ecommerce_day_open_timestamp_seconds{{{HERE}}})"},
                width=12,
                quiet=True,
            ),
        ),
        "Spark's SQL server": (
            graph(
                "Jobs",
                "Of statements, that run now.",
                units.Short,
                {"{{pod}}": f"sum by (pod) ({SQL}_DAGScheduler_job_activeJobs_Value{{{HERE}}})"},
                width=6,
            ),
            graph(
                "Jobs ended",
                "In ten minutes. A failed one fails its statement, whose sender sees the reason.",
                units.Short,
                {
                    "{{pod}} well": grown(f"{SQL}_appStatus_jobs_succeededJobs_Count", "10m", "pod"),
                    "{{pod}} failed": grown(f"{SQL}_appStatus_jobs_failedJobs_Count", "10m", "pod"),
                },
                width=6,
            ),
            graph(
                "Processor",
                "Cores that its JVM uses.",
                units.Short,
                {"{{pod}}": f"{per_second(f'{SQL}_JVMCPU_jvmCpuTime_Value', 'pod')} / 1e9"},
                width=6,
            ),
            graph(
                "Heap",
                "Used by its JVM.",
                units.BytesIEC,
                {"{{pod}}": f"sum by (pod) ({SQL}_ExecutorMetrics_JVMHeapMemory_Value{{{HERE}}})"},
                width=6,
            ),
        ),
        "Airflow, where it pushes its metrics (airflow.metrics.otlpEndpoint)": (
            graph(
                "Scheduler's heartbeats",
                "A minute. None: no run begins.",
                units.Short,
                {"heartbeats": "60 * sum(rate(airflow_scheduler_heartbeat_total[$__rate_interval]))"},
                quiet=True,
            ),
            graph(
                "Runs and tasks",
                "Runs that are on their way; tasks that run, and that wait for a place.",
                units.Short,
                {
                    "runs": "max(airflow_scheduler_dagruns_running)",
                    "tasks run": "max(airflow_executor_running_tasks)",
                    "tasks wait": "max(airflow_executor_queued_tasks)",
                },
                quiet=True,
            ),
            graph(
                "Tasks ended",
                "In an hour, by DAG and how they ended.",
                units.Short,
                {"{{dag_id}} {{state}}": "sum by (dag_id, state) (increase(airflow_ti_finish_total[1h]))"},
                quiet=True,
            ),
            graph(
                "DAGs that cannot be read",
                "Files with an error: Airflow's page shows it.",
                units.Short,
                {"errors": "max(airflow_dag_processing_import_errors)"},
                width=12,
                quiet=True,
            ),
            graph(
                "A run takes",
                "On average, of those that ended well in the last day.",
                units.Milliseconds,
                {"{{dag_id}}": f"histogram_sum({RUN}) / histogram_count({RUN})"},
                width=12,
                quiet=True,
            ),
        ),
    },
)

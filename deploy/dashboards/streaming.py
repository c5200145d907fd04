"""The two streaming jobs: whether they keep up, what becomes of the records, and what Spark needs for it."""

from typing import Final

from grafana_foundation_sdk.models import units

from contracts.paths import INGEST, SPEED
from deploy.dashboards.parts import HERE, LAST_BATCH, RECORDS, Board, figure, graph, grown, per_second

JOBS: Final = (INGEST, SPEED)
SPARK: Final = "metrics_spark_driver_spark_streaming"
"""What Spark's own metrics of a query begin with; its name follows."""


def ingested(outcome: str) -> str:
    """Records of the last hour with this outcome at ingest."""
    return grown(RECORDS, "1h", where=f'query="{INGEST}",outcome="{outcome}"')


BOARD: Final = Board(
    "ecommerce-streaming",
    "E-commerce · Streaming jobs",
    "Ingest lands what Kafka takes on HDFS; speed keeps HBase current.",
    {
        "Keeping up": (
            graph(
                "Records behind",
                "Records in the topics that no finished batch has handled: fewer whenever a batch ends.",
                units.Short,
                {"{{query}}": f"sum by (query) (ecommerce_stream_lag_records{{{HERE}}})"},
            ),
            graph(
                "Since the newest batch",
                "How long ago it ended; until the first one, when the job started.",
                units.Seconds,
                {"{{query}}": f"time() - max by (query) ({LAST_BATCH}{{{HERE}}})"},
            ),
            graph(
                "What a batch takes",
                "On average. Longer than the trigger, and batches follow each other without a pause.",
                units.Seconds,
                {
                    "{{query}}": f"{per_second('ecommerce_stream_batch_seconds_sum', 'query')}"
                    f" / {per_second('ecommerce_stream_batch_seconds_count', 'query')}"
                },
            ),
        ),
        "What becomes of the records": (
            graph(
                "Ingest",
                "Records a second by outcome. A late one counts as landed as well.",
                units.RecordsPerSecond,
                {"{{outcome}}": per_second(RECORDS, "outcome", f'query="{INGEST}"')},
            ),
            graph(
                "Speed",
                "Records a second by outcome. Late: past the watermark, in revenue_late instead of the minute.",
                units.RecordsPerSecond,
                {"{{outcome}}": per_second(RECORDS, "outcome", f'query="{SPEED}"')},
            ),
            graph(
                "Dead letters",
                "Records in ten minutes that were no events; each has its reason as a header of its letter.",
                units.Short,
                {"{{query}}": grown(RECORDS, "10m", "query", 'outcome="dead_letters"')},
            ),
            figure(
                "Gone unread",
                "Records that retention took before a job read them, since it started; `jobs.audit` lists them.",
                units.Short,
                f'sum({RECORDS}{{{HERE},outcome="missed"}})',
                {1: "red"},
                width=6,
            ),
            figure(
                "Late",
                "Share of ingest's records that came later than the watermark, of the last hour.",
                units.PercentUnit,
                f"{ingested('late')} / {ingested('landed')}",
                width=6,
            ),
            figure(
                "Duplicates",
                "Share of ingest's records that a producer sent again, of the last hour: they land once.",
                units.PercentUnit,
                f"{ingested('duplicates')} / {ingested('landed')}",
                width=6,
            ),
            figure(
                "Ahead of the jobs",
                "Landed records in the last hour with fields or products that the jobs do not know.",
                units.Short,
                grown(RECORDS, "1h", where='outcome=~"unknown_fields|unknown_products"'),
                width=6,
                decimals=0,
            ),
        ),
        "Spark": (
            graph(
                "Rows a second",
                "Of the newest batch, as Spark counts: what came, and what it could handle. They meet when it is busy.",
                units.RowsPerSecond,
                {
                    **{f"{job} came": f"{SPARK}_{job}_inputRate_total_Value{{{HERE}}}" for job in JOBS},
                    **{f"{job} could": f"{SPARK}_{job}_processingRate_total_Value{{{HERE}}}" for job in JOBS},
                },
            ),
            graph(
                "Tasks",
                "That run now, and slots that the executors have for them.",
                units.Short,
                {
                    "{{application_name}} run": f"sum by (application_name) (metrics_executor_activeTasks{{{HERE}}})",
                    "{{application_name}} slots": f"sum by (application_name) (metrics_executor_maxTasks{{{HERE}}})",
                },
            ),
            graph(
                "Failed tasks and jobs",
                "In ten minutes. A failed task is tried again; a failed job ends the driver, which starts anew.",
                units.Short,
                {
                    "{{application_name}} tasks": grown(
                        "metrics_executor_failedTasks_total", "10m", "application_name"
                    ),
                    "{{pod}} jobs": grown("metrics_spark_driver_appStatus_jobs_failedJobs_Count", "10m", "pod"),
                },
            ),
            graph(
                "Heap",
                "Used by drivers and executors; Python's memory beside it is not in here.",
                units.BytesIEC,
                {
                    "{{application_name}} {{executor_id}}": "sum by (application_name, executor_id)"
                    f" (metrics_executor_JVMHeapMemory_bytes{{{HERE}}})"
                },
            ),
            graph(
                "Collecting garbage",
                "Share of the time. Above a tenth, more memory helps.",
                units.PercentUnit,
                {
                    "{{application_name}} {{executor_id}}": per_second(
                        "metrics_executor_totalGCTime_seconds_total", "application_name, executor_id"
                    )
                },
            ),
            graph(
                "Executors",
                "That each job has, its driver not counted.",
                units.Short,
                {
                    "{{application_name}}": "count by (application_name)"
                    f' (metrics_executor_maxTasks{{{HERE},executor_id!="driver"}})'
                },
            ),
        ),
    },
)

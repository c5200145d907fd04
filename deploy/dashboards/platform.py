"""The platform at a glance: what somebody looks at first, and sees in ten seconds whether all is well."""

from typing import Final

from grafana_foundation_sdk.models import units

from contracts.paths import INGEST, SPEED
from deploy.dashboards.batch import DAYS_OPEN, SQL_IS_BEHIND
from deploy.dashboards.parts import HERE, LAST_BATCH, RECORDS, TAKEN, TOPICS, Board, figure, graph, per_second

BOARD: Final = Board(
    "ecommerce-platform",
    "E-commerce · Platform at a glance",
    "Whether all is well: from the shop's records to SQL's answers.",
    {
        "Now": (
            figure(
                "Alerts",
                "Alerts that fire. Below, their names; each has a page in docs/runbooks.",
                units.Short,
                f'count(ALERTS{{{HERE},alertstate="firing"}}) or vector(0)',
                {1: "red"},
            ),
            figure(
                "Servers that cannot be scraped",
                "Of all pages of metrics that the PodMonitors name.",
                units.Short,
                f"sum(up{{{HERE}}} == bool 0)",
                {1: "red"},
            ),
            figure(
                "Records a second",
                "That Kafka took of the shop: clicks, purchases and stock changes.",
                units.RecordsPerSecond,
                per_second(TAKEN, where=f'topic=~"{TOPICS}"'),
                decimals=0,
            ),
            figure(
                "Records behind",
                "That no finished batch of the slower streaming job has handled.",
                units.Short,
                f"max(ecommerce_stream_lag_records{{{HERE}}})",
                {50_000: "orange", 100_000: "red"},
            ),
            SQL_IS_BEHIND,
            figure(
                "Speed layer's newest batch",
                "How long ago it ended: HBase knows all that came before.",
                units.Seconds,
                f'time() - max({LAST_BATCH}{{{HERE},query="{SPEED}"}})',
                {30: "orange", 300: "red"},
                decimals=0,
            ),
            figure(
                "HDFS free",
                "Of all DataNodes' disks.",
                units.PercentUnit,
                f"min(fs_namesystem_capacity_remaining{{{HERE}}} / fs_namesystem_capacity_total{{{HERE}}})",
                {0: "red", 0.1: "orange", 0.2: "green"},
            ),
            DAYS_OPEN,
        ),
        "The way of the data": (
            graph(
                "Kafka takes",
                "Records a second by topic.",
                units.RecordsPerSecond,
                {"{{topic}}": per_second(TAKEN, "topic", f'topic=~"{TOPICS}"')},
            ),
            graph(
                "The jobs handle",
                "Records a second that landed on HDFS, and events that the speed layer took into HBase.",
                units.RecordsPerSecond,
                {
                    "landed": per_second(RECORDS, where=f'query="{INGEST}",outcome="landed"'),
                    "speed": per_second(RECORDS, where=f'query="{SPEED}",outcome="events"'),
                },
            ),
            graph(
                "Records behind",
                "Records in the topics that no finished batch has handled.",
                units.Short,
                {"{{query}}": f"sum by (query) (ecommerce_stream_lag_records{{{HERE}}})"},
            ),
        ),
        "Servers": (
            graph(
                "Answers Prometheus",
                "1 while all pages of metrics of a pod can be scraped, 0 while one cannot.",
                units.Short,
                {"{{pod}}": f"min by (pod) (up{{{HERE}}})"},
                width=6,
            ),
            graph(
                "Heap of the JVMs",
                "Used, of what each may use. A saw is good health, a line at the top is not.",
                units.PercentUnit,
                {
                    "{{pod}}": f"sum by (pod) (jvm_metrics_mem_heap_used_m{{{HERE}}})"
                    f" / sum by (pod) (jvm_metrics_mem_heap_max_m{{{HERE}}})"
                    f' or sum by (pod) (jvm_memory_used_bytes{{{HERE},area="heap"}})'
                    f' / sum by (pod) (jvm_memory_max_bytes{{{HERE},area="heap"}})'
                },
                width=6,
            ),
            graph(
                "Alerts that fire",
                "By name; nothing here is good.",
                units.Short,
                {"{{alertname}}": f'count by (alertname) (ALERTS{{{HERE},alertstate="firing"}})'},
                width=6,
                quiet=True,
            ),
            graph(
                "Volumes free",
                "Of each, as the kubelet tells: nothing here where Prometheus does not scrape it, or it cannot tell.",
                units.PercentUnit,
                {
                    "{{persistentvolumeclaim}}": "min by (persistentvolumeclaim)"
                    f" (kubelet_volume_stats_available_bytes{{{HERE}}} / kubelet_volume_stats_capacity_bytes{{{HERE}}})"
                },
                width=6,
                quiet=True,
            ),
        ),
    },
)

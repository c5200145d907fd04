"""Kafka: whether every partition is safe, what goes through it, and what the brokers need for it."""

from typing import Final

from grafana_foundation_sdk.models import units

from deploy.dashboards.parts import HERE, TAKEN, Board, figure, graph, per_second

REPLICAS: Final = "kafka_server_replicamanager"
CONTROLLER: Final = "kafka_controller_kafkacontroller"
TRAFFIC: Final = "kafka_server_brokertopicmetrics"

BOARD: Final = Board(
    "ecommerce-kafka",
    "E-commerce · Kafka",
    "Brokers, partitions and topics.",
    {
        "Safe": (
            figure(
                "Brokers", "That the controller counts.", units.Short, f"max({CONTROLLER}_activebrokercount{{{HERE}}})"
            ),
            figure(
                "Active controllers",
                "One, and no other number.",
                units.Short,
                f"sum({CONTROLLER}_activecontrollercount{{{HERE}}})",
                {0: "red", 1: "green", 2: "red"},
            ),
            figure(
                "Offline partitions",
                "Without a leader: nobody can read or write them.",
                units.Short,
                f"max({CONTROLLER}_offlinepartitionscount{{{HERE}}})",
                {1: "red"},
            ),
            figure(
                "Too few copies",
                "Partitions of which a replica is not in step.",
                units.Short,
                f"sum({REPLICAS}_underreplicatedpartitions{{{HERE}}})",
                {1: "orange"},
            ),
            figure(
                "Refuse records",
                "Partitions with fewer copies in step than a record needs (min.insync.replicas).",
                units.Short,
                f"sum({REPLICAS}_underminisrpartitioncount{{{HERE}}})",
                {1: "red"},
            ),
            figure(
                "Offline copies",
                "Replicas on a disk that failed.",
                units.Short,
                f"sum({REPLICAS}_offlinereplicacount{{{HERE}}})",
                {1: "red"},
            ),
            figure(
                "Fenced brokers",
                "That the controller knows and does not hear.",
                units.Short,
                f"max({CONTROLLER}_fencedbrokercount{{{HERE}}})",
                {1: "orange"},
            ),
            figure(
                "Partitions",
                "Of all topics, each counted once.",
                units.Short,
                f"max({CONTROLLER}_globalpartitioncount{{{HERE}}})",
            ),
        ),
        "Topics": (
            graph(
                "Records",
                "That producers sent a second, by topic.",
                units.RecordsPerSecond,
                {"{{topic}}": per_second(TAKEN, "topic")},
            ),
            graph(
                "Bytes in",
                "That producers sent a second, by topic, compressed as they came.",
                units.BytesPerSecondIEC,
                {"{{topic}}": per_second(f"{TRAFFIC}_bytesin_total", "topic")},
            ),
            graph(
                "Bytes out",
                "That consumers read a second, by topic.",
                units.BytesPerSecondIEC,
                {"{{topic}}": per_second(f"{TRAFFIC}_bytesout_total", "topic")},
            ),
            graph(
                "Requests to write",
                "A second, by topic. Many with few records each: producers that do not batch.",
                units.RequestsPerSecond,
                {"{{topic}}": per_second(f"{TRAFFIC}_totalproducerequests_total", "topic")},
                width=12,
            ),
            graph(
                "Requests to read",
                "A second, by topic.",
                units.RequestsPerSecond,
                {"{{topic}}": per_second(f"{TRAFFIC}_totalfetchrequests_total", "topic")},
                width=12,
            ),
            graph(
                "On disk",
                "What a topic takes, all copies of its partitions together.",
                units.BytesIEC,
                {"{{topic}}": f"sum by (topic) (kafka_log_size_bytes{{{HERE}}})"},
                width=12,
            ),
            graph(
                "Leaders",
                "Partitions that a broker leads. Far apart after a restart, until Kafka moves them back.",
                units.Short,
                {"{{pod}}": f"sum by (pod) ({REPLICAS}_leadercount{{{HERE}}})"},
                width=12,
            ),
        ),
        "Brokers": (
            graph(
                "Heap",
                "Used, of what the JVM may use.",
                units.PercentUnit,
                {
                    "{{pod}}": f'sum by (pod) (jvm_memory_used_bytes{{{HERE},area="heap"}})'
                    f' / sum by (pod) (jvm_memory_max_bytes{{{HERE},area="heap"}})'
                },
            ),
            graph(
                "Processor",
                "Cores that a broker uses.",
                units.Short,
                {"{{pod}}": per_second("process_cpu_seconds_total", "pod", 'pod=~".*-kafka-.*"')},
            ),
            graph(
                "Collecting garbage",
                "Share of the time.",
                units.PercentUnit,
                {"{{pod}}": per_second("jvm_gc_collection_seconds_sum", "pod")},
            ),
        ),
    },
)

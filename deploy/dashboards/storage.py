"""HDFS and HBase: room, safety of the blocks, and whether requests are answered quickly."""

from typing import Final

from grafana_foundation_sdk.models import units

from deploy.dashboards.parts import HERE, Board, figure, graph, per_second

ACTIVE: Final = f'{HERE},hastate="active"'
"""The NameNode that answers: a standby counts the same, and some of it late."""
REGIONSERVERS: Final = f'{HERE},pod=~".*-regionserver-.*"'
"""The master has a log of its own."""

BOARD: Final = Board(
    "ecommerce-storage",
    "E-commerce · HDFS and HBase",
    "The batch layer's files and the speed layer's tables.",
    {
        "HDFS": (
            figure(
                "DataNodes",
                "That the NameNode hears.",
                units.Short,
                f"max(fs_namesystem_num_live_data_nodes{{{ACTIVE}}})",
            ),
            figure(
                "Dead DataNodes",
                "That it has not heard for ten minutes.",
                units.Short,
                f"max(fs_namesystem_num_dead_data_nodes{{{ACTIVE}}})",
                {1: "red"},
            ),
            figure(
                "Missing blocks",
                "Without a copy left.",
                units.Short,
                f"max(fs_namesystem_missing_blocks{{{ACTIVE}}})",
                {1: "red"},
            ),
            figure(
                "Too few copies",
                "Blocks that the NameNode has copied anew.",
                units.Short,
                f"max(fs_namesystem_under_replicated_blocks{{{ACTIVE}}})",
                {1: "orange"},
            ),
            figure(
                "Free",
                "Of all DataNodes' disks.",
                units.PercentUnit,
                f"min(fs_namesystem_capacity_remaining{{{ACTIVE}}} / fs_namesystem_capacity_total{{{ACTIVE}}})",
                {0: "red", 0.1: "orange", 0.2: "green"},
            ),
            figure(
                "Used", "By files and their copies.", units.BytesIEC, f"max(fs_namesystem_capacity_used{{{ACTIVE}}})"
            ),
            figure(
                "Files and folders",
                "Each takes memory of the NameNode; compaction keeps them few.",
                units.Short,
                f"max(fs_namesystem_files_total{{{ACTIVE}}})",
            ),
            figure(
                "Failed disks",
                "Of all DataNodes.",
                units.Short,
                f"max(fs_namesystem_volume_failures_total{{{ACTIVE}}})",
                {1: "red"},
            ),
            graph(
                "Files and folders",
                "Saw teeth: ingest writes small files, compaction makes few of them.",
                units.Short,
                {"files and folders": f"max(fs_namesystem_files_total{{{ACTIVE}}})"},
                width=6,
            ),
            graph(
                "NameNode's operations",
                "On files and folders, a second.",
                units.RequestsPerSecond,
                {"{{pod}}": per_second("namenode_total_file_ops", "pod")},
                width=6,
            ),
            graph(
                "NameNode's clients wait",
                "For a call to be begun, and for it to be done, on average.",
                units.Milliseconds,
                {
                    "{{pod}} waits": f'max by (pod) (rpc_rpc_queue_time_avg_time{{{HERE},port="8020"}})',
                    "{{pod}} works": f'max by (pod) (rpc_rpc_processing_time_avg_time{{{HERE},port="8020"}})',
                },
                width=6,
            ),
            graph(
                "DataNodes' traffic",
                "Bytes a second, copies between DataNodes among them.",
                units.BytesPerSecondIEC,
                {
                    "{{pod}} written": per_second("datanode_bytes_written", "pod"),
                    "{{pod}} read": per_second("datanode_bytes_read", "pod"),
                },
                width=6,
            ),
        ),
        "HBase": (
            figure(
                "Region servers", "That the master knows.", units.Short, f"max(server_num_region_servers{{{HERE}}})"
            ),
            figure(
                "Dead region servers",
                "Since the master started; their regions are served by others.",
                units.Short,
                f"max(server_num_dead_region_servers{{{HERE}}})",
                {1: "orange"},
            ),
            figure("Regions", "That are served.", units.Short, f"sum(server_region_count{{{HERE}}})"),
            figure(
                "Regions on their way",
                "Being opened, closed or moved: for seconds, not for minutes.",
                units.Short,
                f"max(assignment_manager_rit_count{{{HERE}}})",
                {1: "orange"},
            ),
            figure(
                "Stuck regions",
                "On their way for longer than a minute: their rows are not served.",
                units.Short,
                f"max(assignment_manager_rit_count_over_threshold{{{HERE}}})",
                {1: "red"},
            ),
            figure(
                "Stored",
                "In files of HBase, one copy of each.",
                units.BytesIEC,
                f"sum(server_store_file_size{{{HERE}}})",
            ),
            figure(
                "Cache hits",
                "Reads that needed no file. It means little until there are files.",
                units.Percent,
                f"min(server_block_cache_count_hit_percent{{{HERE}}})",
            ),
            figure(
                "Waiting compactions",
                "Above ten for long, region servers cannot keep up with what is written.",
                units.Short,
                f"sum(server_compaction_queue_length{{{HERE}}})",
                {10: "orange"},
            ),
            graph(
                "Requests",
                "Rows read and written, a second.",
                units.RequestsPerSecond,
                {
                    "read": per_second("server_read_request_count"),
                    "written": per_second("server_write_request_count"),
                },
                width=6,
            ),
            graph(
                "Slowest of a hundred",
                "99th percentile of a batch of puts, of a get, and of a call until it is answered.",
                units.Milliseconds,
                {
                    "{{pod}} puts": f"max by (pod) (server_put_batch_99th_percentile{{{HERE}}})",
                    "{{pod}} get": f"max by (pod) (server_get_99th_percentile{{{HERE}}})",
                    "{{pod}} call": f"max by (pod) (region_server_total_call_time_99th_percentile{{{HERE}}})",
                },
                width=6,
            ),
            graph(
                "Log",
                "Syncs to HDFS, which every write waits for: 99th percentile and mean.",
                units.Milliseconds,
                {
                    "{{pod}} 99th": f"max by (pod) (wal_sync_time_99th_percentile{{{REGIONSERVERS}}})",
                    "{{pod}} mean": f"max by (pod) (wal_sync_time_mean{{{REGIONSERVERS}}})",
                },
                width=6,
            ),
            graph(
                "Rows in memory",
                "Not yet flushed to a file, of each region server.",
                units.BytesIEC,
                {"{{pod}}": f"sum by (pod) (server_mem_store_size{{{HERE}}})"},
                width=6,
            ),
        ),
        "Heap of both": (
            graph(
                "Heap",
                "Used, of what each JVM may use.",
                units.PercentUnit,
                {
                    "{{pod}}": f"sum by (pod) (jvm_metrics_mem_heap_used_m{{{HERE}}})"
                    f" / sum by (pod) (jvm_metrics_mem_heap_max_m{{{HERE}}})"
                },
                width=12,
            ),
            graph(
                "Collecting garbage",
                "Milliseconds of each second.",
                units.Milliseconds,
                {"{{pod}}": per_second("jvm_metrics_gc_time_millis", "pod")},
                width=12,
            ),
        ),
    },
)

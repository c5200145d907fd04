"""The alert rules, judged by Prometheus' own promtool: they load, and each fires when it must and only then."""

from pathlib import Path

import pytest
import yaml

from contracts.errors import PlatformError
from contracts.paths import INGEST, SPEED
from deploy.dashboards.boards import BOARDS
from deploy.helm import UMBRELLA, Helm, arguments
from local.site import ROOT
from support.prometheus import evaluates, promtool
from support.rendering import OPERATORS, SIZES, STANDALONE, of, render_monitored

HERE = 'namespace="shop"'
NOTHING: dict[str, str] = {
    f'ecommerce_stream_lag_records{{{HERE},query="{INGEST}"}}': "0x60",
    f'ecommerce_stream_lag_records{{{HERE},query="{SPEED}"}}': "0x60",
    f"kafka_server_replicamanager_underreplicatedpartitions{{{HERE}}}": "0x60",
    f"fs_namesystem_blocks_total{{{HERE}}}": "9x60",
}
"""Series of an hour, a value each minute, in which no alert fires."""
LAST_BATCH = "ecommerce_stream_last_batch_timestamp_seconds"
CASES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "StreamLag": (
        {f'ecommerce_stream_lag_records{{{HERE},query="ingest"}}': "100001x60"},
        {f'ecommerce_stream_lag_records{{{HERE},query="ingest"}}': "100001x5 0x54"},
    ),
    "StreamNoProgress": (
        {
            f'{LAST_BATCH}{{{HERE},query="ingest"}}': "0x60",
            f'ecommerce_stream_lag_records{{{HERE},query="ingest"}}': "5x60",
        },
        {f'{LAST_BATCH}{{{HERE},query="ingest"}}': "0x60"},
    ),
    "DataGap": (
        {f'ecommerce_stream_records_total{{{HERE},query="ingest",outcome="missed"}}': "5x60"},
        {f'ecommerce_stream_records_total{{{HERE},query="ingest",outcome="missed"}}': "0x60"},
    ),
    "StreamAbsent": ({f'ecommerce_stream_lag_records{{{HERE},query="speed"}}': "0x20 _x40"}, {}),
    "KafkaAbsent": ({f"kafka_server_replicamanager_underreplicatedpartitions{{{HERE}}}": "0x20 _x40"}, {}),
    "HDFSAbsent": ({f"fs_namesystem_blocks_total{{{HERE}}}": "9x20 _x40"}, {}),
    "HDFSNearlyFull": (
        {
            f"fs_namesystem_capacity_remaining{{{HERE}}}": "9x60",
            f"fs_namesystem_capacity_total{{{HERE}}}": "100x60",
        },
        {
            f"fs_namesystem_capacity_remaining{{{HERE}}}": "11x60",
            f"fs_namesystem_capacity_total{{{HERE}}}": "100x60",
        },
    ),
    "VolumeNearlyFull": (
        {
            f'kubelet_volume_stats_available_bytes{{{HERE},persistentvolumeclaim="data-lambda-kafka-0"}}': "9x60",
            f'kubelet_volume_stats_capacity_bytes{{{HERE},persistentvolumeclaim="data-lambda-kafka-0"}}': "100x60",
        },
        {
            f'kubelet_volume_stats_available_bytes{{{HERE},persistentvolumeclaim="data-lambda-kafka-0"}}': "11x60",
            f'kubelet_volume_stats_capacity_bytes{{{HERE},persistentvolumeclaim="data-lambda-kafka-0"}}': "100x60",
        },
    ),
    "LateEvents": (
        {f'ecommerce_stream_records_total{{{HERE},query="ingest",outcome="late"}}': "0+200x60"},
        {f'ecommerce_stream_records_total{{{HERE},query="ingest",outcome="late"}}': "0+50x60"},
    ),
    "DeadLetters": (
        {f'ecommerce_stream_records_total{{{HERE},outcome="dead_letters"}}': "0+20x60"},
        {f'ecommerce_stream_records_total{{{HERE},outcome="dead_letters"}}': "0+5x60"},
    ),
    "CriticalStock": (
        {f'ecommerce_stream_records_total{{{HERE},outcome="alerts"}}': "0+1x60"},
        {f'ecommerce_stream_records_total{{{HERE},outcome="alerts"}}': "7x60"},
    ),
    "UnderReplicatedBlocks": (
        {f"fs_namesystem_under_replicated_blocks{{{HERE}}}": "2x60"},
        {f"fs_namesystem_under_replicated_blocks{{{HERE}}}": "2x5 0x54"},
    ),
    "MissingBlocks": (
        {f"fs_namesystem_missing_blocks{{{HERE}}}": "1x60"},
        {'fs_namesystem_missing_blocks{namespace="other"}': "1x60"},
    ),
    "SqlStale": (
        {f"ecommerce_sql_fresh_until_timestamp_seconds{{{HERE}}}": "60x60"},
        {f"ecommerce_sql_fresh_until_timestamp_seconds{{{HERE}}}": "0+60x60"},
    ),
    "DailyRunMissing": (
        {f"ecommerce_daily_run_timestamp_seconds{{{HERE}}}": f"{40 * 60 - 27 * 3600 - 1}x60"},
        {f"ecommerce_daily_run_timestamp_seconds{{{HERE}}}": f"{40 * 60 - 26 * 3600}x60"},
    ),
    "ReconciliationFailed": (
        {f'ecommerce_day_differs{{{HERE},day="2026-11-23"}}': "1x60"},
        {f'ecommerce_day_differs{{{HERE},day="2026-11-23"}}': "0x60"},
    ),
    "DayOpen": (
        {f'ecommerce_day_open_timestamp_seconds{{{HERE},day="2026-11-23"}}': f"{40 * 60 - 30 * 3600 - 1}x60"},
        {f'ecommerce_day_open_timestamp_seconds{{{HERE},day="2026-11-23"}}': f"{40 * 60 - 29 * 3600}x60"},
    ),
    "CompactionBehind": (
        {f"ecommerce_compaction_timestamp_seconds{{{HERE}}}": f"{40 * 60 - 6 * 3600 - 1}x60"},
        {f"ecommerce_compaction_timestamp_seconds{{{HERE}}}": f"{40 * 60 - 5 * 3600}x60"},
    ),
    "HDFSObjectsGrowing": (
        {f"fs_namesystem_files_total{{{HERE}}}": "0+1000x60"},
        {f"fs_namesystem_files_total{{{HERE}}}": "0+5x60"},
    ),
    "UnderReplicatedPartitions": (
        {f"kafka_server_replicamanager_underreplicatedpartitions{{{HERE}}}": "1x60"},
        {f"kafka_server_replicamanager_underreplicatedpartitions{{{HERE}}}": "0x60"},
    ),
}
"""For each alert, series with which it fires after 40 minutes, and series with which none does."""


RUNBOOKS = ROOT / "docs/runbooks"


def rules(files: tuple[Path, ...], target: Path) -> Path:
    """The rules as Prometheus reads them, written to a file in ``target``."""
    (rule,) = of(render_monitored(files), "PrometheusRule").values()
    file = target / "rules.yaml"
    file.write_text(yaml.safe_dump(rule["spec"]))
    return file


@pytest.mark.parametrize("size", SIZES)
def test_prometheus_accepts_the_rules(charts: Path, tmp_path: Path, size: str) -> None:
    done = promtool("check", "rules", "--lint-fatal", str(rules(SIZES[size], tmp_path)))
    assert done.returncode == 0, done.stderr
    assert f"SUCCESS: {len(CASES) + 1} rules found" in done.stdout  # StreamAbsent is there for each job


def test_every_alert_has_a_case(charts: Path, tmp_path: Path) -> None:
    groups = yaml.safe_load(rules((STANDALONE,), tmp_path).read_text())["groups"]
    assert {rule["alert"] for group in groups for rule in group["rules"]} == set(CASES)


def test_every_alert_names_its_page_and_its_board(charts: Path, tmp_path: Path) -> None:
    groups = yaml.safe_load(rules((STANDALONE,), tmp_path).read_text())["groups"]
    named = {rule["alert"]: rule["annotations"] for group in groups for rule in group["rules"]}
    assert {alert: found["runbook_url"] for alert, found in named.items()} == {
        file.stem: f"{file.relative_to(ROOT)}" for file in RUNBOOKS.iterdir()
    }
    boards = {f"/d/{board.uid}?var-namespace=shop" for board in BOARDS}
    assert {found["dashboard"] for found in named.values()} == boards


def test_pages_and_boards_are_where_the_values_say(charts: Path) -> None:
    told = {
        "global.monitoring.runbooks": "https://docs.example.com/%s.html",
        "global.monitoring.grafana": "https://grafana.example.com/",
    }
    (rule,) = of(render_monitored((STANDALONE,), "shop", **told), "PrometheusRule").values()
    annotations = rule["spec"]["groups"][0]["rules"][0]["annotations"]
    assert annotations["runbook_url"] == "https://docs.example.com/StreamLag.html"
    assert annotations["dashboard"] == "https://grafana.example.com/d/ecommerce-streaming?var-namespace=shop"


@pytest.mark.parametrize("fires", [True, False], ids=["fires", "is silent"])
@pytest.mark.parametrize("alert", CASES)
def test_an_alert_fires_when_it_must_and_only_then(charts: Path, tmp_path: Path, alert: str, fires: bool) -> None:
    rules((STANDALONE,), tmp_path)
    series = NOTHING | CASES[alert][0 if fires else 1]
    counted = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)'
    evaluates(tmp_path, series, counted, int(fires), "rules.yaml")


def test_without_the_operators_kinds_the_install_stops_and_names_both_ways_out(charts: Path) -> None:
    with pytest.raises(PlatformError, match=r"Prometheus operator first .* global\.monitoring\.enabled=false"):
        Helm().call(
            "template", "lambda", str(UMBRELLA), *OPERATORS, *arguments((), {"global.monitoring.enabled": True})
        )


@pytest.mark.parametrize("size", ["standalone", "kind"])
def test_every_pod_monitor_finds_a_workload_and_its_ports(charts: Path, size: str) -> None:
    manifests = render_monitored(SIZES[size])
    templates = [item["spec"]["template"] for item in of(manifests, "Deployment", "StatefulSet").values()]
    monitors = of(manifests, "PodMonitor")
    assert {name.removeprefix("lambda-") for name in monitors} == {
        *("kafka", "hdfs-namenode", "hdfs-datanode", "hbase-master", "hbase-regionserver"),
        *("sql", "spark-ingest", "spark-speed", "serving", "generator"),
    }
    for monitor in monitors.values():
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        (found,) = [item["spec"] for item in templates if wanted <= item["metadata"]["labels"].items()]
        ports = {port["name"] for container in found["containers"] for port in container.get("ports", [])}
        assert {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]} <= ports


@pytest.mark.parametrize("chart", ["hdfs", "hbase", "spark"])
def test_pages_without_a_login_are_on_the_ingress_only_when_asked_for(charts: Path, chart: str) -> None:
    def hosts(**values: object) -> set[str]:
        found = of(render_monitored((STANDALONE,), "shop", **values), "Ingress")
        return {item["spec"]["rules"][0]["host"] for item in found.values()}

    with_a_login = {"airflow.localhost", "shop.localhost"}
    assert hosts() == with_a_login
    pages = {"spark-ingest.localhost", "spark-speed.localhost"} if chart == "spark" else {f"{chart}.localhost"}
    guarded = {"loginInFront": True, "enabled": True}
    values = {f"{chart}.ingress.{name}": value for name, value in guarded.items()}
    assert (
        hosts(**values, **{"global.networkPolicies.ingressController": [{"podSelector": {}}]}) == with_a_login | pages
    )

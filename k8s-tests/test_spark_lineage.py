"""Spark, with what the charts tell it, pushes what a statement reads and writes. No cluster is asked."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local.site import ROOT
from support.rendering import SIZES, of, render
from tests.support.collector import receiver

STATEMENTS = """
import sys
from pyspark.sql import SparkSession
builder = SparkSession.builder.master("local[1]").appName("sql-endpoint").config("spark.ui.enabled", "false")
for setting in sys.argv[1:]:
    builder = builder.config(*setting.split("=", 1))
spark = builder.getOrCreate()
spark.sql("CREATE TABLE clicks USING parquet AS SELECT 1 AS id")
spark.sql("CREATE TABLE funnel (id INT) USING parquet")
spark.sql("INSERT OVERWRITE funnel SELECT id FROM clicks")
spark.stop()
"""


def told(address: str) -> dict[str, str]:
    """Settings of Spark that an address adds to those of the SQL endpoint; the same ones as to those of the jobs."""

    def settings(address: str) -> tuple[dict[str, str], dict[str, str]]:
        values = dict.fromkeys((f"{part}.lineage.openlineageUrl" for part in ("sql", "spark")), address)
        manifests = render(SIZES["kind"], **values, **{"global.networkPolicies.egress.restricted": False})
        lines = of(manifests, "ConfigMap")["lambda-sql"]["data"]["spark-defaults.conf"].splitlines()
        spec = of(manifests, "StatefulSet")["lambda-spark-ingest"]["spec"]["template"]["spec"]
        flags = [flag.removeprefix("--conf=") for flag in spec["containers"][0]["args"] if flag.startswith("--conf=")]
        return (
            dict(line.split(maxsplit=1) for line in lines if not line.startswith("#")),
            dict(flag.split("=", 1) for flag in flags),
        )

    sql, job = (
        {name: value for name, value in after.items() if name not in before}
        for before, after in zip(settings(""), settings(address), strict=True)
    )
    assert sql == job
    return sql


@pytest.fixture(scope="module")
def jar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the image has of it."""
    folder = tmp_path_factory.mktemp("lineage")
    pom = ROOT / "local" / "servers" / "spark-lineage" / "pom.xml"
    subprocess.run(["mvn", "-B", "-q", "-f", pom, "generate-resources", f"-Doutput={folder}"], check=True)
    (found,) = folder.iterdir()
    return found


def test_a_statement_says_what_it_reads_and_writes(charts: Path, tmp_path: Path, jar: Path) -> None:
    events: list[dict[str, Any]] = []

    def take(path: str, body: bytes) -> None:
        assert path == "/api/v1/lineage"
        events.append(json.loads(body))

    with receiver(take) as address:
        settings = told(address)
        assert settings["spark.jars"] == f"local:///opt/spark-lineage/{jar.name}"
        given = [f"{name}={value}" for name, value in {**settings, "spark.jars": str(jar)}.items()]
        subprocess.run([sys.executable, "-c", STATEMENTS, *given], cwd=tmp_path, check=True, timeout=300)
    assert {event["job"]["namespace"] for event in events} == {"shop/lambda"}
    ended = [event for event in events if event["eventType"] == "COMPLETE"]
    pairs = {(read["name"], one["name"]) for event in ended for read in event["inputs"] for one in event["outputs"]}
    assert (f"{tmp_path}/spark-warehouse/clicks", f"{tmp_path}/spark-warehouse/funnel") in pairs

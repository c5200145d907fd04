"""The classes that Spark's JVM loads, archived once: a job of a minute then starts in half the time.

Class data sharing of the JDK (JEP 350). The archive is written as a JVM ends that did some of all that the jobs do; one
that it does not fit (another Java, other jars) ignores it and starts as it would without.
"""

import hashlib
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from contracts.command import run
from local.ports import HOST
from local.programs import call
from local.site import ROOT

GARBAGE = "-XX:+UseSerialGC"
SHORT = "-XX:TieredStopAtLevel=1"
"""Of a JVM that runs a minute: to compile what is hot a second time, better, costs it more than it brings."""
JAVA_OPTIONS = "spark.driver.extraJavaOptions"
LOOPBACK = {"SPARK_LOCAL_IP": HOST}
SILENT = "-Xlog:disable -Xlog:all=error:stderr"
"""Of thousands of classes it would say why they are not shared."""


def archive(folder: Path, spark_home: Path, java: str) -> Path:
    """Where the archive of this Spark and this Java stands in a folder, or will."""
    digest = hashlib.sha256(f"{spark_home} {Path(java).resolve()}".encode()).hexdigest()
    return folder / f"spark-classes-{digest[:12]}.jsa"


def flags(found: Path, long_running: bool) -> str:
    """The flags of a JVM for Spark, with the archive where there is one. ``long_running``: for hours."""
    sharing = f"-XX:SharedArchiveFile={found} {SILENT}" if found.exists() else ""
    return f"{GARBAGE} {'' if long_running else SHORT} {sharing}"


def write(target: Path) -> None:
    """Runs this module as a job and archives what its JVM loaded. Raises :class:`Failed` where that fails."""
    part = target.with_suffix(".part")
    part.unlink(missing_ok=True)
    options = f"{GARBAGE} {SHORT} -XX:ArchiveClassesAtExit={part} {SILENT}"
    submit = f"--master local[2] --conf spark.ui.enabled=false --conf {shlex.quote(f'{JAVA_OPTIONS}={options}')}"
    variables = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_SUBMIT_ARGS": f"{submit} pyspark-shell", **LOOPBACK}
    call([sys.executable, "-m", __name__], "archiving Spark's classes", cwd=ROOT, env={**os.environ, **variables})
    part.rename(target)


def _same(batches: Iterator[Any]) -> Iterator[Any]:
    yield from batches


@click.command()
def main() -> None:
    """Run some of all that Spark jobs do: `local install` archives the classes that it takes."""
    from pyspark.sql import DataFrame, SparkSession

    def through_python(batch: DataFrame, _: int) -> None:
        batch.mapInArrow(_same, batch.schema).collect()

    with TemporaryDirectory() as folder:
        spark = SparkSession.builder.getOrCreate()
        spark.range(1000).selectExpr("id", "id % 7 AS k", "current_timestamp() AS at").write.parquet(f"{folder}/rows")
        rows = spark.read.parquet(f"{folder}/rows")
        rows.createOrReplaceTempView("rows")
        spark.sql("SELECT k, count(*) FROM rows JOIN (SELECT 1 AS k) USING (k) GROUP BY k").collect()
        stream = spark.readStream.schema(rows.schema).parquet(f"{folder}/rows").writeStream
        stream = stream.foreachBatch(through_python).option("checkpointLocation", f"{folder}/checkpoint")
        stream.trigger(availableNow=True).start().awaitTermination()
        spark.stop()


if __name__ == "__main__":
    run(main)

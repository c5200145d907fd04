"""What the SQL endpoint refuses to run, whatever way it is asked, by a Spark with the endpoint's own extension."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from local import install

SESSION = """
import json, sys
from pyspark.sql import SparkSession
settings, statements = json.loads(sys.argv[1]), json.load(sys.stdin)
builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
for name, value in settings.items():
    builder = builder.config(name, value)
spark = builder.enableHiveSupport().getOrCreate()
answers = []
for statement in statements:
    try:
        answers.append(str(spark.sql(statement).collect()))
    except Exception as error:
        answers.append("failed: " + str(error))
print("answers: " + json.dumps(answers))
"""
TABLES = (
    "CREATE TABLE t (id INT, name STRING) USING parquet",
    "CREATE TABLE parted (id INT) PARTITIONED BY (`date` STRING) STORED AS PARQUET",
)
VIEW = "CREATE VIEW v AS SELECT reflect('java.lang.System', 'getenv', 'PATH') AS path"
"""Somebody made it before there was a guard."""
PROGRAMS = (
    "CREATE VIEW w AS SELECT reflect('java.lang.System', 'getenv', 'PATH') AS path",
    "ADD JAR /tmp/x.jar",
    "add  jars '/tmp/x.jar'",
    "ADD FILE /etc/passwd",
    "ADD FILES /etc",
    "ADD ARCHIVE /tmp/x.zip",
    "CREATE FUNCTION f AS 'org.apache.hadoop.hive.ql.udf.generic.GenericUDFReflect'",
    "CREATE TEMPORARY FUNCTION f AS 'org.apache.hadoop.hive.ql.udf.generic.GenericUDFReflect'",
    "CREATE OR REPLACE FUNCTION f AS 'x.Y' USING JAR '/tmp/x.jar'",
    "SELECT TRANSFORM(id) USING 'cat /etc/passwd' AS (x STRING) FROM t",
    "FROM t MAP id USING 'id' AS x",
    "SELECT reflect('java.lang.System', 'getenv', 'PATH')",
    "SELECT java_method('java.lang.Runtime', 'getRuntime')",
    "SELECT try_reflect('java.lang.System', 'getenv', 'PATH')",
    "SELECT id FROM t WHERE name = reflect('java.lang.System', 'getenv', 'PATH')",
    "SELECT (SELECT reflect('java.lang.System', 'getenv', max(name)) FROM t)",
    "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM t WHERE name = reflect('java.lang.System', 'getenv', 'PATH'))",
    "WITH c AS (SELECT reflect('java.lang.System', 'getenv', 'PATH') AS x) SELECT * FROM c",
    "SELECT id, row_number() OVER (ORDER BY reflect('java.lang.System', 'getenv', name)) FROM t",
    "SELECT * FROM v",
    "SELECT count(*) FROM (SELECT * FROM v UNION ALL SELECT 'x')",
    "INSERT INTO t SELECT 1, reflect('java.lang.System', 'getenv', 'PATH')",
    "CREATE TABLE copied AS SELECT * FROM v",
    "CACHE TABLE cached AS SELECT * FROM v",
    "EXECUTE IMMEDIATE 'SELECT * FROM v'",
    "EXECUTE IMMEDIATE 'ADD JAR /tmp/x.jar'",
    "BEGIN ADD JAR '/tmp/x.jar'; END",
    "LOAD DATA LOCAL INPATH '/etc/passwd' INTO TABLE t",
)
FILES = (
    "SELECT * FROM text.`file:/etc/passwd`",
    "SELECT * FROM binaryFile.`file:/etc/passwd`",
    "SELECT 1 WHERE EXISTS (SELECT * FROM text.`file:/etc/passwd`)",
    "CREATE TEMPORARY VIEW passwords USING text OPTIONS (path 'file:/etc/passwd')",
    "CREATE TABLE passwords (line STRING) USING text LOCATION 'file:/etc/passwd'",
    "CREATE TABLE passwords USING text LOCATION 'file:/tmp/x' AS SELECT 'x' AS line",
    "INSERT OVERWRITE LOCAL DIRECTORY '/tmp/x' USING text SELECT 'x'",
    "INSERT OVERWRITE LOCAL DIRECTORY '/tmp/x' SELECT 'x'",
    "INSERT OVERWRITE DIRECTORY 'file:/tmp/x' USING text SELECT 'x'",
    "CREATE TEMPORARY VIEW others USING jdbc OPTIONS (url 'jdbc:derby:memory:x;create=true', dbtable 'sys.systables')",
    "CREATE TABLE others USING jdbc OPTIONS (url 'jdbc:derby:memory:x;create=true', dbtable 'sys.systables')",
)
INFERRED = ("SELECT * FROM csv.`file:///etc/passwd`", "SELECT * FROM json.`file:///etc/passwd`")
"""Spark's own question for the columns is what is refused, and its error another one's cause."""
PLATFORMS = (
    "SELECT count(*) FROM t",
    "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
    "SELECT id FROM t WHERE id IN (SELECT max(id) FROM t)",
    "INSERT OVERWRITE TABLE parted PARTITION (`date`) SELECT id, '2026-11-28' FROM t",
    "SELECT * FROM parted WHERE `date` = '2026-11-28'",
    "CREATE OR REPLACE VIEW ids AS SELECT id FROM t",
    "SELECT * FROM ids",
    "CREATE TEMPORARY VIEW mine AS SELECT 1 AS one",
    "ALTER TABLE parted ADD IF NOT EXISTS PARTITION (`date` = '2026-11-29')",
    "ALTER TABLE parted DROP PARTITION (`date` = '2026-11-29')",
    "ALTER TABLE parted ADD COLUMNS (more STRING)",
    "MSCK REPAIR TABLE parted",
    "ANALYZE TABLE t COMPUTE STATISTICS",
    "DESCRIBE EXTENDED t",
    "SHOW PARTITIONS parted",
    "EXPLAIN SELECT * FROM t",
    "CREATE TEMPORARY FUNCTION twice(x INT) RETURNS INT RETURN 2 * x",
    "SELECT twice(id) FROM t",
    "SET spark.sql.shuffle.partitions = 1",
    "DROP VIEW ids",
)


def asked(folder: Path, settings: dict[str, str], *statements: str) -> list[str]:
    """What Spark answers to each statement; ``failed: …`` where it refuses."""
    given = {
        "spark.driver.extraClassPath": str(install.statement_guard()),
        "spark.sql.extensions": install.STATEMENT_GUARD,
        "spark.sql.warehouse.dir": f"file:{folder}/warehouse",
        "spark.hadoop.javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={folder}/metastore;create=true",
        "spark.hadoop.hive.exec.dynamic.partition.mode": "nonstrict",
        **settings,
    }
    command = [sys.executable, "-c", SESSION, json.dumps(given)]
    done = subprocess.run(
        command, input=json.dumps(statements), cwd=folder, capture_output=True, text=True, timeout=300, check=True
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("answers: ")]
    answers: list[str] = json.loads(line.removeprefix("answers: "))
    return answers


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a Spark whose lake is this machine's disk answers."""
    folder, statements = tmp_path_factory.mktemp("spark"), (*PROGRAMS, *PLATFORMS)
    assert asked(folder, {"spark.sql.extensions": ""}, *TABLES, VIEW) == ["[]"] * 3
    return dict(zip(statements, asked(folder, {}, *statements), strict=True))


@pytest.mark.parametrize("statement", PROGRAMS)
def test_what_runs_programs_is_refused(answers: dict[str, str], statement: str) -> None:
    assert answers[statement].startswith("failed: ")
    assert "would run programs in the SQL endpoint" in answers[statement]


@pytest.mark.parametrize("statement", PLATFORMS)
def test_what_the_platform_says_is_done(answers: dict[str, str], statement: str) -> None:
    assert not answers[statement].startswith("failed: "), answers[statement]


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a Spark answers whose lake is another file system, which need not run for that."""
    lake = {
        "spark.hadoop.fs.defaultFS": "hdfs://127.0.0.1:1",
        "spark.sql.warehouse.dir": "hdfs://127.0.0.1:1/warehouse",
    }
    statements = (*FILES, *INFERRED)
    return dict(zip(statements, asked(tmp_path_factory.mktemp("apart"), lake, *statements), strict=True))


@pytest.mark.parametrize("statement", FILES)
def test_files_and_servers_that_are_not_the_lakes_are_refused(apart: dict[str, str], statement: str) -> None:
    assert apart[statement].startswith("failed: ")
    assert "refused: " in apart[statement]


@pytest.mark.parametrize("statement", INFERRED)
def test_what_such_a_file_holds_is_not_inferred_either(apart: dict[str, str], statement: str) -> None:
    assert apart[statement].startswith("failed: ")
    assert "root:" not in apart[statement]

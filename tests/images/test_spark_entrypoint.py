"""The Spark image keeps to what Spark on Kubernetes and its operator ask of an image.

Programs that print their arguments stand in for Spark's own. Source of the contract: entrypoint.sh of apache/spark and
what the operator was seen to send.
"""

import os
import subprocess
from pathlib import Path

import pytest

ENTRYPOINT = Path(__file__).parents[2] / "images" / "spark" / "entrypoint"
EXECUTOR = {
    "SPARK_DRIVER_URL": "spark://CoarseGrainedScheduler@driver:7078",
    "SPARK_EXECUTOR_ID": "3",
    "SPARK_EXECUTOR_CORES": "2",
    "SPARK_EXECUTOR_MEMORY": "768m",
    "SPARK_APPLICATION_ID": "spark-1",
    "SPARK_EXECUTOR_POD_IP": "10.1.2.3",
    "SPARK_EXECUTOR_POD_NAME": "ingest-exec-3",
    "SPARK_RESOURCE_PROFILE_ID": "0",
}
BACKEND = "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A SPARK_HOME, and a folder for PATH, whose spark-submit and java print what they get, an argument a line."""
    for name in ("bin/spark-submit", "java"):
        program = tmp_path / name
        program.parent.mkdir(exist_ok=True)
        program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
        program.chmod(0o755)
    return tmp_path


def run(programs: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {"PATH": f"{programs}:{os.environ['PATH']}", "SPARK_HOME": str(programs), **environment}
    return subprocess.run(["bash", str(ENTRYPOINT), *arguments], env=given, capture_output=True, text=True)


def test_a_driver_is_submitted_in_client_mode_and_binds_to_its_pod(programs: Path) -> None:
    given = ["--properties-file", "/opt/spark/conf/spark.properties", "--class", "org.apache.spark.deploy.PythonRunner"]
    job = ["local:///opt/ecommerce-lambda/jobs/streaming/ingest.py", "--available-now"]
    words = run(programs, "driver", *given, *job, SPARK_DRIVER_BIND_ADDRESS="10.1.2.3").stdout.splitlines()
    assert words[-len(given + job) :] == given + job
    assert words[words.index("--deploy-mode") + 1] == "client"
    assert "spark.driver.bindAddress=10.1.2.3" in words


def test_a_driver_that_is_restarted_in_its_pod_waits_for_what_it_needs(programs: Path) -> None:
    waiting = programs / "python"
    waiting.write_text('#!/bin/sh\nprintf "waits: %s\\n" "$*"\nexit "${FAILS:-0}"\n')
    waiting.chmod(0o755)
    given = {"TMPDIR": str(programs), "WAIT_FOR": "--for topics --for folders"}
    assert run(programs, "submit", "job.py", **given).stdout == "job.py\n"
    again = run(programs, "submit", "job.py", **given)
    assert again.stdout == "waits: -m jobs.prepare wait --for topics --for folders\njob.py\n"
    failed = run(programs, "submit", "job.py", **given, FAILS="1")
    assert failed.returncode == 1
    assert "job.py" not in failed.stdout


def test_an_executor_starts_with_what_its_pod_says(programs: Path) -> None:
    options = {f"SPARK_JAVA_OPT_{number}": f"-Dnumber={number} of 12" for number in range(12)}
    words = run(programs, "executor", **EXECUTOR, **options).stdout.splitlines()
    # In the order of their numbers, each one argument whatever it contains: a later option wins over an earlier one.
    assert words[:12] == list(options.values())
    assert words[12:14] == ["-Xms768m", "-Xmx768m"]
    after = dict(zip(words[words.index(BACKEND) + 1 :: 2], words[words.index(BACKEND) + 2 :: 2], strict=True))
    assert after == {
        "--driver-url": EXECUTOR["SPARK_DRIVER_URL"],
        "--executor-id": "3",
        "--cores": "2",
        "--app-id": "spark-1",
        "--hostname": "10.1.2.3",
        "--resourceProfileId": "0",
        "--podName": "ingest-exec-3",
    }


@pytest.mark.parametrize(("given", "wanted"), [({}, "/opt/spark/conf"), ({"SPARK_CONF_DIR": "/other"}, "/other")])
def test_an_executor_reads_the_configuration_that_the_caller_mounts(
    programs: Path, given: dict[str, str], wanted: str
) -> None:
    words = run(programs, "executor", **EXECUTOR, **given).stdout.splitlines()
    classpath = words[words.index("-cp") + 1].split(":")
    assert classpath == [wanted, "/etc/hadoop/conf", f"{programs}/jars/*"]


@pytest.mark.parametrize("missing", EXECUTOR)
def test_an_executor_without_one_of_its_settings_fails(programs: Path, missing: str) -> None:
    done = run(programs, "executor", **{name: value for name, value in EXECUTOR.items() if name != missing})
    assert done.returncode
    assert missing in done.stderr


def test_the_exit_code_of_a_driver_is_that_of_its_job(programs: Path) -> None:
    """An operator takes a driver that ends with 0 for completed."""
    (programs / "bin/spark-submit").write_text("#!/bin/sh\nexit 7\n")
    assert run(programs, "driver", "job.py", SPARK_DRIVER_BIND_ADDRESS="10.1.2.3").returncode == 7

"""Jobs are named by what they do and contain: a name stands for one spec, whatever rendered it and how often."""

from pathlib import Path
from typing import Any

import pytest

from deploy.helm import CHARTS, UMBRELLA, Helm, arguments
from support.rendering import OPERATORS, SIZES, of, render

NAME = "app.kubernetes.io/name"
JOBS = {"kafka-topics", "hdfs-folders", "hbase-tables", "hive-tables", "airflow-migrate"}
CHANGES: dict[str, tuple[object, set[str]]] = {
    "global.image.tag": ("0.2.0", JOBS),
    "global.jobs.code": ("abc", JOBS),
    "kafka.replicas": (3, {"kafka-topics"}),
    "hdfs.prepare.image.tag": ("0.2.0", {"hdfs-folders"}),
    "airflow.postgres.existingSecret": ("mine", {"airflow-migrate"}),
    "lake.retention.rawDays": (40, JOBS - {"airflow-migrate"}),
    "global.jobs.ttlSeconds": (60, set()),
    "global.jobs.annotations": ({"a": "b"}, set()),
    "generator.rate": (9, set()),
    "hdfs.datanode.resources": ({"requests": {"cpu": "1"}}, set()),
}
"""A value, what it becomes, and the Jobs that are others then."""


def jobs(**values: object) -> dict[str, dict[str, Any]]:
    """The Jobs of the small size, by what they do."""
    found = of(render(SIZES["kind"], **values), "Job").values()
    return {item["metadata"]["labels"][NAME]: item for item in found}


@pytest.mark.parametrize("change", CHANGES)
def test_a_job_has_another_name_where_it_does_something_else(charts: Path, change: str) -> None:
    value, others = CHANGES[change]
    before, after = jobs(), jobs(**{change: value})
    assert before.keys() == JOBS
    assert {name for name in JOBS if before[name]["metadata"]["name"] != after[name]["metadata"]["name"]} == others
    for name in JOBS - others:
        assert before[name]["spec"]["template"] == after[name]["spec"]["template"], "a Job's pods cannot be changed"


def test_jobs_are_kept_for_a_day_and_may_be_annotated(charts: Path) -> None:
    for job in jobs().values():
        assert job["spec"]["ttlSecondsAfterFinished"] == 86400
        assert "annotations" not in job["metadata"]
    for job in jobs(**{"global.jobs.ttlSeconds": 0, "global.jobs.annotations": {"a": "b"}}).values():
        assert "ttlSecondsAfterFinished" not in job["spec"]
        assert job["metadata"]["annotations"] == {"a": "b"}


def test_nothing_depends_on_how_often_it_was_rendered(charts: Path) -> None:
    texts = {file: file.read_text() for file in CHARTS.glob("*/templates/**/*") if file.is_file()}
    assert [file for file, text in texts.items() if "Revision" in text] == []
    flags = arguments(SIZES["kind"], {})
    upgraded = Helm().call("template", "lambda", str(UMBRELLA), "-n", "shop", *OPERATORS, "--is-upgrade", *flags)
    assert all(f"name: {item['metadata']['name']}\n" in upgraded for item in jobs().values())


def test_a_long_release_keeps_the_hash(charts: Path) -> None:
    release = "r" * 53  # the longest that Helm takes
    for size in ("kind", "production"):
        text = Helm().call("template", release, str(UMBRELLA), *OPERATORS, *arguments(SIZES[size], {}))
        names = [line.split()[1] for part in text.split("\n---\n") if "kind: Job\n" in part
                 for line in part.splitlines() if line.startswith("  name: ")]  # fmt: skip
        assert names
        assert max(map(len, names)) <= 63


def test_a_part_alone_names_its_jobs_alike(charts: Path) -> None:
    alone = Helm().call("template", "lambda", str(CHARTS / "hdfs"))
    assert "name: lambda-hdfs-folders-" in alone

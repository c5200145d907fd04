"""Airflow on one machine, for the daily DAG: its environment, its database, and one run of a day.

Airflow makes its secrets, and a random password for its user ``admin``, in its home when it first starts.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date
from importlib.metadata import version
from pathlib import Path

import psutil
import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError

from contracts.dag import DAG_ID
from contracts.errors import Failed
from local.ports import HOST
from local.site import ROOT

Print = Callable[[str], None]


def environment(state_dir: Path) -> dict[str, str]:
    """What Airflow's commands need beside the ``ECOMMERCE_…`` settings of the tasks.

    ``state_dir`` becomes Airflow's home, its database an SQLite file there.
    The log servers that ``airflow standalone`` and the triggerer start listen on every interface: Airflow has no
    setting for that, and asks a token of their readers.
    """
    return {
        "AIRFLOW_HOME": str(state_dir),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{state_dir / 'airflow.db'}",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "airflow.utils.net.get_host_ip_address",
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_HOST": HOST,
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(state_dir / "logs"),
        "ECOMMERCE_TASK_RUNTIME": "local",
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
    }


def migrate(variables: Mapping[str, str], on_line: Print = print) -> None:
    """Brings Airflow's database to the installed version's schema; nothing to do where it is there already.

    ``variables``: the whole environment of the command. Raises :class:`Failed` when the migration fails.
    """
    stamp = Path(variables["AIRFLOW_HOME"]) / "migrated.json"
    url = variables["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    wanted = {"airflow": version("apache-airflow-core"), "revision": _revision(url)}
    if wanted["revision"] and stamp.exists() and json.loads(stamp.read_text()) == wanted:
        return
    stamp.parent.mkdir(parents=True, exist_ok=True)
    _run(["db", "migrate"], variables, on_line)
    stamp.write_text(json.dumps({**wanted, "revision": _revision(url)}))


def run_day(day: date, variables: Mapping[str, str], on_line: Print) -> None:
    """Runs the daily DAG for a day with ``airflow dags test``: neither scheduler nor API server runs.

    Every line of output goes to ``on_line``. Raises :class:`Failed` when the run fails; interrupted, it ends Airflow
    and the task in hand.
    """
    _run(["dags", "test", DAG_ID, day.isoformat()], variables, on_line)


def _revision(url: str) -> str | None:
    """The schema's revision in Airflow's database; None for a database that Airflow has not touched."""
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.connect() as connection:
            return str(connection.execute(sqlalchemy.text("SELECT version_num FROM alembic_version")).scalar_one())
    except SQLAlchemyError:
        return None
    finally:
        engine.dispose()


def _run(arguments: list[str], variables: Mapping[str, str], on_line: Print) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "airflow", *arguments],
        env=dict(variables),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    assert process.stdout
    try:
        for line in process.stdout:
            on_line(line.rstrip("\n"))
        code = process.wait()
    except BaseException:
        _end(process.pid)
        raise
    if code:
        raise Failed(f"airflow {' '.join(arguments)} ended with exit code {code}; its output says why")


def _end(pid: int) -> None:
    """Ends a process and all that descend from it: Airflow starts each task in a session of its own."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        family = [*parent.children(recursive=True), parent]
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.terminate()
        for member in psutil.wait_procs(family, 10)[1]:
            with suppress(psutil.NoSuchProcess):
                member.kill()

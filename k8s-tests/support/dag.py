"""A DAG of a test's own in an Airflow of its own, without a cluster."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from local import airflow


class Dag:
    """The DAG ``traced``, of this text; the Airflow's home and database are in the folder."""

    def __init__(self, text: str, folder: Path) -> None:
        dags = folder / "dags"
        dags.mkdir()
        (dags / "traced.py").write_text(text)
        home = airflow.environment(folder / "airflow")
        self._environment = {**os.environ, **home, "AIRFLOW__CORE__DAGS_FOLDER": str(dags)}
        airflow.migrate(self._environment)

    def run(self, variables: Mapping[str, str]) -> None:
        """Runs it once, with more of an environment."""
        run = [sys.executable, "-m", "airflow", "dags", "test", "traced"]
        subprocess.run(run, env={**self._environment, **variables}, check=True, timeout=300)

"""The environment in which the platform's jobs run against a local stack."""

import os
import shlex
import subprocess
import sys
from typing import Any

from local import install, spark_classes
from local.ports import HOST
from local.site import ROOT, Site


def environment(
    site: Site, ui_port: int | None = None, driver_memory: str = "768m", long_running: bool = False
) -> dict[str, str]:
    """Settings of the servers, and how Spark runs on this machine: in one process, on loopback, two cores.

    ``ui_port``: where Spark's UI listens; none without. ``long_running``: for hours, not for a minute.
    """
    submit = {
        "--master": "local[2]",
        "--driver-memory": driver_memory,
        "--jars": ",".join(str(jar) for jar in install.spark_jars()),
    }
    # A driver that is killed leaves what it kept there, libraries among it: the stack's next start removes it.
    flags = f"{spark_classes.flags(install.spark_archive(), long_running)} -Djava.io.tmpdir={site.tmp}"
    configuration = {
        "spark.driver.host": HOST,
        "spark.driver.bindAddress": HOST,
        "spark.ui.enabled": str(ui_port is not None).lower(),
        "spark.ui.port": str(ui_port or 0),
        "spark.port.maxRetries": "0",
        "spark.ui.showConsoleProgress": "false",
        spark_classes.JAVA_OPTIONS: flags,
    }
    arguments = [f"{name} {value}" for name, value in submit.items()]
    arguments += [f"--conf {shlex.quote(f'{name}={value}')}" for name, value in configuration.items()]
    return {
        **site.settings().as_environment(),
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
        **spark_classes.LOOPBACK,
        "PYSPARK_SUBMIT_ARGS": " ".join([*arguments, "pyspark-shell"]),
    }


def start(
    site: Site, *command: str, driver_memory: str = "768m", long_running: bool = False, **options: Any
) -> subprocess.Popen[Any]:
    """Starts ``python -m COMMAND`` against a local stack; ``options`` are those of ``subprocess.Popen``."""
    variables = {**os.environ, **environment(site, None, driver_memory, long_running)}
    return subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env=variables, **options)

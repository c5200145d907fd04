"""The environment in which the platform's jobs run against a local stack."""

from local import install
from local.ports import HOST
from local.site import Site


def environment(site: Site, driver_memory: str = "768m") -> dict[str, str]:
    """Settings of the servers, and how Spark runs on this machine: in one process, on loopback, two cores."""
    submit = {
        "--master": "local[2]",
        "--driver-memory": driver_memory,
        "--jars": ",".join(str(jar) for jar in install.spark_jars()),
    }
    configuration = {
        "spark.driver.host": HOST,
        "spark.driver.bindAddress": HOST,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.extraJavaOptions": "-XX:+UseSerialGC",
    }
    arguments = [f"{name} {value}" for name, value in submit.items()]
    arguments += [f"--conf {name}={value}" for name, value in configuration.items()]
    return {
        **site.settings().as_environment(),
        "SPARK_LOCAL_IP": HOST,
        "PYSPARK_SUBMIT_ARGS": " ".join([*arguments, "pyspark-shell"]),
    }

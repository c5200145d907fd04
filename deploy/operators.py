"""The operators that the charts' operator modes need: their projects' own Helm charts, at the versions that were run.

Source: https://strimzi.io/docs/operators/latest/deploying, https://kubeflow.github.io/spark-operator
"""

from dataclasses import dataclass

from contracts.errors import Failed
from deploy.helm import Helm, arguments

SECONDS = 600


@dataclass(frozen=True, slots=True)
class Operator:
    """A chart of somebody else's; ``watched`` is the value that takes the namespaces which it looks after."""

    name: str
    chart: str
    version: str
    watched: str
    source: tuple[str, ...] = ()


# What was run with the platform (docs/kubernetes.md). The manifests are tested against the kinds of this Spark operator
# and of Strimzi 1.2.0: the Maven artifacts that write Strimzi's kinds could not be had for 1.1.0.
STRIMZI = Operator(
    name="strimzi",
    chart="oci://quay.io/strimzi-helm/strimzi-kafka-operator",
    version="1.1.0",
    watched="watchNamespaces",
)
SPARK = Operator(
    name="spark-operator",
    chart="spark-operator",
    version="2.5.2",
    watched="spark.jobNamespaces",
    source=("--repo", "https://kubeflow.github.io/spark-operator"),
)
OPERATORS = (STRIMZI, SPARK)


def install(helm: Helm, operator: Operator, namespace: str) -> None:
    """Installs or upgrades an operator in a namespace of its own, to look after ``namespace`` alone.

    Raises :class:`PlatformError` where the chart cannot be had, or the operator does not come up.
    """
    flags = arguments((), {operator.watched: [namespace]})
    done = helm.run(
        "upgrade", "--install", operator.name, operator.chart, *operator.source, "--version", operator.version,
        "--namespace", operator.name, "--create-namespace", "--wait", *flags, timeout=SECONDS,
    )  # fmt: skip
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1]
        raise Failed(f"{operator.name} {operator.version} was not installed from {operator.chart}: {reason}")

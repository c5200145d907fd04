"""The CustomResourceDefinitions of the operators that the charts know, without any operator's image.

Strimzi's are written by the generator that its own build uses (Maven: ``io.strimzi:crd-generator`` and
``io.strimzi:api``); those of the Spark operator, of KEDA and of the Prometheus operator lie in their Go modules.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import yaml

from contracts.errors import NotInstalled
from deploy.tools import module_folder
from local.install import java_version
from local.programs import call

HERE = Path(__file__).parent
STRIMZI_JAVA = 21
STRIMZI = ("kafka.Kafka", "nodepool.KafkaNodePool", "topic.KafkaTopic", "user.KafkaUser")
"""Classes below ``io.strimzi.api.kafka.model``."""
PROMETHEUS = "github.com/prometheus-operator/prometheus-operator"
SPARK = "github.com/kubeflow/spark-operator/v2"
KEDA = "github.com/kedacore/keda/v2"


def strimzi() -> list[dict[str, Any]]:
    """CRDs of Kafka, KafkaNodePool, KafkaTopic and KafkaUser.

    Raises :class:`PlatformError` where there is no Java that the generator runs on, or Maven fails.
    """
    java = _java()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fetch = ["mvn", "-B", "-q", "-f", str(HERE / "pom.xml"), "generate-resources", f"-Doutput={folder}"]
        call(fetch, "fetching Strimzi's CRD generator")
        files = {kind: folder / f"{kind}.yaml" for kind in STRIMZI}
        classes = [f"io.strimzi.api.kafka.model.{kind}={file}" for kind, file in files.items()]
        generator = [java, "-cp", f"{folder}/lib/*", "io.strimzi.crdgenerator.CrdGenerator"]
        call([*generator, "--yaml", *classes], "Strimzi's CRD generator")
        return [yaml.load(file.read_text(), yaml.CSafeLoader) for file in files.values()]


def spark() -> list[dict[str, Any]]:
    """The CRD of SparkApplication. Raises :class:`PlatformError` when the Go module cannot be had."""
    crds = module_folder(HERE, SPARK) / "charts" / "spark-operator-chart" / "crds"
    return [yaml.safe_load((crds / "sparkoperator.k8s.io_sparkapplications.yaml").read_text())]


def keda() -> list[dict[str, Any]]:
    """The CRD of ScaledObject. Raises :class:`PlatformError` when the Go module cannot be had."""
    crds = module_folder(HERE, KEDA) / "config" / "crd" / "bases"
    return [yaml.safe_load((crds / "keda.sh_scaledobjects.yaml").read_text())]


def prometheus() -> list[dict[str, Any]]:
    """The CRDs of PodMonitor and PrometheusRule. Raises :class:`PlatformError` when the Go module cannot be had."""
    crds = module_folder(HERE, PROMETHEUS) / "example" / "prometheus-operator-crd"
    files = [crds / f"monitoring.coreos.com_{kind}.yaml" for kind in ("podmonitors", "prometheusrules")]
    return [yaml.load(file.read_text(), yaml.CSafeLoader) for file in files]


def _java() -> str:
    """A Java new enough for Strimzi's generator: of ``JAVA_HOME``, ``PATH``, or what is installed beside them."""
    found = [Path(os.environ.get("JAVA_HOME", "/nowhere")) / "bin" / "java", Path(shutil.which("java") or "/nowhere")]
    for java in [*found, *sorted(Path("/usr/lib/jvm").glob("*/bin/java"))]:
        if java.exists() and java_version(str(java)) >= STRIMZI_JAVA:
            return str(java)
    raise NotInstalled(f"Strimzi's CRD generator needs Java {STRIMZI_JAVA} or later, which was not found; install one")

"""Installs the servers' jars with Maven, a pom a server, into the user's cache; a second run reuses them."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contracts.errors import Failed
from local import spark_classes
from local.programs import call
from local.progress import Report
from local.site import TEMPLATES

POMS = ("kafka", "hadoop", "hbase", "hive-metastore", "spark-connectors")
SPARK_CLASSES = "spark-classes"
STATEMENT_GUARD = "ecommerce.StatementGuard"
"""The class of ours in the SQL endpoint that refuses statements."""
OLDEST_JAVA = 17


def cache() -> Path:
    """``~/.cache/ecommerce-lambda``, or below ``XDG_CACHE_HOME``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ecommerce-lambda"


def home(name: str) -> Path:
    """Where the jars of ``local/servers/<name>`` are: ``lib/*.jar`` and what else the pom unpacks."""
    digest = hashlib.sha256()
    for source in _sources(name):
        digest.update(source.read_bytes())
    return cache() / "servers" / f"{name}-{digest.hexdigest()[:12]}"


def spark_jars() -> list[Path]:
    """The jars that Spark jobs need besides pyspark's own, for ``spark-submit --jars``."""
    jars = sorted((home("spark-connectors") / "lib").glob("*.jar"))
    if not jars:
        raise Failed("the Spark connector jars are not installed; run `python -m local install`")
    return jars


def spark_home() -> Path:
    """The folder of the installed pyspark package, Spark's home."""
    import pyspark

    return Path(pyspark.__file__).parent


def spark_archive() -> Path:
    """Where the classes of Spark's JVM are archived, see :mod:`local.spark_classes`."""
    return spark_classes.archive(cache() / "servers", spark_home(), tool("java"))


def statement_guard() -> Path:
    """The folder of the class :data:`STATEMENT_GUARD`, compiled where it is not yet. Raises :class:`PlatformError`."""
    source = TEMPLATES / "spark-thrift" / "java" / f"{STATEMENT_GUARD.replace('.', '/')}.java"
    against = f"{spark_home()}/jars"
    digest = hashlib.sha256(source.read_bytes() + against.encode()).hexdigest()
    folder = cache() / "servers" / f"statement-guard-{digest[:12]}"
    with locked(cache() / "servers" / ".guard.lock"):
        if not _marker(folder).exists():
            _javac([source], against, folder)
            _marker(folder).touch()
    return folder


def tool(name: str) -> str:
    """The path of ``java`` or ``javac``: of ``JAVA_HOME`` when that is set, else of ``PATH``."""
    java_home = os.environ.get("JAVA_HOME")
    found = shutil.which(name, path=f"{java_home}/bin" if java_home else None)
    if not found:
        where = f"JAVA_HOME ({java_home})" if java_home else "PATH"
        raise Failed(f"{name} was not found in {where}; install a JDK {OLDEST_JAVA}")
    return found


def check_java() -> None:
    """Raises :class:`PlatformError` unless there is a Java of the version that the servers need."""
    found = java_version(tool("java"))
    if found < OLDEST_JAVA:
        raise Failed(f"Java {OLDEST_JAVA} or later is needed, {tool('java')} is version {found or 'unknown'}")


def java_version(java: str) -> int:
    """The major version of a Java; 0 where it tells none."""
    answer = subprocess.run([java, "-version"], capture_output=True, text=True).stderr
    version = re.search(r'version "(\d+)', answer)
    return int(version[1]) if version else 0


def missing() -> list[str]:
    """What is not installed: the poms whose jars are missing, and the archive of Spark's classes."""
    classes = [] if spark_archive().exists() else [SPARK_CLASSES]
    return [name for name in POMS if not _marker(home(name)).exists()] + classes


def install(report: Report) -> None:
    """Installs what is missing, reporting each step as a line. Raises :class:`PlatformError` when Maven fails."""
    check_java()
    statement_guard()
    if not missing():
        return
    with locked(cache() / "servers" / ".lock"):
        for name in missing():
            if name == SPARK_CLASSES:
                report(name, "archiving", "")
                spark_classes.write(spark_archive())
                report(name, "ready", "")
            else:
                _install(name, report)


def _install(name: str, report: Report) -> None:
    if not shutil.which("mvn"):
        raise Failed("mvn was not found in PATH; install Maven 3.8 or later")
    report(name, "asking Maven", "")
    target = home(name)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    _maven(name, target, report)
    _compile(name, target)
    _marker(target).touch()
    jars = len(list((target / "lib").glob("*.jar")))
    report(name, "ready", f"{jars} jars")


def _maven(name: str, target: Path, report: Report) -> None:
    pom = TEMPLATES / name / "pom.xml"
    command = ["mvn", "-B", "-f", str(pom), "generate-resources", f"-Doutput={target}"]
    last: list[str] = []
    downloaded = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            last = [*last[-19:], line.rstrip()]
            if match := re.search(r"Downloaded from \S+ \S*/(\S+\.(?:jar|gz)) ", line):
                downloaded += 1
                report(name, "downloading", f"{downloaded}: {match[1]}")
    if process.returncode:
        errors = [line for line in last if "ERROR" in line] or last
        raise Failed(f"Maven could not fetch the jars of {name} ({pom}): " + " ".join(errors[:3]))


def _compile(name: str, target: Path) -> None:
    """Compiles ``local/servers/<name>/java/*.java``, where a server needs a class of ours, into a jar of its own."""
    sources = sorted((TEMPLATES / name / "java").glob("*.java"))
    if not sources:
        return
    classes = target / "classes"
    _javac(sources, f"{target}/lib", classes)
    archive = shutil.make_archive(str(target / "ours"), "zip", classes)
    Path(archive).rename(target / "lib" / f"ecommerce-lambda-{name}.jar")


def _javac(sources: list[Path], jars: str, classes: Path) -> None:
    command = [tool("javac"), "-nowarn", "-cp", f"{jars}/*", "-d", str(classes), *map(str, sources)]
    call(command, f"compiling {sources[0].name}")


def _sources(name: str) -> list[Path]:
    return [TEMPLATES / name / "pom.xml", *sorted((TEMPLATES / name / "java").glob("*.java"))]


def _marker(target: Path) -> Path:
    return target / ".complete"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Two processes that do the same at a time wait for each other, by a lock on this file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

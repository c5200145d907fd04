"""Charts and an image pushed to a real OCI registry on loopback: what is there is what was pushed."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from clients.retry import until
from contracts.errors import NotInstalled
from deploy.helm import CHARTS, Helm
from deploy.tools import tool
from images.builder import VERSION, build, content_tag, push
from local.ports import HOST, free, in_use
from support.platform import Cluster, silent
from support.rendering import OPERATORS, of, render

SIGNER = "charts@example.com"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``host:port`` of a registry that has nothing."""
    (port,) = free(1)
    address = f"{HOST}:{port}"
    folder = tmp_path_factory.mktemp("registry")
    server = subprocess.Popen([tool("crane"), "registry", "serve", "--address", address, "--disk", str(folder)])
    until(lambda: in_use(port), bool, seconds=30, pause=0.2, what=f"a registry at {address}")
    yield address
    server.terminate()
    server.wait(30)


def crane(*arguments: str) -> bytes:
    return subprocess.run([tool("crane"), *arguments], check=True, capture_output=True).stdout


def gpg(home: Path, *arguments: str) -> bytes:
    if not shutil.which("gpg"):
        raise NotInstalled("gpg was not found in PATH; install Debian's gnupg to sign charts")
    command = ["gpg", "--homedir", str(home), "--batch", "--quiet", *arguments]
    return subprocess.run(command, check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """Keyrings, secret and public, of a key that is made here."""
    home = tmp_path_factory.mktemp("gpg")
    home.chmod(0o700)
    gpg(home, "--passphrase", "", "--quick-generate-key", SIGNER, "rsa2048", "sign", "never")
    secret, public = home / "secret.gpg", home / "public.gpg"
    secret.write_bytes(gpg(home, "--export-secret-keys", SIGNER))
    public.write_bytes(gpg(home, "--export", SIGNER))
    yield secret, public
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=True)


def publish(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy", "publish", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def published(charts: Path, registry: str, keys: tuple[Path, Path]) -> str:
    """Where the charts are."""
    where = f"oci://{registry}/team"
    done = publish(where, "--plain-http", "--sign", SIGNER, "--keyring", str(keys[0]))
    assert done.returncode == 0, done.stderr
    return where


def pull(where: str, chart: str, folder: Path, *flags: str) -> Path:
    folder.mkdir(exist_ok=True)
    Helm().call("pull", f"{where}/{chart}", "--plain-http", "--destination", str(folder), *flags)
    (packed,) = folder.glob(f"{chart}-*.tgz")
    return packed


def test_every_chart_is_there_and_its_signature_holds(published: str, keys: tuple[Path, Path], tmp_path: Path) -> None:
    for chart in CHARTS.iterdir():
        pull(published, chart.name, tmp_path / chart.name, "--verify", "--keyring", str(keys[1]))


def test_what_is_pulled_renders_as_the_checkout_does(published: str, tmp_path: Path) -> None:
    packed = pull(published, "ecommerce-lambda", tmp_path)
    printed = Helm().call("template", "lambda", str(packed), "-n", "shop", *OPERATORS)
    pulled = [item for item in yaml.load_all(printed, yaml.CSafeLoader) if item]
    kinds = ("StatefulSet", "Deployment", "Service", "NetworkPolicy", "SparkApplication", "Kafka")
    assert of(pulled, *kinds) == of(render(()), *kinds)


def test_a_chart_that_was_changed_is_refused(published: str, keys: tuple[Path, Path], tmp_path: Path) -> None:
    packed = pull(published, "generator", tmp_path, "--prov")
    verify = ("verify", str(packed), "--keyring", str(keys[1]))
    assert Helm().run(*verify).returncode == 0
    packed.write_bytes(packed.read_bytes() + b"\0")
    assert Helm().run(*verify).returncode != 0


def test_an_image_is_there_by_its_version_and_by_its_content(cluster: Cluster, registry: str) -> None:
    """From a cache whose path has a folder with a dot, as the user's has."""
    build(("zookeeper",), silent)
    push(("zookeeper",), registry)
    places = [f"{registry}/ecommerce-lambda/zookeeper:{tag}" for tag in (VERSION, content_tag("zookeeper"))]
    assert json.loads(crane("config", places[0]))["config"]["Entrypoint"]
    digests = {crane("digest", place) for place in places}
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["registry.example.com/team"], "is not the address of an OCI registry: it begins with oci://"),
        (["oci://127.0.0.1:1/team", "--sign", "me"], "a signature needs both --sign and --keyring"),
        (["oci://127.0.0.1:1/team", "--plain-http"], "could not be pushed to oci://127.0.0.1:1/team: "),
    ],
)
def test_a_mistake_is_one_sentence(charts: Path, arguments: list[str], sentence: str) -> None:
    done = publish(*arguments)
    assert done.returncode != 0
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr

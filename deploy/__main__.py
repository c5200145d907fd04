"""``python -m deploy``: the platform on a cluster, on this machine or the one that ``KUBECONFIG`` names."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from kubernetes import client
from kubernetes.client import ApiException
from urllib3.exceptions import HTTPError

from contracts.acls import CLIENTS
from contracts.command import run
from contracts.errors import Mistake, PlatformError
from deploy import operators as public_operators
from deploy import pods, readmes, schemas
from deploy.clusters.choice import choose, running
from deploy.clusters.provider import Access, Provider
from deploy.dashboards import boards
from deploy.dev import Change, changes, digests, restart, summary
from deploy.helm import Helm, build_dependencies, publish
from deploy.install import VALUES, install, make_namespace, remove_namespace
from deploy.workloads import Release
from images.__main__ import build_with_progress, show
from images.builder import IMAGES, content_tag, push
from local.progress import Progress

READY_SECONDS = 900.0


def name_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--release`` and ``--namespace``."""
    namespace = click.option("--namespace", "-n", default="ecommerce", show_default=True, envvar="NAMESPACE")
    release = click.option("--release", default="lambda", show_default=True, envvar="RELEASE")
    return release(namespace(command))


def what_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--values`` and ``--registry``."""
    file = click.Path(exists=True, path_type=Path)
    values = click.option("--values", "-f", multiple=True, type=file, help="Instead of the small ones.")
    where = "Push the images there; needed for a cluster that already exists."
    return values(click.option("--registry", envvar="REGISTRY", help=where)(command))


@click.group()
def main() -> None:
    """The platform on Kubernetes: the cluster of KUBECONFIG, else kind, else a node built from packages."""


@main.command()
@what_options
@name_options
def up(values: tuple[Path, ...], registry: str | None, release: str, namespace: str) -> None:
    """Cluster, images, charts: everything up to a working platform, with its addresses."""
    provider = choose()
    click.echo(provider.describe(), err=True)
    if provider.name == "existing" and not registry:
        raise Mistake("an existing cluster pulls its images: name a registry for them with REGISTRY=host/path")
    with Progress("Starting the cluster", list(provider.parts)) as progress:
        access = provider.up(progress.update)
    show(build_with_progress())
    tags = {}
    if registry:
        push(IMAGES, registry)
        tags = {f"global.image.tags.{name}": content_tag(name) for name in IMAGES}
    else:
        load(provider, IMAGES)
    installed = install(access.kubeconfig, release, namespace, values or VALUES, registry, **tags)
    installed.wait(f"Installing {release} in namespace {namespace}", READY_SECONDS)
    click.echo("Asking it from inside (helm test)", err=True)
    answer = Helm(access.kubeconfig).call("test", release, "--namespace", namespace, timeout=READY_SECONDS)
    click.echo(answer.partition("NOTES:")[0], err=True)
    show_addresses(access, installed)


@main.command()
@what_options
@name_options
@click.pass_context
def dev(context: click.Context, values: tuple[Path, ...], registry: str | None, release: str, namespace: str) -> None:
    """Run what is saved on the cluster, until Ctrl-C; starts the platform as `up` does where it is not up."""
    provider = choose()
    access = provider.access()
    if not access or release not in Helm(access.kubeconfig).releases(namespace):
        context.invoke(up, values=values, registry=registry, release=release, namespace=namespace)
        access = provider.access()
    assert access
    # A node that has an image of this name asks for no newer one.
    settings = {"global.image.pullPolicy": "Always"} if registry else {}
    if registry:
        install(access.kubeconfig, release, namespace, values or VALUES, registry, **settings)
    installed = Release.at(access.kubeconfig, release, namespace)

    def handle(change: Change) -> None:
        try:
            if change.images:
                build_with_progress(change.images)
            if registry:
                push(change.images, registry)
            elif change.images:
                load(provider, change.images)
            if change.charts:
                install(access.kubeconfig, release, namespace, values or VALUES, registry, **settings)
            restarted = restart(installed, change)
            installed.wait(f"Restarting what {change} concerns", READY_SECONDS)
            click.echo(summary(change, restarted))
        except (PlatformError, SyntaxError) as error:
            click.echo(f"error: {error}", err=True)
        except (ApiException, HTTPError) as error:
            reason = getattr(error, "reason", None) or error
            click.echo(f"error: the cluster did not take {change}: {reason}; save it again", err=True)

    known = digests()
    click.echo("Watching; Ctrl-C ends it", err=True)
    changes(known, handle)


@main.command()
@name_options
def operators(release: str, namespace: str) -> None:
    """Install the operators of Strimzi and Spark for the namespace, from their public charts."""
    access = running(choose())
    make_namespace(Release.at(access.kubeconfig, release, namespace))
    for operator in public_operators.OPERATORS:
        click.echo(f"Installing {operator.chart} {operator.version}", err=True)
        public_operators.install(Helm(access.kubeconfig), operator, namespace)


@main.command()
@click.option("--keep-cluster", is_flag=True, help="Only uninstall the platform.")
@name_options
def down(keep_cluster: bool, release: str, namespace: str) -> None:
    """Uninstall the platform with its data; end the cluster that `up` started."""
    provider = choose()
    access = provider.access()
    if access and (keep_cluster or provider.name == "existing"):
        helm = Helm(access.kubeconfig)
        if release in helm.releases(namespace):
            helm.call("uninstall", release, "--namespace", namespace)
        remove_namespace(Release.at(access.kubeconfig, release, namespace).api, namespace)
    if not keep_cluster:
        provider.down()


@main.command()
@name_options
def status(release: str, namespace: str) -> None:
    """What runs and what is not ready; the addresses."""
    access = running(choose())
    installed = Release.at(access.kubeconfig, release, namespace)
    for workload in installed.workloads():
        click.echo(f"{workload.name:<40}{'ready' if workload.ready else workload.detail or 'starting'}")
    show_addresses(access, installed)


@main.command("run")
@click.option(
    "--kafka-client",
    type=click.Choice([known.name for known in CLIENTS]),
    default="audit",
    show_default=True,
    help="As which of Kafka's clients it logs in where Kafka is secured.",
)
@click.argument("command", nargs=-1, required=True)
@name_options
def run_by_hand(kafka_client: str, command: tuple[str, ...], release: str, namespace: str) -> None:
    """Run a COMMAND of the tasks image in a pod of its own: `run -- python -m jobs.audit`."""
    kubeconfig = running(choose()).kubeconfig
    hooks = Helm(kubeconfig).call("get", "hooks", release, "--namespace", namespace)
    installed = Release.at(kubeconfig, release, namespace)
    pods.run_by_hand(installed, hooks, command, kafka_client, lambda text: click.echo(text, nl=False))


@main.command()
def dependencies() -> None:
    """Pack the charts' dependencies, so that `helm install lambda charts/ecommerce-lambda` finds them."""
    build_dependencies()


@main.command("publish")
@click.argument("registry", metavar="oci://HOST/PATH")
@click.option("--sign", metavar="KEY", help="Sign the charts with the key of this name (helm package --sign).")
@click.option("--keyring", type=click.Path(exists=True), help="Where it is: gpg --export-secret-keys KEY > FILE")
@click.option("--passphrase-file", type=click.Path(exists=True), help="Its passphrase; asked for where there is one.")
@click.option("--plain-http", is_flag=True, help="The registry speaks no TLS.")
def publish_charts(
    registry: str, sign: str | None, keyring: str | None, passphrase_file: str | None, plain_http: bool
) -> None:
    """Pack every chart and push it to an OCI registry; log in there before, with `helm registry login`."""
    if not registry.startswith("oci://"):
        raise Mistake(f"{registry} is not the address of an OCI registry: it begins with oci://")
    if bool(sign) != bool(keyring):
        raise Mistake("a signature needs both --sign and --keyring")
    given = {"--key": sign, "--keyring": keyring, "--passphrase-file": passphrase_file}
    signing = [word for flag, value in given.items() if value for word in (flag, value)]
    publish(registry, ["--sign", *signing] if sign else [], plain_http, lambda text: click.echo(text, err=True))


@main.command("schemas")
def write_schemas() -> None:
    """Write values.schema.json of every chart from its values.yaml."""
    for file, text in schemas.files().items():
        file.write_text(text)


@main.command("readmes")
def write_readmes() -> None:
    """Write README.md of every chart from its Chart.yaml and values.yaml."""
    for file, text in readmes.files().items():
        file.write_text(text)


@main.command("dashboards")
def write_dashboards() -> None:
    """Write Grafana's dashboards of the umbrella chart from deploy/dashboards."""
    for file, text in boards.files().items():
        file.write_text(text)


def load(provider: Provider, names: tuple[str, ...]) -> None:
    with Progress("Loading the images", list(names)) as progress:
        provider.load(names, progress.update)


def show_addresses(access: Access, release: Release) -> None:
    """The addresses of what has pages, and how to reach the rest."""
    for ingress in client.NetworkingV1Api(release.api).list_namespaced_ingress(release.namespace).items:
        for rule in ingress.spec.rules:
            click.echo(f"{ingress.metadata.name:<30}{access.url(rule.host)}")
    click.echo(f"\nexport KUBECONFIG={access.kubeconfig}")
    if access.programs:
        click.echo(f"export PATH={':'.join(map(str, access.programs))}:$PATH")
    click.echo(f"kubectl -n {release.namespace} get pods")
    click.echo(Helm(access.kubeconfig).call("get", "notes", release.name, "--namespace", release.namespace))


if __name__ == "__main__":
    run(main)

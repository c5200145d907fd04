"""``python -m deploy.clusters``: the cluster that the platform is shown on."""

import click

from contracts.command import run
from deploy.clusters.choice import choose, running
from local.progress import Progress


@click.group()
def main() -> None:
    """The cluster of KUBECONFIG, else kind, else a node built from packages."""


@main.command()
def up() -> None:
    """Start it and wait until it is ready."""
    provider = choose()
    click.echo(provider.describe(), err=True)
    with Progress("Starting the cluster", list(provider.parts)) as progress:
        access = provider.up(progress.update)
    click.echo(f"export KUBECONFIG={access.kubeconfig}")


@main.command()
def down() -> None:
    """End it, with all that runs on it."""
    choose().down()


@main.command()
def status() -> None:
    """Which cluster it is, and how to reach it. Exit code 1 while it does not run."""
    provider = choose()
    click.echo(provider.describe())
    access = running(provider)
    click.echo(f"export KUBECONFIG={access.kubeconfig}\ningress: {access.ingress or 'not known'}")


if __name__ == "__main__":
    run(main)

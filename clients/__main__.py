"""``python -m clients``: asks servers whether they answer."""

from importlib import import_module

import click

from clients import retry
from contracts.command import run, with_settings
from contracts.settings import Settings

SERVERS = ("kafka", "hdfs", "hbase", "metastore", "sql")
"""Modules of this package, imported when they are asked: a probe wants one of them, and soon."""


@click.command()
@click.argument("names", nargs=-1, metavar=f"[{'|'.join(SERVERS)}]...", type=click.Choice(SERVERS))
@click.option("--wait", type=click.FloatRange(min=0), default=0, metavar="SECONDS", help="Ask again for so long.")
@with_settings()
def main(settings: Settings, names: tuple[str, ...], wait: float) -> None:
    """Ask the servers, or those named, whether they answer this client; exit code 0 when all of them do."""
    for name in names or SERVERS:
        retry.retrying(wait)(import_module(f"clients.{name}").answers, settings)
        click.echo(f"{name} answers")


if __name__ == "__main__":
    run(main)

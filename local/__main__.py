"""``python -m local``: the platform's servers as local processes."""

import shlex
import sys
from datetime import timedelta
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from clients.sql import connect
from contracts.command import run
from contracts.errors import Mistake
from local import jobs
from local import sql as endpoint
from local.servers import SERVERS
from local.site import DIRECTORY_VARIABLE
from local.stack import Stack, install_with_progress
from local.tools import tail


@click.group()
def main() -> None:
    """The platform's servers as local processes on loopback.

    Ports: ECOMMERCE_PORT_OFFSET shifts them all, ECOMMERCE_PORT_<NAME> sets one. Data, logs and configuration are in
    build/local of the checkout, or in ECOMMERCE_LOCAL_DIR.
    """


@main.command()
def install() -> None:
    """Fetch the servers' jars with Maven; what is there is reused."""
    install_with_progress()


@main.command()
@click.argument("names", nargs=-1, metavar="[SERVER]...")
def up(names: tuple[str, ...]) -> None:
    """Start the servers (or those named, and what they need) and wait until they serve."""
    stack = Stack()
    stack.up(set(names) or None)
    _show_status(stack)
    click.echo("\nStop with `python -m local down`; settings for other shells: `python -m local env`.", err=True)


@main.command()
@click.option("--wipe", is_flag=True, help="Remove the data, logs and passwords as well.")
def down(wipe: bool) -> None:
    """Stop everything that `up` started."""
    Stack().down(wipe)


@main.command()
def status() -> None:
    """Show each server's state, process, memory, address and log. Exit code 1 unless all servers run."""
    stack = Stack()
    _show_status(stack)
    sys.exit(any(server.state != "RUNNING" and not server.on_request for server in stack.status()))


@main.command()
def env() -> None:
    """Print what jobs need as `export` lines, for `eval "$(make -s local-env)"`: settings, Spark, this Python."""
    stack = Stack()
    values = {**jobs.environment(stack.site), DIRECTORY_VARIABLE: str(stack.site.directory)}
    for name, value in sorted(values.items()):
        click.echo(f"export {name}={shlex.quote(value)}")
    click.echo(f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"')


@main.command()
def prepare() -> None:
    """Create the folders, topics and tables of the contracts that are not there yet."""
    Stack().prepare()


@main.command()
@click.option("-e", "--execute", "statements", metavar="SQL", help="Run this instead of asking.")
def sql(statements: str | None) -> None:
    """A prompt on the SQL endpoint."""
    settings = Stack().settings()
    if statements is None and sys.stdin.isatty():
        endpoint.prompt(settings)
        return
    with connect(settings) as session:
        for statement in endpoint.split(sys.stdin.read() if statements is None else statements):
            endpoint.execute(session, statement, Console())


@main.command()
@click.argument("name", type=click.Choice([*(server.name for server in SERVERS), "supervisord"]))
@click.option("-n", "lines", default=50, show_default=True, help="Lines from the end.")
def logs(name: str, lines: int) -> None:
    """Print the end of a server's log."""
    log = Stack().site.log(name)
    if not log.exists():
        raise Mistake(f"{name} has not logged anything yet ({log})")
    click.echo(tail(log, lines))


def _show_status(stack: Stack) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("server", "state", "address", "UI", "log"):
        table.add_column(title, overflow="fold")
    for title in ("pid", "up", "RSS MiB"):
        table.add_column(title, justify="right")
    servers = stack.status()
    for server in servers:
        colour = "green" if server.state == "RUNNING" else "dim" if server.on_request else "red"
        uptime = str(timedelta(seconds=server.uptime_seconds)) if server.pid else ""
        memory = f"{server.rss_bytes / 2**20:.0f}" if server.pid else ""
        state = f"[{colour}]{server.state.lower()}[/]"
        pid = str(server.pid or "")
        table.add_row(server.name, state, server.address, server.ui, str(server.log), pid, uptime, memory)
    table.add_section()
    table.add_row("", "", "", "", "together", "", "", f"{sum(server.rss_bytes for server in servers) / 2**20:.0f}")
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table)


if __name__ == "__main__":
    run(main)

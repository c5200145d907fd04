"""``SELECT 1`` on the SQL endpoint of this very pod: its readiness probe."""

from contextlib import closing

import click
from impala import dbapi

from contracts.command import CommandError, run

PORT = 21050


@click.command()
@click.option("--port", default=PORT, show_default=True)
@click.option("--auth", default="NOSASL", show_default=True, help="Mechanism, as impyla names it.")
def main(port: int, auth: str) -> None:
    """Exit code 0 when the endpoint on localhost answers SELECT 1 with 1."""
    try:
        connection = dbapi.connect("127.0.0.1", port, auth_mechanism=auth, timeout=20, retries=1)
        with closing(connection), closing(connection.cursor()) as cursor:
            cursor.execute("SELECT 1")
            rows = cursor.fetchall()
    except Exception as error:  # whatever the client raises: it does not serve
        raise CommandError(f"the SQL endpoint on port {port} does not answer: {error}") from error
    if rows != [(1,)]:
        raise CommandError(f"SELECT 1 gave {rows}")


if __name__ == "__main__":
    run(main)

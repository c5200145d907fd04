"""What the command lines of the tasks share."""

import re
from collections.abc import Callable
from datetime import date
from typing import Any

import click


class Day(click.ParamType):
    """A day as ``YYYY-MM-DD``."""

    name = "YYYY-MM-DD"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
            try:
                return date.fromisoformat(value)
            except ValueError:
                pass
        self.fail(f"{value!r} is not a day written as YYYY-MM-DD", param, ctx)


day_option = click.option("--date", "day", type=Day(), required=True, help="The day, by event time in UTC.")

run_option = click.option(
    "--run",
    default="",
    metavar="ID",
    help="The run whose days to take, as its task check_data planned them: --date and those that were opened again. "
    "Without it, --date alone.",
)


def seconds_option(
    name: str, default: int, envvar: str, help: str
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """An option of so many seconds."""
    return click.option(
        name,
        type=click.FloatRange(min=0),
        default=default,
        show_default=True,
        envvar=envvar,
        show_envvar=True,
        metavar="SECONDS",
        help=help,
    )


patience_option = click.option(
    "--patience",
    type=click.FloatRange(min=0),
    default=1800,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait until ingest has landed the day, or the last of them, whole.",
)

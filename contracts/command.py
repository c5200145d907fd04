"""What every entry point shares: settings as flags, structured log lines, errors of one sentence.

A command is a ``click`` command run through :func:`run`. A user's mistake or a server that cannot be reached is raised
as :class:`CommandError` and ends the process with exit code 1 and one line on stderr.
"""

import logging
import os
import sys
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import click
import structlog

from contracts.settings import Settings, variable


class CommandError(click.ClickException):
    """One clear sentence: what failed, with what value, what to do. Ends the process with exit code 1."""

    def show(self, file: Any = None) -> None:
        click.echo(f"error: {self.format_message()}", err=True)


def with_settings(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Adds a flag for each named field of ``Settings`` and passes the result to the command as ``settings``.

    ``with_settings("kafka_bootstrap")`` adds ``--kafka-bootstrap``, which also reads ``ECOMMERCE_KAFKA_BOOTSTRAP``.
    """
    chosen = [item for item in fields(Settings) if item.name in names]
    if len(chosen) != len(names):
        raise ValueError(f"unknown setting among {names}; known are {[item.name for item in fields(Settings)]}")

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        def command(**kwargs: Any) -> Any:
            given = {item.name: kwargs.pop(item.name) for item in chosen}
            environment = {**os.environ, **{variable(name): str(value) for name, value in given.items()}}
            return function(settings=Settings.from_environment(environment), **kwargs)

        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__click_params__ = list(getattr(function, "__click_params__", []))  # type: ignore[attr-defined]
        for item in reversed(chosen):
            command = click.option(
                "--" + item.name.replace("_", "-"),
                item.name,
                envvar=variable(item.name),
                default=item.default,
                type=int if item.type in (int, "int") else str,
                show_default=True,
                show_envvar=True,
                help=item.metadata["help"],
            )(command)
        return command

    return decorate


def configure_logging(level: int = logging.INFO) -> None:
    """JSON log lines on stderr with UTC timestamps; the standard ``logging`` of libraries from WARNING up."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def run(command: click.Command) -> None:
    """Runs a command as the program: logging configured, ``ValueError`` of settings as one sentence."""
    configure_logging()
    try:
        command()
    except ValueError as error:
        CommandError(str(error)).show()
        sys.exit(1)

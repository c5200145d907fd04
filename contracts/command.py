"""What every entry point shares: settings as flags, structured log lines, errors of one sentence.

A command is a ``click`` command run through :func:`run`. Every error of ``contracts.errors`` ends the process with the
exit code of its kind and one line on stderr.
"""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import wraps
from typing import Any

import click
import structlog

from contracts.errors import Mistake, PlatformError
from contracts.settings import PREFIX, Dataclass, Settings, variable

HELP: dict[str, Any] = {"help_option_names": ["-h", "--help"]}
"""Of every command that :func:`run` runs: the flags that print what it does."""
Command = Callable[..., Any]


def options(
    kind: type[Dataclass], parameter: str, names: tuple[str, ...] = (), prefix: str = PREFIX, **defaults: Any
) -> Callable[[Command], Command]:
    """Adds a flag for each field of a settings type (those of ``names``, or all) and passes an object of it.

    ``kafka_bootstrap`` becomes ``--kafka-bootstrap``, which also reads ``<prefix>KAFKA_BOOTSTRAP``; fields that are
    not named keep what ``kind.from_environment`` has, or their defaults. ``defaults`` stand in for the type's own.
    Raises ``ValueError`` for a name that the type lacks.
    """
    known = {item.name: item for item in fields(kind)}
    if unknown := set(names) - set(known):
        raise ValueError(f"{kind.__name__} has no setting {unknown}; it has {list(known)}")
    chosen = [item for item in known.values() if not names or item.name in names]

    def decorate(function: Command) -> Command:
        @wraps(function)
        def command(**arguments: Any) -> Any:
            given = {item.name: arguments.pop(item.name) for item in chosen}
            base = kind.from_environment() if len(chosen) < len(known) and hasattr(kind, "from_environment") else None
            return function(**arguments, **{parameter: replace(base, **given) if base else kind(**given)})

        for item in reversed(chosen):
            default = defaults.get(item.name, item.default)
            flag = "--" + item.name.replace("_", "-")
            command = click.option(
                flag,
                item.name,
                envvar=item.metadata["variable"] or variable(item.name, prefix),
                default=default,
                type=item.metadata["kind"] or type(default),
                is_flag=default is False,
                show_default=default is not False,
                show_envvar=True,
                help=item.metadata["help"],
            )(command)
        return command

    return decorate


def with_settings(*names: str) -> Callable[[Command], Command]:
    """Adds a flag for each named field of ``Settings`` and passes the result to the command as ``settings``."""
    return options(Settings, "settings", names)


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


@contextmanager
def serving_metrics(host: str, port: int) -> Iterator[None]:
    """Around the start of a server of metrics. Raises :class:`Mistake` where it cannot listen there."""
    try:
        yield
    except OSError as error:
        raise Mistake(f"cannot serve metrics at {host}:{port}: {error.strerror}") from error


def show(error: PlatformError) -> None:
    """Prints an error as it ends a command: one sentence on stderr."""
    click.echo(f"error: {error}", err=True)


def run(command: click.Command) -> None:
    """Runs a command as the program: logging configured, errors as one sentence and an exit code."""
    configure_logging()
    try:
        command(**HELP)
    except PlatformError as error:
        show(error)
        sys.exit(error.exit_code)

"""Trying again, in one way for every server: what :attr:`PlatformError.retriable` says may pass, with growing pauses.

Source of the pauses (full jitter): https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf
from typing import Any, TypeVar

import structlog
import tenacity

from contracts.errors import NotReady, PlatformError

Answer = TypeVar("Answer")
SECONDS = 120.0
"""For which something that passes is tried again, unless told otherwise: longer than a server's restart takes."""
REPORT_EVERY = 5
"""Attempts between two log lines about what is waited for."""
log = structlog.get_logger()


_hurry: ContextVar[float] = ContextVar("hurry", default=inf)


@contextmanager
def hurry(seconds: float) -> Iterator[None]:
    """Within it clients wait no longer than this for an answer, and try again only what failed at once.

    For a process that others wait for, to whom "not now" is better than a late answer.
    """
    token = _hurry.set(seconds)
    try:
        yield
    finally:
        _hurry.reset(token)


def answer_within(seconds: float) -> float:
    """``seconds`` for one answer of a server; fewer in a :func:`hurry`."""
    return min(seconds, _hurry.get())


def retriable(error: BaseException) -> bool:
    """Whether the same call may succeed later."""
    return isinstance(error, PlatformError) and error.retriable


def retrying(seconds: float = SECONDS) -> tenacity.Retrying:
    """Calls work again while its errors are retriable, for ``seconds``; then, and at once else, raises the last.

    In a :func:`hurry` a tenth of that: time for a new connection where the old one is dead.
    """
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(retriable),
        stop=tenacity.stop_after_delay(min(seconds, _hurry.get() / 10)),
        wait=tenacity.wait_random_exponential(multiplier=0.2, max=5),
        reraise=True,
    )


def until(
    ask: Callable[[], Answer],
    good: Callable[[Answer], Any] = bool,
    *,
    seconds: float = SECONDS,
    pause: float = 1.0,
    what: str = "",
) -> Answer:
    """Asks every ``pause`` seconds until the answer is good, and returns it.

    Retriable errors are asked through, other ones raised. Raises :class:`NotReady` after ``seconds``, with ``what`` was
    waited for and the last answer or error.
    """

    def waiting(state: tenacity.RetryCallState) -> None:
        if what and state.attempt_number % REPORT_EVERY == 1:
            log.info("waiting", what=what, last=_last(state))

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(retriable) | tenacity.retry_if_not_result(good),
        stop=tenacity.stop_after_delay(seconds),
        wait=tenacity.wait_fixed(pause),
        before_sleep=waiting,
    )
    try:
        return retrying(ask)
    except tenacity.RetryError as error:
        last = _outcome(error.last_attempt)
        raise NotReady(f"{what or 'what was waited for'}: not there after {seconds:g} s: {last}") from error


def _last(state: tenacity.RetryCallState) -> str:
    return _outcome(state.outcome) if state.outcome else ""


def _outcome(attempt: tenacity.Future) -> str:
    return str(attempt.exception() if attempt.failed else attempt.result())[:2000]

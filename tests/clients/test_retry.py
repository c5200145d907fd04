"""What is tried again, and how it ends."""

from collections.abc import Callable

import pytest
import tenacity

from clients import retry
from contracts.errors import (
    BrokenPromise,
    Failed,
    Mistake,
    NotFound,
    NotReady,
    PlatformError,
    Refused,
    Unreachable,
)


def fails(error: Exception, times: int) -> tuple[Callable[[], int], list[int]]:
    """Work that fails so often and then returns the number of its call; and the calls so far."""
    calls: list[int] = []

    def work() -> int:
        calls.append(len(calls) + 1)
        if len(calls) <= times:
            raise error
        return len(calls)

    return work, calls


@pytest.mark.parametrize("kind", [Unreachable, NotReady])
def test_what_may_pass_is_tried_again(kind: type[PlatformError]) -> None:
    work, calls = fails(kind("not yet"), times=2)
    assert retry.retrying(60)(work) == 3
    assert calls == [1, 2, 3]


@pytest.mark.parametrize("kind", [Refused, NotFound, Mistake, BrokenPromise, Failed, ValueError])
def test_what_stays_is_raised_at_once(kind: type[Exception]) -> None:
    work, calls = fails(kind("no"), times=1)
    with pytest.raises(kind, match=r"^no$"):
        retry.retrying(60)(work)
    assert calls == [1]


def test_the_last_error_is_raised_when_the_time_is_over() -> None:
    work, calls = fails(Unreachable("still not"), times=1000)
    with pytest.raises(Unreachable, match=r"^still not$"):
        retry.retrying(0.5)(work)
    assert len(calls) > 1


def test_without_time_there_is_one_try() -> None:
    work, calls = fails(Unreachable("not there"), times=1)
    with pytest.raises(Unreachable):
        retry.retrying(0)(work)
    assert calls == [1]


def test_until_asks_for_a_good_answer() -> None:
    work, _ = fails(Unreachable("not yet"), times=2)
    assert retry.until(work, lambda answer: answer >= 5, seconds=60, pause=0.01) == 5


def test_until_gives_up_with_the_last_answer() -> None:
    with pytest.raises(NotReady, match=r"the shop: not there after 0\.1 s: closed") as raised:
        retry.until(lambda: "closed", lambda answer: answer == "open", seconds=0.1, pause=0.01, what="the shop")
    assert isinstance(raised.value.__cause__, tenacity.RetryError)


def test_until_gives_up_with_the_last_error() -> None:
    work, _ = fails(Unreachable("nobody is at the door"), times=1000)
    with pytest.raises(NotReady, match="nobody is at the door"):
        retry.until(work, seconds=0.1, pause=0.01)


def test_until_raises_what_stays_at_once() -> None:
    work, calls = fails(Refused("members only"), times=1000)
    with pytest.raises(Refused, match="members only"):
        retry.until(work, seconds=60, pause=0.01)
    assert calls == [1]

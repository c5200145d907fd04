"""What can go wrong, by kind: raised by the clients and everything above them, shown by the command line alone.

Each error is one clear sentence: what failed, with what value, what to do. Whether it is worth trying again is a
property of its type, never of its words.
"""

from typing import ClassVar


class PlatformError(Exception):
    """The base of all kinds. ``exit_code`` is that of a command which ends with it."""

    retriable: ClassVar[bool] = False
    """Whether the same call may succeed later with nothing changed by anyone."""
    exit_code: ClassVar[int] = 1


class Unreachable(PlatformError):
    """A server does not answer, or hung up in the middle."""

    retriable = True


class NotReady(PlatformError):
    """A server answers, but does not serve yet, or what is waited for is not there yet."""

    retriable = True


class Refused(PlatformError):
    """A server answered, and its answer is no: a login, a right, a statement, a request."""


class NotFound(Refused):
    """What was asked for is not there."""


class Mistake(PlatformError):
    """A user's mistake: a wrong value, an unknown name, a command that does not fit what is there."""

    exit_code = 2


class BrokenPromise(PlatformError):
    """The platform's own figures contradict each other, or going on would make them do so."""


class Fenced(BrokenPromise):
    """Another writer has started since and goes on in this one's place; nothing was harmed."""

    exit_code = 3


class Failed(PlatformError):
    """A program that was run for this failed, or what it needs is not installed."""


class NotInstalled(Failed):
    """A program that this needs is not on this machine."""

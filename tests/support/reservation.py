"""``python -m tests.support.reservation hold`` reserves the cluster until a line comes; ``require`` asks for it."""

import sys

from deploy.clusters.reservation import require, reserved


def hold() -> None:
    with reserved("the tests of elsewhere", lambda line: print(line, flush=True)):
        print("reserved", flush=True)
        input()


if __name__ == "__main__":
    {"hold": hold, "require": require}[sys.argv[1]]()

"""``python -m jobs.serving``: ``python -m serving`` by the name that it had."""

from contracts.command import run
from serving.__main__ import main

if __name__ == "__main__":
    run(main)

"""Where a streaming job begins to read: where its own log says that it has ended, not where Spark's checkpoint does.

A checkpoint is then disposable: each run has one of its own, and a lost one costs nothing.
"""

import json
from typing import Final

from clients import kafka, retry
from clients.commits import Gap
from contracts.errors import BrokenPromise, NotReady
from contracts.settings import Settings

CATCH_UP_SECONDS: Final = 60.0
"""For a broker that has just become the leader to know its newest offsets."""


def held(settings: Settings, topics: list[str], done: dict[str, int]) -> kafka.Ranges:
    """What Kafka holds of the topics, which is at least up to the offsets ``done`` (by ``topic/number``).

    Raises :class:`BrokenPromise` where a partition ends before what was done of it: its offsets begin anew.
    """

    def ask() -> kafka.Ranges:
        found = kafka.ranges(settings, topics)
        if behind := [place for place, end in done.items() if found.get(place, (0, 0))[1] < end]:
            raise NotReady(
                f"{behind[0]} ends at offset {found.get(behind[0], (0, 0))[1]}, though records up to {done[behind[0]]} "
                "were handled: the topic was cut or created anew (python -m jobs.adopt goes on with it)"
            )
        return found

    try:
        return retry.retrying(CATCH_UP_SECONDS)(ask)
    except NotReady as error:
        raise BrokenPromise(str(error)) from error


def gaps(ranges: kafka.Ranges, done: dict[str, int]) -> list[Gap]:
    """What retention took before it was read; a partition that nothing is done of begins where Kafka begins."""
    return [Gap(place, end, ranges[place][0]) for place, end in sorted(done.items()) if end < ranges[place][0]]


def starting(ranges: kafka.Ranges, done: dict[str, int]) -> dict[str, int]:
    """The first offset of each partition that is not done and that Kafka still has."""
    return {place: max(first, done.get(place, 0)) for place, (first, _) in ranges.items()}


def spark_option(starts: dict[str, int]) -> str:
    """Spark's ``startingOffsets``."""
    offsets: dict[str, dict[str, int]] = {}
    for place, start in starts.items():
        topic, _, number = place.rpartition("/")
        offsets.setdefault(topic, {})[number] = start
    return json.dumps(offsets)

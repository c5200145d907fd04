"""A day without imperfections, played once."""

from collections import defaultdict
from typing import Any

import pytest

from contracts.events import CLICKS, PURCHASES
from generator.catalogue import Catalogue
from tests.support.account import Account
from tests.support.shop import EVENTS, FLAWLESS_FLAGS, play


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory) -> Account:
    """A day without imperfections."""
    return play(tmp_path_factory.mktemp("day"), f"--events={EVENTS}", "--seed=7", *FLAWLESS_FLAGS)[0]


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return Catalogue(7)


@pytest.fixture(scope="session")
def sessions(account: Account) -> dict[str, list[Any]]:
    """The clicks of each session, and at its end its first purchase."""
    by_session = defaultdict(list)
    for event in account.events[CLICKS]:
        by_session[event.session_id].append(event)
    bought = set()
    for event in account.events[PURCHASES]:
        if event.session_id not in bought:
            bought.add(event.session_id)
            by_session[event.session_id].append(event)
    return by_session

"""Several days in one go, and what goes wrong over days."""

import hashlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.errors import Mistake
from contracts.events import CLICKS, INVENTORY, PURCHASES, STREAMS, timestamp
from generator import arrivals
from generator.config import ONE_DAY, VISITORS
from generator.troubles import Outage, WrongClock
from tests.support.account import Account
from tests.support.shop import DAY, FIRST, FLAWLESS_FLAGS, WEEK, assert_disjoint, command, play

TROUBLE = datetime(FIRST.year, FIRST.month, FIRST.day, 18, tzinfo=UTC) + 2 * ONE_DAY
"""On the third day at 18:00."""
HOURS = timedelta(hours=3)
Run = tuple[Account, dict[str, Any]]


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """With much of everything that goes wrong over days."""
    shares = ["--later-day-share=0.03", "--stale-duplicate-share=0.02", "--delayed-share=0.01"]
    troubles = [
        f"--outage={TROUBLE:%Y-%m-%dT%H:%M}/180/0.3",
        f"--wrong-clock={TROUBLE + ONE_DAY:%Y-%m-%dT%H:%M}/60/-7200",
    ]
    return play(tmp_path_factory.mktemp("week"), WEEK, "--events=20000", "--growth=0.1", *shares, *troubles)


@pytest.fixture(scope="module")
def flawless_week(tmp_path_factory: pytest.TempPathFactory) -> Account:
    return play(tmp_path_factory.mktemp("flawless"), WEEK, "--events=30000", "--growth=0.1", *FLAWLESS_FLAGS)[0]


def test_the_ledger_of_days_equals_a_recount(week: Run) -> None:
    account, ledger = week
    assert account.differences(ledger) == []
    assert ledger["day"] == f"{FIRST}..{DAY}"
    dates = {stream: Counter(str(event.event_time.date()) for event in account.events[stream]) for stream in STREAMS}
    alerts = Counter(str(event.event_time.date()) for event in account.events[INVENTORY] if event.is_critical())
    assert {day: said["produced"] for day, said in ledger["days"].items()} == {
        str(day): {stream.name: dates[stream][str(day)] for stream in STREAMS}
        for day in (FIRST + number * ONE_DAY for number in range(7))
    }
    assert {day: said["alerts_expected"] for day, said in ledger["days"].items()} == {
        day: alerts[day] for day in ledger["days"]
    }
    revenue = Counter()  # type: ignore[var-annotated]
    for event in account.events[PURCHASES]:
        revenue[str(event.event_time.date())] += event.total
    assert {day: said["revenue"] for day, said in ledger["days"].items()} == {
        d: str(revenue[d]) for d in ledger["days"]
    }
    for name, count in ledger["streams"].items():
        assert count["later_day"] == sum(day["later_day"][name] for day in ledger["days"].values())


def test_some_events_come_on_a_later_day_where_they_would_arrive(week: Run) -> None:
    account, ledger = week
    newest, after, days_after = datetime.min.replace(tzinfo=UTC), 0, Counter()  # type: ignore[var-annotated]
    for event in account.events[CLICKS]:
        newest = max(newest, event.event_time)
        after += newest.date() > event.event_time.date()
        days_after[(newest.date() - event.event_time.date()).days] += 1
    said = sum(day["later_day"]["clicks"] for name, day in ledger["days"].items() if name != str(DAY))
    assert after == pytest.approx(said, rel=0.03), "those of the last day come when nothing newer does"
    clicks = ledger["streams"]["clicks"]
    assert clicks["later_day"] / clicks["produced"] == pytest.approx(0.03, abs=0.006)
    assert clicks["stale_duplicates"] / clicks["produced"] == pytest.approx(0.02, rel=0.1)
    assert days_after[2] / days_after[1] == pytest.approx(0.5, abs=0.15)
    assert {3, 4, 5} < set(days_after)


def test_an_outage_holds_a_server_s_events_back_for_one_burst(week: Run) -> None:
    account, ledger = week
    held = {name: stream["held"] for name, stream in ledger["streams"].items()}
    during = [event for event in account.events[CLICKS] if TROUBLE <= event.event_time < TROUBLE + HOURS]
    assert held["clicks"] / len(during) == pytest.approx(0.3, abs=0.05)
    assert held["inventory"] == 0
    assert held["purchases"] > 0
    newest, burst = datetime.min.replace(tzinfo=UTC), []
    nearly = TROUBLE + HOURS - timedelta(minutes=1)  # the burst may come before the first other event after the outage
    for place, event in enumerate(account.events[CLICKS]):
        newest = max(newest, event.event_time)
        if TROUBLE <= event.event_time < TROUBLE + HOURS - timedelta(minutes=30) and newest >= nearly:
            burst.append((place, event.user_id))
    server = [user for _, user in burst if int(user[-6:]) % 1000 < 300]
    assert len(server) / len(burst) > 0.8, "the others came hours or days late of their own"
    places = [place for place, user in burst if int(user[-6:]) % 1000 < 300]
    assert np.median(np.diff(places)) == 1, "nothing else is sent meanwhile"
    assert not any(
        int(event.user_id[-6:]) % 1000 < 300
        for event in account.events[CLICKS][: places[0]]
        if TROUBLE <= event.event_time < TROUBLE + HOURS
    )


def test_a_wrong_clock_dates_a_server_s_events(tmp_path: Path) -> None:
    wrong = f"--wrong-clock={TROUBLE:%Y-%m-%dT%H:%M}/180/-7200/0.5"
    (right, _), (account, ledger) = (
        play(tmp_path, WEEK, "--events=20000", *FLAWLESS_FLAGS, *flags) for flags in ([], [wrong])
    )
    assert account.differences(ledger) == []
    streams = ledger["streams"]
    assert streams["inventory"]["misdated"] == 0

    def during(of: Account) -> int:
        return sum(TROUBLE <= event.event_time < TROUBLE + HOURS for event in of.events[CLICKS])

    assert during(account) < 0.75 * during(right)
    assert streams["clicks"]["misdated"] == pytest.approx(during(right) / 2, rel=0.25)
    assert account.late["clicks"] == streams["clicks"]["misdated"], "to the jobs they are late"


def test_days_have_their_weekday_and_the_shop_grows(flawless_week: Account) -> None:
    counts = Counter(event.event_time.date() for event in flawless_week.events[CLICKS] if event.page == "home")
    days = [FIRST + number * ONE_DAY for number in range(7)]
    expected = np.array([arrivals.WEEKLY[day.weekday()] * 1.1**number for number, day in enumerate(days)])
    counted = np.array([counts[day] for day in days])
    assert ((counted - expected / expected.sum() * counted.sum()) ** 2 / counted).sum() < 22.5  # 6 degrees, 1 in 1,000
    assert sum(len(ids) for ids in flawless_week.ids.values()) == pytest.approx(7 * 30_000, rel=0.02)
    newest = {day: 0 for day in days}
    for event in flawless_week.events[CLICKS]:
        if event.page == "home":
            newest[event.event_time.date()] = max(newest[event.event_time.date()], int(event.user_id[-6:]))
    for number, day in enumerate(days):
        assert newest[day] == pytest.approx(VISITORS * 1.1 ** (number - 6), rel=0.01), "new visitors come day by day"


def test_the_same_days_and_seed_give_the_same_bytes(tmp_path: Path) -> None:
    def digest(*arguments: str) -> str:
        result = command("--to", str(tmp_path / "run.jsonl"), WEEK, "--events=2000", *arguments)
        assert result.exit_code == 0, result.output
        return hashlib.sha256((tmp_path / "run.jsonl").read_bytes()).hexdigest()

    assert digest() == digest("--seed=1")
    outage = f"--outage={TROUBLE:%Y-%m-%dT%H:%M}/60"
    assert len({digest(), digest("--growth=0"), digest("--later-day-share=0"), digest(outage)}) == 4


def test_replicas_of_days_do_not_meet(tmp_path: Path) -> None:
    flags = (WEEK, "--events=6000", "--replicas=2")
    assert_disjoint([play(tmp_path, *flags, f"--replica={replica}")[0] for replica in range(2)])


def test_a_file_takes_days_that_kafka_would_refuse(tmp_path: Path) -> None:
    old = command(f"--to={tmp_path / 'x'}", "--days=2020-02-28..2020-03-01", "--events=300")
    assert old.exit_code == 0, old.output
    assert "is too old" in str(command("--days=2020-02-28..2020-03-01").exception)


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (Outage.parse, "noon/60", "is not YYYY-MM-DDTHH:MM/MINUTES"),
        (Outage.parse, "2026-11-20T14:00/0", "must last a minute"),
        (Outage.parse, "2026-11-20T14:00/60/2", "a share above 0"),
        (WrongClock.parse, "2026-11-20T14:00/60", "is not YYYY-MM-DDTHH:MM/MINUTES/SECONDS"),
        (WrongClock.parse, "2026-11-20T14:00/60/0", "1 to 86400 seconds"),
    ],
)
def test_a_trouble_is_spelt_as_stated(parse: Any, text: str, message: str) -> None:
    with pytest.raises(Mistake, match=message):
        parse(text)


def test_a_live_clock_may_not_run_far_ahead() -> None:
    ahead = f"--wrong-clock={timestamp(datetime.now(UTC))[:16]}/60/3600"
    assert "makes no valid events" in str(command("--to=-", ahead).exception)

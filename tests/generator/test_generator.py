"""The simulated shop against its stated model (generator/README.md), with fixed seeds."""

import base64
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from contracts.catalog import CATALOG_SIZE, CATEGORIES, PRODUCT_CATEGORY
from contracts.errors import PlatformError
from contracts.events import BY_TOPIC, CLICKS, INVENTORY, PURCHASES, STREAMS, StockChange, Stream, decoder
from generator import arrivals, stock, walk
from generator.catalogue import TRADE, Catalogue
from generator.cli import main
from generator.config import DAY_MS, MINUTE_MS, Config, FlashSale, Imperfections, Share, rng_for
from generator.encode import Encoder, EventIds, json_lines
from generator.imperfections import DEFECTS_OF, Defect, malformed
from generator.ledger import MINUTES_KEPT, Ledger
from generator.metrics import Metrics
from generator.play import Player
from generator.records import FACTS, Batch, Kind
from generator.shop import Shop
from generator.sinks import Failure
from generator.stock import Stock
from generator.visitors import RETURN_RATE, Visitors
from tests.support.account import Account, recount
from tests.support.judging import judge

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)
FLAWLESS = Imperfections(0, 0, 0, 0)
EVENTS = 300_000


def read_lines(path: Path) -> Iterable[tuple[Stream, str, bytes]]:
    """The records of a JSON lines file, the bytes of a value as they stand there."""
    for line in path.read_bytes().splitlines():
        record = json.loads(line)
        if "raw" in record:
            yield BY_TOPIC[record["topic"]], record["key"], base64.b64decode(record["raw"])
        else:
            yield BY_TOPIC[record["topic"]], record["key"], line.split(b',"value":', 1)[1][:-1]


def command(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def play(tmp_path: Path, *arguments: str) -> tuple[Account, dict[str, Any]]:
    """Plays into a file: a recount of it, and the ledger."""
    lines, ledger = tmp_path / "records.jsonl", tmp_path / "ledger.json"
    result = command("--to", str(lines), "--ledger", str(ledger), *arguments)
    assert result.exit_code == 0, result.output
    return recount(read_lines(lines)), json.loads(ledger.read_text())


def chi_square(counted: np.ndarray, expected: np.ndarray) -> float:
    """Per degree of freedom; with 23 of them it is above 2.16 once in a thousand."""
    return float(((counted - expected) ** 2 / expected).sum() / (len(expected) - 1))


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Account:
    """A day without imperfections."""
    flags = [f"--{name}-share=0" for name in ("delayed", "duplicate", "out-of-order", "malformed")]
    return play(tmp_path_factory.mktemp("day"), f"--events={EVENTS}", "--seed=7", *flags)[0]


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.draw(7)


@pytest.fixture(scope="module")
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


def test_about_as_many_events_as_asked_for_in_the_stated_mix(account: Account) -> None:
    counts = {stream: len(account.events[stream]) for stream in STREAMS}
    total = sum(counts.values())
    assert total == pytest.approx(EVENTS, rel=0.02)
    assert counts[CLICKS] / total == pytest.approx(0.918, abs=0.005)
    assert counts[PURCHASES] / total == pytest.approx(0.033, abs=0.002)
    assert counts[INVENTORY] / total == pytest.approx(0.049, abs=0.003)


def test_every_event_is_of_the_day_played(account: Account) -> None:
    assert {event.event_time.date() for stream in STREAMS for event in account.events[stream]} == {YESTERDAY}


def test_sessions_begin_in_the_rhythm_of_the_day(account: Account) -> None:
    begins = Counter(event.event_time.hour for event in account.events[CLICKS] if event.page == "home")
    counted = np.array([begins[hour] for hour in range(24)])
    expected = arrivals.DAILY.reshape(24, 60).mean(axis=1) / 24 * counted.sum()
    assert chi_square(counted, expected) < 2.16


def test_the_week_has_a_rhythm() -> None:
    monday = int(datetime(2026, 11, 16, tzinfo=UTC).timestamp() * 1000)
    shop = arrivals.Arrivals(arrivals.Rhythm(True, ()), 70_000 / (7 * DAY_MS))
    times, _ = shop.draw(rng_for("week"), monday, monday + 7 * DAY_MS)
    counted = np.bincount((times - monday) // DAY_MS, minlength=7)
    assert chi_square(counted, arrivals.WEEKLY / arrivals.WEEKLY.sum() * 70_000) < 3.75  # 6 degrees, one in a thousand


def test_arrivals_are_the_same_process_whatever_the_steps() -> None:
    """Poisson: the counts of minutes vary as much as they average, in steps of a second as in one of an hour."""
    steady = arrivals.Arrivals(arrivals.Rhythm(False, ()), 50 / MINUTE_MS)
    rng = rng_for("steps")
    for step in (1_000, 60 * MINUTE_MS):
        times = np.concatenate([steady.draw(rng, at, at + step)[0] for at in range(0, 600 * MINUTE_MS, step)])
        counts = np.bincount(times // MINUTE_MS, minlength=600)
        assert counts.mean() == pytest.approx(50, rel=0.02)
        assert counts.var() == pytest.approx(50, rel=0.2)


def test_a_flash_sale_multiplies_arrivals_and_draws_them_to_its_category() -> None:
    sale = FlashSale.parse("20:00/30/5/toys")
    shop = arrivals.Arrivals(arrivals.Rhythm(False, (sale,)), 100 / MINUTE_MS)
    times, wanted = shop.draw(rng_for("sale"), 0, DAY_MS)
    per_minute = np.bincount(times // MINUTE_MS, minlength=1440)
    during = slice(20 * 60, 20 * 60 + 30)
    assert per_minute[during].mean() == pytest.approx(500, rel=0.03)
    assert np.delete(per_minute, np.r_[during]).mean() == pytest.approx(100, rel=0.01)
    assert (wanted >= 0).sum() / per_minute[during].sum() == pytest.approx(0.8, abs=0.02)
    assert set(wanted) == {-1, CATEGORIES.index("toys")}


def test_the_funnel_drops_off_as_stated(sessions: dict[str, list[Any]]) -> None:
    """Every transition of the table, for each category, within 4.5 standard errors."""
    steps: Counter[tuple[str, str | None, str]] = Counter()
    for events in sessions.values():
        category = None
        for event, following in [*pairwise(events), (events[-1], None)]:
            page = getattr(event, "page", None)
            if page is None:
                continue
            category = event.category or category
            steps[page, category, "exit" if following is None else getattr(following, "page", "purchase")] += 1

    returning = RETURN_RATE[0] / sum(RETURN_RATE)
    home = np.average(
        [walk.CHANCES[walk.HOME], walk.CHANCES[walk.HOME_RETURNING]], axis=0, weights=[1 - returning, returning]
    )
    expected: dict[tuple[str, str | None, str], float] = {
        ("home", None, "category"): home[0],
        ("home", None, "product"): home[1],
    }
    for name, trade in TRADE.items():
        expected |= {
            ("product", name, "category"): walk.PRODUCT_TO_CATEGORY,
            ("product", name, "product"): walk.PRODUCT_TO_PRODUCT,
            ("product", name, "cart"): trade.to_cart,
            ("category", name, "category"): walk.CHANCES[walk.CATEGORY][0],
            ("category", name, "product"): walk.CHANCES[walk.CATEGORY][1],
            ("cart", name, "product"): walk.CHANCES[walk.CART][1],
            ("cart", name, "checkout"): walk.CHANCES[walk.CART][2],
            ("checkout", name, "purchase"): trade.to_purchase,
        }
    totals: Counter[tuple[str, str | None]] = Counter()
    for (page, category, _), count in steps.items():
        totals[page, category] += count
    assert {step for step in steps if step[2] != "exit"} == set(expected), "steps that the model does not have"
    for (page, category, to), chance in expected.items():
        total = totals[page, category]
        error = (chance * (1 - chance) / total) ** 0.5
        assert abs(steps[page, category, to] / total - chance) < 4.5 * error, (page, category, to, chance, total)


def test_popularity_follows_zipf(account: Account, catalogue: Catalogue) -> None:
    views = Counter(event.product_id for event in account.events[CLICKS] if event.page == "product")
    ranked = np.array([[views[catalogue.ids[product]] for product in products] for products in catalogue.by_rank]).sum(
        axis=0
    )
    ranks = np.arange(1, 51)
    slope, _ = np.polyfit(np.log(ranks), np.log(ranked[:50]), 1)
    assert slope == pytest.approx(-1.0, abs=0.03)


def test_prices_are_log_normal(catalogue: Catalogue) -> None:
    for index, name in enumerate(CATEGORIES):
        logs = np.sort(np.log(catalogue.cents[catalogue.category == index] / 100))
        trade = TRADE[name]
        assert np.exp(np.median(logs)) == pytest.approx(
            trade.median_price, rel=5 * trade.price_sigma / len(logs) ** 0.5
        )
        assert logs.std() == pytest.approx(trade.price_sigma, rel=0.2)
        skew = (((logs - logs.mean()) / logs.std()) ** 3).mean()
        assert abs(skew) < 4 * (6 / len(logs)) ** 0.5


def test_prices_are_those_of_the_catalogue(account: Account, catalogue: Catalogue) -> None:
    prices = dict(zip(catalogue.ids, catalogue.cents.tolist(), strict=True))
    assert all(event.unit_price * 100 == prices[event.product_id] for event in account.events[PURCHASES])


def test_visitors_return(account: Account) -> None:
    """A few visitors come often: the busiest hundredth has several times its share of the sessions."""
    sessions = Counter(event.user_id for event in account.events[CLICKS] if event.page == "home")
    busiest = sum(count for _, count in sessions.most_common(len(sessions) // 100))
    assert busiest / sum(sessions.values()) > 0.05
    assert sum(count > 1 for count in sessions.values()) / len(sessions) > 0.2


def test_stock_levels_follow_from_the_changes(account: Account) -> None:
    level: defaultdict[tuple[str, str], int] = defaultdict(int)
    last: dict[tuple[str, str], datetime] = {}
    for event in account.events[INVENTORY]:
        shelf = event.product_id, event.warehouse
        level[shelf] += event.change
        assert event.stock_level == level[shelf]
        assert shelf not in last or event.event_time - last[shelf] >= timedelta(milliseconds=1)
        last[shelf] = event.event_time
    assert len(level) == 2 * len(PRODUCT_CATEGORY)
    assert {event.reason for event in account.events[INVENTORY]} == {"sale", "restock", "adjustment"}
    assert account.alerts > 20


def test_what_is_critical_is_the_contract_s_rule() -> None:
    """Random levels around the threshold: the column of the ledger, and ``StockChange`` of the same row's JSON."""
    config, rng = Config(7, Share(), FLAWLESS, rate=10), rng_for("critical")
    catalogue = Catalogue.draw(7)
    thresholds = rng.integers(0, 6, 2 * CATALOG_SIZE).tolist()
    encoder = Encoder("0", catalogue, Visitors.draw(7, Share(), catalogue), config.share.warehouses, thresholds)
    rows = np.zeros(2_000, dtype=stock.STOCK_ROW)
    rows["pair"] = rng.integers(0, 2 * CATALOG_SIZE, len(rows))
    rows["level"] = rng.integers(0, 10, len(rows))
    rows["change"] = np.minimum(rng.integers(-6, 6, len(rows)), rows["level"])
    values, _ = encoder.inventory(rows, EventIds(config, rng, 0).draw(len(rows)))
    decoded = map(decoder(INVENTORY).decode, values)
    expected = [isinstance(event, StockChange) and event.is_critical() for event in decoded]
    assert encoder.is_critical(rows).tolist() == expected
    assert 0 < sum(expected) < len(rows)


def test_each_purchase_is_a_sale_of_stock(account: Account) -> None:
    sales = [event for event in account.events[INVENTORY] if event.reason == "sale"]
    purchases = account.events[PURCHASES]
    assert Counter((s.product_id, -s.change) for s in sales) == Counter((p.product_id, p.quantity) for p in purchases)
    delays = [
        sale.event_time - purchase.event_time
        for purchase, sale in zip(
            sorted(purchases, key=lambda e: (e.product_id, e.event_time)),
            sorted(sales, key=lambda e: (e.product_id, e.event_time)),
            strict=True,
        )
    ]
    assert timedelta(0) <= min(delays)
    assert max(delays) < timedelta(milliseconds=10)


def test_stock_never_sells_what_it_has_not() -> None:
    """Two shelves of one product with demand far below the sales."""
    demand = np.zeros(2 * CATALOG_SIZE)
    shelves = Stock(rng_for("empty"), demand, 0, 0, 0, 0.0)
    sales = np.zeros(100, dtype=walk.PURCHASE_ROW)
    sales["time"], sales["quantity"] = np.arange(1, 101), 3
    changes, sold = shelves.play(sales, np.zeros(100, dtype=int), 0, 1000)
    assert changes["level"].min() >= 0
    assert shelves.lost_sales == np.count_nonzero(~sold) > 0
    assert set(changes["pair"]) == {0, CATALOG_SIZE}, "the other warehouse is asked before a sale is lost"


def test_changes_of_a_shelf_in_one_millisecond_are_told_apart() -> None:
    shelves = Stock(rng_for("busy"), np.full(2 * CATALOG_SIZE, 100.0), 0, 0, 0, 0.0)
    sales = np.zeros(5, dtype=walk.PURCHASE_ROW)
    sales["time"], sales["quantity"] = 1_000, 1
    changes, _ = shelves.play(sales, np.zeros(5, dtype=int), 0, 2_000)
    assert changes["time"].tolist() == [1_000, 1_001, 1_002, 1_003, 1_004, 1_005]
    assert np.diff(changes["level"]).tolist() == [-1] * 5


def test_the_same_seed_day_and_number_give_the_same_bytes(tmp_path: Path) -> None:
    def digest(*arguments: str) -> str:
        command("--to", str(tmp_path / "run.jsonl"), "--events=20000", *arguments)
        return hashlib.sha256((tmp_path / "run.jsonl").read_bytes()).hexdigest()

    assert digest("--seed=3") == digest("--seed=3", "--day", str(YESTERDAY)) == digest("--seed=3", "--speedup=1000000")
    assert len({digest("--seed=3"), digest("--seed=4"), digest("--seed=3", "--delayed-share=0")}) == 3


def test_replicas_share_the_shop_without_meeting(tmp_path: Path) -> None:
    whole, _ = play(tmp_path, "--events=60000")
    parts = [play(tmp_path, "--events=60000", "--replicas=3", f"--replica={replica}")[0] for replica in range(3)]
    _assert_disjoint(parts)
    count = [sum(len(ids) for ids in part.ids.values()) for part in parts]
    assert sum(count) == pytest.approx(sum(len(ids) for ids in whole.ids.values()), rel=0.05)
    assert max(count) / min(count) < 1.1
    people = [set(Visitors.draw(1, Share(n, i), Catalogue.draw(1)).ids) for n, i in ((1, 0), (2, 0), (2, 1))]
    assert people[0] == people[1] | people[2]
    assert not people[1] & people[2]


def test_named_instances_do_not_meet(tmp_path: Path) -> None:
    names = ("generator-0", "generator-1", "generator-7f9c4-x2x")
    _assert_disjoint([play(tmp_path, "--events=9000", "--instance", name)[0] for name in names])


def _assert_disjoint(parts: list[Account]) -> None:
    for what in (
        lambda part: part.users,
        lambda part: set().union(*part.ids.values()),
        lambda part: {event_id[:8] for event_id in part.ids[CLICKS]},
        lambda part: {event.session_id for event in part.events[CLICKS]},
        lambda part: {(event.product_id, event.warehouse) for event in part.events[INVENTORY]},
    ):
        sets = [what(part) for part in parts]
        assert len(set().union(*sets)) == sum(len(items) for items in sets)


def test_a_live_run_never_repeats_the_ids_of_another() -> None:
    config = Config(1, Share(), FLAWLESS, rate=10)
    first, second = (EventIds(config, rng_for("ids", run), run) for run in (1, 2))
    assert first.prefix != second.prefix


def test_the_ledger_equals_a_recount(tmp_path: Path) -> None:
    shares = ["--delayed-share=0.02", "--duplicate-share=0.03", "--out-of-order-share=0.1", "--malformed-share=0.01"]
    ids = tmp_path / "ids.tsv"
    account, ledger = play(tmp_path, "--events=100000", "--seed=5", *shares, "--ledger-ids", str(ids))
    assert account.differences(ledger) == []
    said = ledger["streams"]
    assert {stream.name: said[stream.name]["delayed"] for stream in STREAMS} == {
        s.name: account.late[s.name] for s in STREAMS
    }, "in one stream of newer events all that is delayed is late"
    clicks = said["clicks"]
    assert clicks["delayed"] / clicks["produced"] == pytest.approx(0.02, rel=0.1)
    assert clicks["duplicates"] / clicks["produced"] == pytest.approx(0.03, rel=0.1)
    assert clicks["malformed"] / clicks["produced"] == pytest.approx(0.01, rel=0.15)
    listed = {tuple(line.split("\t")) for line in ids.read_text().splitlines()}
    assert listed == {(stream.name, event_id) for stream in STREAMS for event_id in account.ids[stream]}


def test_events_are_sent_out_of_order_and_copies_are_equal(tmp_path: Path) -> None:
    play(tmp_path, "--events=20000", "--out-of-order-share=0.2", "--delayed-share=0", "--duplicate-share=0.05")
    by_id: defaultdict[str, list[bytes]] = defaultdict(list)
    times = []
    for stream, _, value in read_lines(tmp_path / "records.jsonl"):
        try:
            event = decoder(stream).decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        by_id[event.event_id].append(value)
        if stream is CLICKS and len(by_id[event.event_id]) == 1:
            times.append(event.event_time)
    assert any(later < earlier for earlier, later in pairwise(times))
    copies = [values for values in by_id.values() if len(values) > 1]
    assert copies
    assert all(len(set(values)) == 1 and len(values) == 2 for values in copies)


@pytest.mark.parametrize(
    ("stream", "defect"),
    [
        pytest.param(stream, defect, id=f"{stream.name}: {defect.name}")
        for stream, defects in DEFECTS_OF.items()
        for defect in defects
    ],
)
def test_every_malformed_record_is_refused(account: Account, stream: Stream, defect: Defect) -> None:
    whole = account.events[stream][:50]
    assert judge(stream, [msgspec.json.encode(event) for event in whole]) == whole
    spoilt = [malformed(defect, stream, msgspec.json.encode(event).decode(), event.event_id) for event in whole]
    reasons = judge(stream, [value if isinstance(value, bytes) else value.encode() for value in spoilt])
    assert [reason for reason in reasons if not isinstance(reason, str)] == []


def test_columns_must_be_the_fields_of_the_contract() -> None:
    with pytest.raises(TypeError, match="not the fields of clicks"):
        json_lines(CLICKS, event_id=["1"], colour=["red"])


class FailingSink:
    """Loses every record of a kind, as a broker that is gone for good."""

    def __init__(self, kind: Kind) -> None:
        self.failed: list[Failure] = []
        self._kind = kind

    def send(self, batch: Batch, start: int, stop: int) -> None:
        for at in range(start, stop):
            if batch.facts["kind"][at] == self._kind:
                stream, value = STREAMS[batch.facts["stream"][at]], batch.values[at]
                value = value if isinstance(value, bytes) else value.encode()
                self.failed.append(Failure(stream, self._kind, value, "gone"))

    def waiting(self) -> int:
        return 0

    def close(self) -> None:
        pass


@pytest.mark.parametrize("kind", [Kind.VALID, Kind.COPY, Kind.MALFORMED])
def test_what_was_not_delivered_is_an_error_and_not_in_the_ledger(tmp_path: Path, kind: Kind) -> None:
    config = Config(1, Share(), Imperfections(0, 0.1, 0, 0.1), day=YESTERDAY, events=20_000)
    ledger, sink = Ledger(config), FailingSink(kind)
    player = Player(
        Shop(config, config.start_ms), sink, ledger, Metrics(), threading.Event(), lambda _: None, None, tmp_path / "l"
    )
    with pytest.raises(PlatformError, match="records were not delivered, the first to ecommerce-"):
        player.run()
    said = json.loads((tmp_path / "l").read_text())
    key = {Kind.VALID: "produced", Kind.COPY: "duplicates", Kind.MALFORMED: "malformed"}[kind]
    assert [stream[key] for stream in said["streams"].values()] == [0, 0, 0]
    if kind is Kind.VALID:
        assert (said["revenue"]["total"], said["alerts_expected"]) == ("0.00", 0)


def test_the_ledger_of_an_unbounded_run_does_not_grow() -> None:
    facts = np.zeros(MINUTES_KEPT + 500, dtype=FACTS)
    facts["time"], facts["cents"], facts["stream"] = np.arange(len(facts)) * MINUTE_MS, 100, 1
    ledger = Ledger(Config(1, Share(), FLAWLESS, rate=1))
    ledger.add(Batch(facts, [], [], []), 0, len(facts))
    assert len(ledger.minutes) == MINUTES_KEPT
    assert min(ledger.minutes) == 500
    assert ledger.cents == 100 * len(facts)


@pytest.mark.parametrize("rate", [300, 3000])
def test_live_events_are_of_now_and_sigterm_loses_nothing(tmp_path: Path, rate: int) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lines, ledger = tmp_path / "live.jsonl", tmp_path / "ledger.json"
    flags = ["--to", lines, "--ledger", ledger, "--rate", rate, "--metrics-port", port, "--delayed-share=0.1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "generator", *map(str, flags)], stderr=subprocess.PIPE, text=True, env={**os.environ}
    )
    assert process.stderr is not None
    while '"opened"' not in process.stderr.readline():
        assert process.poll() is None
    opened = datetime.now(UTC)
    time.sleep(8)
    metrics = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    closed = datetime.now(UTC)

    account = recount(read_lines(lines))
    assert account.differences(json.loads(ledger.read_text())) == []
    assert 'ecommerce_generator_records_total{kind="valid",stream="clicks"}' in metrics
    clicks = [event.event_time for event in account.events[CLICKS]]
    assert opened - timedelta(seconds=1) < min(clicks)
    assert max(clicks) <= closed
    assert len(clicks) / (max(clicks) - min(clicks)).total_seconds() == pytest.approx(0.93 * rate, rel=0.15)
    sales = Counter((e.product_id, -e.change) for e in account.events[INVENTORY] if e.reason == "sale")
    assert sales == Counter((e.product_id, e.quantity) for e in account.events[PURCHASES])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--events=10", "--rate=5"], "--rate plays now"),
        (["--day", str(datetime.now(UTC).date())], "is not over yet"),
        (["--day", str(date.today() + timedelta(days=3))], "is not over yet"),
        (["--day", str(datetime.now(UTC).date() - timedelta(days=30))], "is too old"),
        (["--replicas=2", "--replica=2"], "replica 2 of 2 does not exist"),
        (["--replicas=2", "--instance=a"], "leave --replicas and --replica out"),
        (["--delayed-share=0.9"], "--delayed-share 0.9 is not between"),
        (["--flash-sale=noon"], "is not HH:MM/MINUTES/FACTOR"),
        (["--flash-sale=12:00/30/5/cars"], "names no category"),
        (["--events=10", "--to=/nowhere/x"], "cannot write /nowhere/x"),
        (["--events=10", "--to=-", "--ledger=/nowhere/x"], "cannot write the ledger /nowhere/x"),
        (["--events=10", "--to=-", "--ledger-ids=/nowhere/x"], "cannot write /nowhere/x"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: list[str], message: str) -> None:
    one_sentence(arguments, message, code=2)


@pytest.mark.parametrize("client", ["confluent", "kafka-python"])
def test_a_kafka_that_is_not_there_is_one_sentence(client: str) -> None:
    one_sentence([f"--client={client}", "--kafka-bootstrap=127.0.0.1:1"], "Kafka at 127.0.0.1:1 cannot be reached", 1)


def one_sentence(arguments: list[str], message: str, code: int) -> None:
    command = [sys.executable, "-m", "generator", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == code
    assert message in result.stderr
    assert [line for line in result.stderr.splitlines() if not line.startswith("{")] == [result.stderr.splitlines()[-1]]


def test_settings_come_from_the_environment(tmp_path: Path) -> None:
    environment = {"ECOMMERCE_GENERATOR_EVENTS": "3000", "ECOMMERCE_GENERATOR_TO": str(tmp_path / "x.jsonl")}
    environment |= {"ECOMMERCE_GENERATOR_FLASH_SALE": "10:00/10/3 20:00/30/5/toys"}
    result = CliRunner(env=environment).invoke(main, [])
    assert result.exit_code == 0, result.output
    assert len((tmp_path / "x.jsonl").read_text().splitlines()) > 2_000


@pytest.mark.parametrize("name", ["DELAYED_SHARE", "LATE_SHARE"])
def test_the_share_of_delayed_events_keeps_its_former_name(name: str) -> None:
    by_variable = CliRunner(env={f"ECOMMERCE_GENERATOR_{name}": "0.9"}).invoke(main, [])
    assert "--delayed-share 0.9" in str(by_variable.exception)
    assert "--delayed-share 0.8" in str(command("--late-share=0.8").exception)

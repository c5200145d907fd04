"""What a run promises: the same bytes, replicas that do not meet, a ledger that is true, no loss."""

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
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from contracts.errors import PlatformError
from contracts.events import CLICKS, INVENTORY, PURCHASES, STREAMS
from contracts.products import Product
from generator.catalogue import Catalogue
from generator.config import MINUTE_MS, ONE_DAY, Config, Imperfections, Share, rng_for
from generator.encode import EventIds
from generator.ledger import MINUTES_KEPT, Ledger
from generator.metrics import Metrics
from generator.play import Player
from generator.presets import DEMO
from generator.records import FACTS, LABELS, Batch, Kind, labels
from generator.shop import Shop
from generator.sinks import Failure, Sink
from generator.visitors import Visitors
from tests.support.account import recount
from tests.support.shop import DAY, FLAWLESS, assert_disjoint, command, play, read_lines


def test_the_same_seed_day_and_number_give_the_same_bytes(tmp_path: Path) -> None:
    def digest(*arguments: str) -> str:
        command("--to", str(tmp_path / "run.jsonl"), "--events=20000", *arguments)
        return hashlib.sha256((tmp_path / "run.jsonl").read_bytes()).hexdigest()

    yesterday = datetime.now(UTC).date() - ONE_DAY
    assert digest("--seed=3") == digest("--seed=3", "--day", str(yesterday)) == digest("--seed=3", "--speedup=1000000")
    assert len({digest("--seed=3"), digest("--seed=4"), digest("--seed=3", "--delayed-share=0")}) == 3


def test_replicas_share_the_shop_without_meeting(tmp_path: Path) -> None:
    whole, _ = play(tmp_path, "--events=60000")
    parts = [play(tmp_path, "--events=60000", "--replicas=3", f"--replica={replica}")[0] for replica in range(3)]
    assert_disjoint(parts)
    count = [sum(len(ids) for ids in part.ids.values()) for part in parts]
    assert sum(count) == pytest.approx(sum(len(ids) for ids in whole.ids.values()), rel=0.05)
    assert max(count) / min(count) < 1.1
    people = [set(Visitors.draw(1, Share(n, i), Catalogue(1), DEMO).ids) for n, i in ((1, 0), (2, 0), (2, 1))]
    assert people[0] == people[1] | people[2]
    assert not people[1] & people[2]


def test_named_instances_do_not_meet(tmp_path: Path) -> None:
    names = ("generator-0", "generator-1", "generator-7f9c4-x2x")
    assert_disjoint([play(tmp_path, "--events=9000", "--instance", name)[0] for name in names])


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
    assert ledger["lost_sales"] < said["purchases"]["produced"] / 1000
    clicks = said["clicks"]
    assert clicks["delayed"] / clicks["produced"] == pytest.approx(0.02, rel=0.1)
    assert clicks["duplicates"] / clicks["produced"] == pytest.approx(0.03, rel=0.1)
    assert clicks["malformed"] / clicks["produced"] == pytest.approx(0.01, rel=0.15)
    listed = {tuple(line.split("\t")) for line in ids.read_text().splitlines()}
    assert listed == {(stream.name, event_id) for stream in STREAMS for event_id in account.ids[stream]}


class FailingSink:
    """Loses every record of a kind, as a broker that is gone for good."""

    def __init__(self, kind: Kind) -> None:
        self.failed: list[Failure] = []
        self._kind = kind

    def send(self, batch: Batch, start: int, stop: int) -> None:
        for at in range(start, stop):
            label = LABELS[labels(batch.facts[at : at + 1])[0]]
            if label.kind is self._kind:
                stream, value = STREAMS[batch.facts["stream"][at]], batch.values[at]
                value = value if isinstance(value, bytes) else value.encode()
                self.failed.append(Failure(stream.topic, label, value, "gone"))

    def publish(self, products: list[Product]) -> None:
        pass

    def waiting(self) -> int:
        return 0

    def settled(self, seconds: float) -> bool:
        return True

    def close(self) -> None:
        pass


def player_of(config: Config, sink: Sink, folder: Path) -> Player:
    """Plays as fast as possible, with the ledger ``l`` and the list of ids ``ids`` in the folder."""
    shop, ids = Shop(config, config.start_ms), (folder / "ids").open("w")
    return Player(
        shop, sink, Ledger(config), Metrics(), threading.Event(), lambda _: None, None, folder / "l", ids_file=ids
    )


class SlowSink(FailingSink):
    """Acknowledges nothing before its second checkpoint."""

    asked = 0

    def __init__(self) -> None:
        super().__init__(Kind.STALE_COPY)

    def settled(self, seconds: float) -> bool:
        self.asked += 1
        return self.asked > 1


def test_only_what_is_acknowledged_is_in_the_ledger_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shop that is killed leaves the ledger and the ids that it last wrote."""
    monkeypatch.setattr("generator.play.LEDGER_SECONDS", 0.0)
    sink = SlowSink()
    player = player_of(Config(1, Share(), FLAWLESS, day=DAY, events=100_000), sink, tmp_path)
    found: list[tuple[int, int]] = []

    def look(_: int) -> None:
        written = json.loads((tmp_path / "l").read_text()) if (tmp_path / "l").exists() else {"streams": {}}
        produced = sum(stream["produced"] for stream in written["streams"].values())
        assert len((tmp_path / "ids").read_text().splitlines()) == produced
        found.append((sink.asked, produced))

    player.progress = look
    player.run()
    assert [produced for asked, produced in found if asked <= 1] == [0, 0], "after the first steps nothing is certain"
    assert all(produced for asked, produced in found if asked > 1)


@pytest.mark.parametrize("kind", [Kind.VALID, Kind.COPY, Kind.MALFORMED])
def test_what_was_not_delivered_is_an_error_and_not_in_the_ledger(tmp_path: Path, kind: Kind) -> None:
    config = Config(1, Share(), Imperfections(0, 0.1, 0, 0.1), day=DAY, events=20_000)
    player = player_of(config, FailingSink(kind), tmp_path)
    with pytest.raises(PlatformError, match="records were not delivered, the first to ecommerce-"):
        player.run()
    said = json.loads((tmp_path / "l").read_text())
    key = {Kind.VALID: "produced", Kind.COPY: "duplicates", Kind.MALFORMED: "malformed"}[kind]
    assert [stream[key] for stream in said["streams"].values()] == [0, 0, 0]
    assert [day["produced"] for day in said["days"].values()] == [
        {name: stream["produced"] for name, stream in said["streams"].items()}
    ]
    listed = (tmp_path / "ids").read_text().splitlines()
    assert len(listed) == sum(stream["produced"] for stream in said["streams"].values())
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
    flags = ["--to", lines, "--ledger", ledger, "--rate", rate, "--metrics-port", port]
    flags += ["--delayed-share=0.1", "--later-day-share=0.1"]
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

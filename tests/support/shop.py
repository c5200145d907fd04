"""The simulated shop played into a file, for tests."""

import base64
import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from contracts.events import BY_TOPIC, CLICKS, INVENTORY, Stream
from generator.cli import main
from generator.config import Imperfections
from tests.support.account import Account, recount

DAY = date(2026, 11, 23)
"""The last day played, always the same one: the draws depend on it."""
FIRST = DAY - timedelta(days=6)
WEEK = f"--days={FIRST}..{DAY}"
READ = datetime.combine(DAY, time(), UTC) + timedelta(days=2)
"""When the records count as appended to Kafka."""
FLAWLESS = Imperfections(0, 0, 0, 0)
FLAWLESS_FLAGS = [
    f"--{name}-share=0"
    for name in ("delayed", "later-day", "duplicate", "stale-duplicate", "out-of-order", "malformed")
]
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
    days = [] if any(argument.startswith("--day") for argument in arguments) else [f"--day={DAY}"]
    result = command("--to", str(lines), "--ledger", str(ledger), *days, *arguments)
    assert result.exit_code == 0, result.output
    return recount(read_lines(lines), READ), json.loads(ledger.read_text())


def assert_disjoint(parts: list[Account]) -> None:
    """What shops played side by side must not share."""
    for what in (
        lambda part: part.users,
        lambda part: set().union(*part.ids.values()),
        lambda part: {event_id[:8] for event_id in part.ids[CLICKS]},
        lambda part: {event.session_id for event in part.events[CLICKS]},
        lambda part: {(event.product_id, event.warehouse) for event in part.events[INVENTORY]},
    ):
        sets = [what(part) for part in parts]
        assert len(set().union(*sets)) == sum(len(items) for items in sets)

"""The command: mistakes, settings from the environment."""

import re
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from generator.cli import main
from tests.support.shop import command


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


def test_describe_prints_and_plots_what_it_would_play(tmp_path: Path) -> None:
    page = tmp_path / "shop.html"
    result = command(f"--describe={page}", "--preset=realistic", "--events=20000")
    assert result.exit_code == 0, result.output
    figures = dict(re.findall(r"<tr><td>(.*?)</td><td>(.*?)</td>", page.read_text()))
    assert 0.015 < float(figures["sessions that buy"].rstrip("%")) / 100 < 0.045
    assert float(figures["pages that bots see"].rstrip("%")) == pytest.approx(50, abs=5)
    assert all(name[:12] in result.output for name in figures)
    assert page.read_text().count("<svg") == 4
    assert "http://" not in re.sub(r"http://(www.w3.org|purl.org|creativecommons.org)", "", page.read_text()), "offline"


@pytest.mark.parametrize("name", ["DELAYED_SHARE", "LATE_SHARE"])
def test_the_share_of_delayed_events_keeps_its_former_name(name: str) -> None:
    by_variable = CliRunner(env={f"ECOMMERCE_GENERATOR_{name}": "0.9"}).invoke(main, [])
    assert "--delayed-share 0.9" in str(by_variable.exception)
    assert "--delayed-share 0.8" in str(command("--late-share=0.8").exception)

"""How fast the simulated shop fills Kafka, beside the bare producer with the same bytes.

``python -m bench.generator`` plays a day into Kafka on one core, then sends the very same records, prepared in memory,
with the same producer settings. Both run in processes pinned to the same core; librdkafka's threads share it. Prints
the figures and writes build/bench/generator.json.
"""

import multiprocessing
import os
import resource
import statistics
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import click
import numpy as np

from bench.measure import fresh_stack, report
from contracts.command import run
from contracts.errors import Failed
from contracts.settings import Settings
from generator.config import ONE_DAY, Config, Imperfections, Share
from generator.ledger import Ledger
from generator.metrics import Metrics
from generator.play import Player
from generator.presets import DEMO, PRESETS
from generator.records import Batch
from generator.shop import Shop
from generator.sinks import ConfluentSink

BARE_RECORDS: Final = 500_000
"""The bare producer sends the day's first so many records; keeping more in memory would measure the memory."""


def _config(events: int, preset: str) -> Config:
    day = datetime.now(UTC).date() - ONE_DAY
    return Config(seed=1, share=Share(), imperfections=Imperfections(), day=day, events=events, preset=PRESETS[preset])


def _model(settings: Settings, events: int, preset: str) -> tuple[int, float, float]:
    """Plays a day: records, seconds of wall clock from the first step to the last acknowledgement, CPU seconds."""
    config = _config(events, preset)
    shop, sink, ledger = Shop(config, config.start_ms), ConfluentSink(settings), Ledger(config)
    began, cpu = time.perf_counter(), time.process_time()
    Player(shop, sink, ledger, Metrics(), threading.Event(), lambda _: None, None).run()
    return ledger.records, time.perf_counter() - began, time.process_time() - cpu


def _bare(settings: Settings, events: int, preset: str) -> tuple[int, float, float]:
    """Sends records that are ready: the same figures."""
    config = _config(events, preset)
    shop, sink = Shop(config, config.start_ms), ConfluentSink(settings)
    batches: list[Batch] = []
    while not shop.finished and sum(len(batch.facts) for batch in batches) < BARE_RECORDS:
        batches.append(shop.step())
    began, cpu = time.perf_counter(), time.process_time()
    for batch in batches:
        sink.send(batch, 0, len(batch.facts))
    sink.close()
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    return int(np.sum([len(batch.facts) for batch in batches])), seconds, cpu_seconds


def _measured(
    results: Any,
    core: int,
    measure: Callable[[Settings, int, str], tuple[int, float, float]],
    settings: Settings,
    events: int,
    preset: str,
) -> None:
    os.sched_setaffinity(0, {core})
    records, seconds, cpu_seconds = measure(settings, events, preset)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    results.put({"rate": records / seconds, "cpu_us": cpu_seconds / records * 1e6, "rss_mb": peak})


@click.command()
@click.option("--events", default=1_000_000, show_default=True, help="Events of the day played.")
@click.option("--preset", type=click.Choice(list(PRESETS)), default=DEMO.name, show_default=True)
@click.option("--rounds", default=3, show_default=True, help="Rounds of both, of which the median counts.")
def main(events: int, preset: str, rounds: int) -> None:
    """Measures the simulated shop's rate into Kafka on one core, beside the bare producer's."""
    spawn = multiprocessing.get_context("spawn")
    core = max(os.sched_getaffinity(0))
    runs: dict[str, list[dict[str, float]]] = {"model": [], "bare": []}
    with fresh_stack({"kafka"}) as stack:
        settings = stack.settings()
        for _ in range(rounds):
            for name, measure in (("model", _model), ("bare", _bare)):
                results = spawn.SimpleQueue()
                process = spawn.Process(target=_measured, args=(results, core, measure, settings, events, preset))
                process.start()
                process.join()
                if process.exitcode:
                    raise Failed(f"the {name} run failed")
                runs[name].append(results.get())
    median = {
        name: {key: statistics.median(figures[key] for figures in taken) for key in taken[0]}
        for name, taken in runs.items()
    }
    figures = {
        "events": events,
        "preset": preset,
        "rounds": rounds,
        "model_events_per_second": round(median["model"]["rate"]),
        "bare_producer_events_per_second": round(median["bare"]["rate"]),
        "ratio": round(median["model"]["rate"] / median["bare"]["rate"], 3),
        "model_cpu_us_per_event": round(median["model"]["cpu_us"], 2),
        "bare_producer_cpu_us_per_event": round(median["bare"]["cpu_us"], 2),
        "model_peak_rss_mb": round(max(figures["rss_mb"] for figures in runs["model"])),
        "runs": runs,
    }
    report("generator", figures)


if __name__ == "__main__":
    run(main)

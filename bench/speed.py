"""How long an event takes from its ``event_time`` at the producer until HBase shows it, under steady load.

``python -m bench.speed`` runs all servers and the speed job, lets the generator play live at a rate, and sends probes
beside it: clicks and purchases of users of their own, ten a second. A reader asks HBase for the probes' profiles until
they are there. Printed beside the median is the time that an empty round of reading takes, which bounds the error.
"""

import subprocess
import time
from datetime import UTC, datetime
from uuid import uuid4

import click
import msgspec
import numpy as np
from confluent_kafka import Producer

from bench.measure import Memory, fresh_stack, report
from clients import hbase
from contracts import paths
from contracts.catalog import category_of, product_id
from contracts.command import run
from contracts.errors import NotReady
from contracts.events import CLICKS, PURCHASES, timestamp
from contracts.hbase import USER_PROFILES
from jobs import audit
from local.jobs import start
from local.stack import Stack

PRODUCT = product_id(1)
CATEGORY = category_of(PRODUCT)


def probe(number: int, moment: datetime) -> tuple[str, str, bytes]:
    """(user, topic, value) of a probe: clicks and purchases in turn."""
    user, at = f"probe-{number}", timestamp(moment)
    base = {"event_id": str(uuid4()), "event_time": at, "user_id": user, "session_id": user}
    if number % 2:
        home = {"page": "home", "device": "mobile", "referrer": "direct", "country": "DE"}
        return user, CLICKS.topic, msgspec.json.encode({**base, **home})
    bought = {"order_id": user, "product_id": PRODUCT, "category": CATEGORY, "quantity": 1, "unit_price": "1.00"}
    rest = {"total": "1.00", "currency": "EUR", "payment_method": "card", "country": "DE"}
    return user, PURCHASES.topic, msgspec.json.encode({**base, **bought, **rest})


def latencies(stack: Stack, seconds: float, each: float) -> tuple[list[float], list[float]]:
    """Seconds until each probe was readable, and the seconds that the rounds of reading took."""
    producer = Producer({"bootstrap.servers": stack.settings().kafka_bootstrap, "linger.ms": 0})
    table = hbase.connect(stack.settings()).table(USER_PROFILES.name)
    sent: dict[bytes, float] = {}
    found: list[float] = []
    rounds: list[float] = []
    began = time.time()
    number, deadline = 0, began + seconds + 60
    while time.time() < began + seconds or (sent and time.time() < deadline):
        now = time.time()
        if now < began + seconds and now >= began + number * each:
            user, topic, value = probe(number, datetime.fromtimestamp(now, UTC))
            producer.produce(topic, value, user)
            producer.poll(0)
            sent[user.encode()] = now
            number += 1
        asked = time.time()
        present = [key for key, _ in table.rows(list(sent))] if sent else []
        read = time.time()
        rounds.append(read - asked)
        found += [read - sent.pop(key) for key in present]
        time.sleep(0.01)
    if sent:
        raise NotReady(f"{len(sent)} probes were not in HBase 60 s after the last was sent")
    return found, rounds


@click.command()
@click.option("--rate", default=5000, show_default=True, help="Events a second beside the probes.")
@click.option("--warm-up", default=40, show_default=True, help="Seconds before the measurement.")
@click.option("--seconds", default=90, show_default=True, help="Seconds measured.")
@click.option("--with-ingest", is_flag=True, help="Run the ingest job beside it.")
def main(rate: int, warm_up: int, seconds: int, with_ingest: bool) -> None:
    """Measure the speed layer's latency at a steady rate."""
    with fresh_stack() as stack:
        stack.up(only={paths.SPEED, *([paths.INGEST] if with_ingest else [])})
        speed = stack.server(paths.SPEED)
        generator = start(stack.site, "generator", "--rate", str(rate), stderr=subprocess.DEVNULL)
        try:
            time.sleep(warm_up)
            memory = Memory(speed.pid)
            before = sum(audit.speed_offsets(stack.settings()).values())
            found, rounds = latencies(stack, seconds, 0.1)
            counted = sum(audit.speed_offsets(stack.settings()).values()) - before
            together = sum(server.rss_bytes for server in stack.status())
        finally:
            generator.terminate()
            generator.wait(60)
        p50, p95, p99 = np.percentile(found, [50, 95, 99])
        report(
            "speed-with-ingest" if with_ingest else "speed",
            {
                "events_per_second": rate,
                "counted_events_per_second": round(counted / seconds),
                "probes": len(found),
                "latency_p50_seconds": round(float(p50), 2),
                "latency_p95_seconds": round(float(p95), 2),
                "latency_p99_seconds": round(float(p99), 2),
                "reading_round_p50_seconds": round(float(np.median(rounds)), 3),
                "ratio_p50_to_reading": round(float(p50 / np.median(rounds)), 1),
                "speed_job_peak_mib": round(memory.stop() / 2**20),
                "stack_mib": round(together / 2**20),
            },
        )


if __name__ == "__main__":
    run(main)

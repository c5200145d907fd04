"""The HTTP API: how long an event takes to a browser that listens, for many browsers, and what each endpoint takes.

``python -m bench.serving`` runs the servers, the speed job and an API pinned to one core, fills them with a day that is
played, then

- has so many listeners on ``/live``, sends purchases, and notes when each listener sees the count that has them;
- asks each endpoint with locust for a while. Printed beside each is ``/healthz`` of the same run, which asks no server.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import Any, Final

import click
import numpy as np
import psutil
from confluent_kafka import Producer

from bench.measure import fresh_stack, report
from bench.speed import PRODUCT, probe
from clients.retry import until
from contracts import paths
from contracts.command import run
from contracts.errors import Failed, NotReady
from jobs import audit
from local.jobs import start
from local.servers import SERVING
from local.site import ROOT
from local.stack import Stack

PURCHASES: Final = re.compile(rb'"purchases":(\d+)')
EVERY: Final = 0.5
"""Seconds between two purchases."""
Seen = list[tuple[float, int]]
"""When a listener was told (seconds since 1970), and of how many purchases today."""


async def listen(host: str, port: int, seen: Seen, until_time: float) -> None:
    """One browser: notes what it is told until the time."""
    reader, writer = await asyncio.open_connection(host, port, limit=2**20)
    writer.write(f"GET /live HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    try:
        while (left := until_time - time.time()) > 0:
            line = await asyncio.wait_for(reader.readline(), left)
            if found := PURCHASES.search(line):
                seen.append((time.time(), int(found[1])))
    except TimeoutError:
        pass
    finally:
        writer.close()


async def listen_all(address: str, listeners: int, stack: Stack, seconds: float) -> tuple[list[Seen], list[float]]:
    """What each listener saw, and when each purchase happened."""
    host, _, port = address.removeprefix("http://").partition(":")
    seen: list[Seen] = [[] for _ in range(listeners)]
    end = time.time() + listeners / 100 + seconds + 15
    tasks = []
    for one in seen:
        tasks.append(asyncio.create_task(listen(host, int(port), one, end)))
        await asyncio.sleep(0.01)
    await asyncio.sleep(5)
    producer = Producer({"bootstrap.servers": stack.settings().kafka_bootstrap, "linger.ms": 0})
    sent: list[float] = []
    for number in range(round(seconds / EVERY)):
        user, topic, value = probe(2 * number, datetime.now(UTC))  # the even ones buy
        sent.append(time.time())
        producer.produce(topic, value, user)
        producer.poll(0)
        await asyncio.sleep(EVERY)
    producer.flush(10)
    await asyncio.gather(*tasks)
    return seen, sent


def delays(seen: Seen, sent: list[float]) -> list[float]:
    """Seconds from each purchase until the listener was told of it."""
    before = min(count for _, count in seen)
    return [
        next((at for at, count in seen if count - before > number), np.inf) - moment
        for number, moment in enumerate(sent)
    ]


def ask(address: str, path: str, users: int, seconds: int) -> dict[str, Any]:
    """What locust says of an endpoint: requests/s and seconds."""
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "bench" / "serving_load.py"), "--headless", "--json"]
    command += ["--host", address, "--users", str(users), "--spawn-rate", str(users), "--run-time", f"{seconds}s"]
    variables = {**os.environ, "ASKED_PATH": path}
    done = subprocess.run([*command, "--loglevel", "ERROR"], env=variables, capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"locust at {path} ended with exit code {done.returncode}: {done.stderr[-500:]}")
    (found,) = json.loads(done.stdout)
    times = np.repeat([float(ms) for ms in found["response_times"]], list(found["response_times"].values()))
    p50, p95 = np.percentile(times, [50, 95])
    took = found["last_request_timestamp"] - found["start_time"]
    return {"per_second": round(found["num_requests"] / took), "p50_ms": round(float(p50)), "p95_ms": round(float(p95))}


@click.command()
@click.option("--listeners", default=1000, show_default=True, help="Browsers that listen to /live.")
@click.option("--seconds", default=60, show_default=True, help="Seconds in which purchases are sent.")
@click.option("--users", default=16, show_default=True, help="Readers who ask an endpoint at once.")
@click.option("--each", default=10, show_default=True, help="Seconds for each endpoint.")
def main(listeners: int, seconds: int, users: int, each: int) -> None:
    """Measure the API: events to browsers, endpoints under load, memory."""
    with fresh_stack() as stack:
        stack.up(only={SERVING, paths.SPEED, "spark-thrift"})
        server = stack.server(SERVING)
        process, address = psutil.Process(server.pid), server.ui
        process.cpu_affinity([0])
        play(stack)
        seen, sent = asyncio.run(listen_all(address, listeners, stack, seconds))
        listening = process.memory_info().rss
        found = np.concatenate([delays(one, sent) for one in seen if one])
        deaf = sum(not one for one in seen)
        day = f"{datetime.now(UTC):%Y-%m-%d}"
        asked = {
            "healthz": "/healthz",
            "today": "/v1/today",
            "revenue_by_minute": f"/v1/revenue?from={day}T00:00:00Z&to={day}T23:59:00Z&by=minute",
            "stock_of_a_product": f"/v1/stock/{PRODUCT}",
            "critical_stock": "/v1/stock?critical=true",
            "profile": "/v1/users/probe-0",
            "alerts": "/v1/alerts",
            "freshness": "/v1/freshness",
        }
        endpoints = {name: ask(address, path, users, each) for name, path in asked.items()}
        memory = process.memory_info().rss
    if deaf or not np.isfinite(found).all():
        raise NotReady(f"{deaf} listeners were told nothing, {np.isinf(found).sum()} purchases came too late")
    p50, p95 = np.percentile(found, [50, 95])
    figures: dict[str, Any] = {
        "listeners": listeners,
        "event_to_browser_p50_seconds": round(float(p50), 2),
        "event_to_browser_p95_seconds": round(float(p95), 2),
        "listening_mib": round(listening / 2**20),
        "memory_mib": round(memory / 2**20),
    }
    for name, one in endpoints.items():
        figures |= {f"{name}_{what}": value for what, value in one.items()}
        figures[f"{name}_ratio_to_healthz"] = round(one["per_second"] / endpoints["healthz"]["per_second"], 3)
    report("serving", figures)


def play(stack: Stack) -> None:
    """Half a minute of a shop, so that there are stock, alerts and minutes, all of it counted."""
    generator = start(stack.site, "generator", "--rate", "2000", stderr=subprocess.DEVNULL)
    time.sleep(30)
    generator.terminate()
    generator.wait(60)
    ends = audit.end_offsets(stack.settings())
    until(lambda: audit.behind(ends, audit.speed_offsets(stack.settings())) == 0, seconds=120, what="the speed job")


if __name__ == "__main__":
    run(main)

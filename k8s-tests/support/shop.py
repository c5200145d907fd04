"""The shop on the cluster: how many pods it has, and what those that ended say they sent."""

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from kubernetes import client
from urllib3.exceptions import HTTPError

from clients.retry import until
from deploy.workloads import Release

COMPONENT = "generator"
SECONDS = 300.0
"""For pods to start, or to send what has happened and end."""
PAUSE = 0.2
"""Seconds before a log is read again that ended."""


@dataclass
class Shop:
    """The generator's Deployment. ``ledgers`` are those of the pods that ended, in the order in which they did."""

    release: Release
    ledgers: list[dict[str, Any]] = field(default_factory=list)

    def pods(self) -> list[Any]:
        return self.release.pods(COMPONENT)

    def scale(self, replicas: int) -> None:
        """As ``kubectl scale`` does; waits until the pods are ready, and those that go have sent what had happened."""
        leaving = _Leaving(self.release, self.pods())
        client.AppsV1Api(self.release.api).patch_namespaced_deployment_scale(
            f"{self.release.name}-{COMPONENT}", self.release.namespace, {"spec": {"replicas": replicas}}
        )

        def ready() -> dict[str, bool]:
            statuses = {pod.metadata.name: pod.status.container_statuses or [] for pod in self.pods()}
            return {name: bool(found) and found[0].ready for name, found in statuses.items()}

        pods = until(
            ready,
            lambda found: len(found) == replicas and all(found.values()),
            seconds=SECONDS,
            what=f"{replicas} generators",
        )
        self.ledgers += leaving.take(stay=set(pods))

    def ledger(self) -> dict[str, Any]:
        """What the pods that ended have sent in all."""
        streams: dict[str, Counter[str]] = {}
        for ledger in self.ledgers:
            for name, counts in ledger["streams"].items():
                streams.setdefault(name, Counter()).update(counts)
        return {
            "streams": {name: dict(counts) for name, counts in streams.items()},
            "revenue": str(sum((Decimal(ledger["revenue"]) for ledger in self.ledgers), Decimal(0))),
            "alerts_expected": sum(ledger["alerts_expected"] for ledger in self.ledgers),
            "first_event_time": min(ledger["first_event_time"] for ledger in self.ledgers),
            "last_event_time": max(ledger["last_event_time"] for ledger in self.ledgers),
        }


def closed(log: list[str]) -> dict[str, Any]:
    """The ledger that a generator leaves in its log when it ends."""
    lines = [line for line in log if '"event": "closed"' in line]
    if len(lines) != 1:
        pytest.fail(f"{len(lines)} ledgers in a log that ends {log[-3:]}")
    ledger: dict[str, Any] = json.loads(lines[0])["ledger"]
    return ledger


def produced(ledger: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """The rows and distinct events of each stream that must be there."""
    return {name: (sent["produced"], sent["produced"]) for name, sent in ledger["streams"].items()}


def landed(found: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """The rows and distinct events of each stream that are there, of what ``jobs.audit`` prints."""
    return {name: (stream["rows"], stream["distinct"]) for name, stream in found["landed"].items()}


class _Leaving:
    """Follows the logs of pods to their ends: a pod that is gone has none any more."""

    def __init__(self, release: Release, pods: list[Any]) -> None:
        self._release = release
        self._logs: dict[str, list[str]] = {pod.metadata.name: [] for pod in pods}
        self._readers = {name: threading.Thread(target=self._follow, args=(name,), daemon=True) for name in self._logs}
        for reader in self._readers.values():
            reader.start()

    def _follow(self, pod: str) -> None:
        """Reads the whole log again each time that the stream of it ends, until there is none: it may end early, of a
        connection that the server drops, or as the container ends, before its last line is written."""
        while True:
            read: list[str] = []
            try:
                log = self._release.core.read_namespaced_pod_log(
                    pod, self._release.namespace, follow=True, container=COMPONENT, _preload_content=False
                )
                read.extend(line.decode() for line in log)
            except client.ApiException as error:
                if error.status in {400, 404}:
                    return
            except HTTPError:
                pass
            finally:
                self._logs[pod] = max(self._logs[pod], read, key=len)
            time.sleep(PAUSE)

    def take(self, stay: set[str]) -> list[dict[str, Any]]:
        """The ledgers of all pods but those that stay."""
        found = []
        for pod in set(self._logs) - stay:
            self._readers[pod].join(SECONDS)
            found.append(closed(self._logs[pod]))
        return found

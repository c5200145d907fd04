"""What Kafka keeps fits its volume, whatever is sent: the brokers' limits against the claims."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from contracts.topics import TOPICS
from deploy.helm import UMBRELLA, Helm, arguments
from support.rendering import OPERATORS, SIZES, STANDALONE, of, render

UNITS = {"Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "G": 10**9}
SIZES_OF_VOLUMES = ("2Gi", "1Gi", "1Ti", "20G")


def size(quantity: str) -> int:
    number = quantity.rstrip("MGTi")
    return int(number) * UNITS[quantity[len(number) :]]


def brokers(manifests: list[dict[str, Any]]) -> tuple[dict[str, str], int, int]:
    """Settings, number and volume (bytes) of the brokers, in either mode."""
    if pools := of(manifests, "KafkaNodePool"):
        (pool,), (kafka,) = pools.values(), of(manifests, "Kafka").values()
        settings = {name: str(value) for name, value in kafka["spec"]["kafka"]["config"].items()}
        return settings, pool["spec"]["replicas"], size(pool["spec"]["storage"]["volumes"][0]["size"])
    lines = of(manifests, "ConfigMap")["lambda-kafka"]["data"]["server.properties"].splitlines()
    spec = of(manifests, "StatefulSet")["lambda-kafka"]["spec"]
    claim = spec["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"]
    return dict(line.split("=", 1) for line in lines if "=" in line), spec["replicas"], size(claim)


def most_on_one_broker(number: int) -> int:
    """Partitions that one broker may have: Kafka puts leaders in a row from any broker, copies at any distance."""
    copies, total = min(3, number), 0
    for topic in TOPICS:
        worst = 0
        for start, shift in product(range(number), range(max(number - 1, 1))):
            held = [0] * number
            for partition in range(topic.partitions):
                leader = (start + partition) % number
                held[leader] += 1
                for copy in range(copies - 1):
                    held[(leader + 1 + (shift + copy) % (number - 1)) % number] += 1
            worst = max(worst, *held)
        total += worst
    return total


@pytest.mark.parametrize("files", SIZES)
def test_what_each_size_keeps_fits_its_volume(charts: Path, files: str) -> None:
    settings, number, volume = brokers(render(SIZES[files]))
    partition = int(settings["log.retention.bytes"]) + int(settings["log.segment.bytes"])
    assert most_on_one_broker(number) * partition <= volume * 0.8
    assert most_on_one_broker(number) * partition > volume * 0.7, "what is there is used"


@pytest.mark.parametrize(("mode", "number", "percent"), product(("standalone", "strimzi"), (1, 3, 5), (50, 95)))
def test_any_number_of_brokers_keeps_what_fits(charts: Path, mode: str, number: int, percent: int) -> None:
    for quantity in SIZES_OF_VOLUMES:
        values = {
            "kafka.mode": mode,
            "kafka.replicas": number,
            "kafka.diskPercent": percent,
            "kafka.persistence.size": quantity,
        }
        settings, _, volume = brokers(render((STANDALONE,), **values))
        segment = int(settings["log.segment.bytes"])
        most = most_on_one_broker(number) * (int(settings["log.retention.bytes"]) + segment)
        assert 0 < most <= volume * percent / 100
        assert int(settings["message.max.bytes"]) <= segment <= 2**30


def test_a_volume_that_is_too_small_is_refused(charts: Path) -> None:
    flags = arguments((STANDALONE,), {"kafka.persistence.size": "300Mi"})
    done = Helm().run("template", "lambda", str(UMBRELLA), *OPERATORS, *flags)
    assert "kafka.persistence.size 300Mi leaves each of a broker's 11 partitions 22878021 bytes" in done.stderr


def test_the_time_alone_may_decide(charts: Path) -> None:
    for files in ((), (STANDALONE,)):
        settings, *_ = brokers(render(files, **{"kafka.diskPercent": 0}))
        assert not {"log.retention.bytes", "log.segment.bytes"} & set(settings)


def test_a_client_writes_so_fast_and_no_faster(charts: Path) -> None:
    rates = {"kafka.producerByteRates.speed": 1000}
    users = of(render((), **rates), "KafkaUser")
    quotas = {name: item["spec"]["quotas"] for name, item in users.items() if "quotas" in item["spec"]}
    assert quotas == {
        "lambda-kafka-generator": {"producerByteRate": 10 * 2**20},
        "lambda-kafka-speed": {"producerByteRate": 1000},
    }
    clients = next(
        container["command"]
        for name, job in of(render((STANDALONE,), **rates), "Job").items()
        for container in job["spec"]["template"]["spec"].get("initContainers", [])
        if name.startswith("lambda-kafka-topics") and container["name"] == "clients"
    )
    given = [clients[at + 1 : at + 3] for at, word in enumerate(clients) if word == "--producer-byte-rate"]
    assert given == [["generator", "10485760"], ["speed", "1000"]]

"""Producing and consuming in tests, with kafka-python: another client than the platform's own."""

from collections.abc import Iterable
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from contracts.settings import Settings


def produce(settings: Settings, topic: str, records: Iterable[tuple[str, bytes | None]]) -> list[tuple[int, int]]:
    """Sends (key, value) records in order; returns (partition, offset) of each."""
    producer = KafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap, acks="all", max_request_size=16 * 1024 * 1024, linger_ms=5
    )
    futures = [producer.send(topic, key=key.encode(), value=value) for key, value in records]
    producer.flush()
    sent = [future.get(30) for future in futures]
    producer.close()
    return [(record.partition, record.offset) for record in sent]


def consume(settings: Settings, topic: str) -> list[Any]:
    """All records of a topic."""
    consumer = KafkaConsumer(bootstrap_servers=settings.kafka_bootstrap, enable_auto_commit=False)
    places = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    consumer.assign(places)
    consumer.seek_to_beginning(*places)
    ends = consumer.end_offsets(places)
    found: list[Any] = []
    while any(consumer.position(place) < ends[place] for place in places):
        for records in consumer.poll(timeout_ms=500).values():
            found += records
    consumer.close()
    return found

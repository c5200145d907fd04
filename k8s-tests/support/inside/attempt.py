"""What becomes of a client of Kafka that logs in, reads or writes: the name of the broker's refusal, or "done".

Arguments: ``login``, ``read`` or ``write``; a topic; changes of librdkafka's settings as JSON.
"""

import json
import logging
import sys

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from clients import kafka
from contracts.settings import Settings


def attempt(settings: Settings, action: str, topic: str, changes: dict[str, str]) -> str:
    reasons: list[str] = []
    try:
        if action == "login":
            config = {**kafka.confluent(settings), **changes, "error_cb": lambda error: reasons.append(error.name())}
            admin = AdminClient(config, logger=logging.getLogger())
            try:
                assert topic in admin.list_topics(timeout=10).topics
            except KafkaException:
                admin.poll(1)
                return reasons[0]
        elif action == "read":
            consumer = KafkaConsumer(**kafka.kafka_python(settings), auto_offset_reset="earliest")
            consumer.assign([TopicPartition(topic, 0)])
            assert consumer.poll(timeout_ms=20_000)
        else:
            KafkaProducer(**kafka.kafka_python(settings), enable_idempotence=False).send(topic, b"{}").get(20)
    except KafkaError as error:
        return type(error).__name__
    return "done"


logging.disable()
print(json.dumps(attempt(Settings.from_environment(), sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))))

"""How many copies of each partition are in step while the brokers are restarted one after another.

Asks twice a second until each broker has been out of step and all copies are in step again, or for the seconds of the
only argument. Prints how often it ``asked``, how many brokers were out of step (``restarts``), the ``fewest`` copies.
"""

import json
import logging
import sys
import time

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from clients import kafka
from contracts.settings import Settings

logging.disable()
admin = AdminClient(kafka.confluent(Settings.from_environment()), logger=logging.getLogger())
deadline = time.monotonic() + float(sys.argv[1])
asked, fewest = 0, sys.maxsize
brokers: set[int] = set()
out: set[int] = set()
while time.monotonic() < deadline:
    try:
        topics = admin.list_topics(timeout=10).topics.values()
    except KafkaException:
        continue
    partitions = [partition for topic in topics for partition in topic.partitions.values()]
    missing = {broker for one in partitions for broker in set(one.replicas) - set(one.isrs)}
    asked, fewest = asked + 1, min(fewest, *(len(one.isrs) for one in partitions))
    brokers |= {broker for one in partitions for broker in one.replicas}
    out |= missing
    if out == brokers and not missing:
        break
    time.sleep(0.5)
print(json.dumps({"asked": asked, "restarts": len(out), "fewest": fewest}))

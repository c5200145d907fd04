"""The settings of every topic of the contracts that are not the broker's own, as the broker has them."""

import json

from kafka.admin import ConfigResource, ConfigResourceType

from clients import kafka
from contracts.settings import Settings
from contracts.topics import TOPICS

with kafka.admin(Settings.from_environment()) as admin:
    asked = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in TOPICS]
    (found,) = admin.describe_configs(asked).values()
print(json.dumps({name: {key: item["value"] for key, item in settings.items()} for name, settings in found.items()}))

"""Records/s that reach Kafka, over the seconds of the only argument."""

import json
import sys
import time

from contracts.settings import Settings
from jobs import audit

(seconds,) = map(float, sys.argv[1:])
settings = Settings.from_environment()
before, began = sum(audit.end_offsets(settings).values()), time.monotonic()
time.sleep(seconds)
print(json.dumps((sum(audit.end_offsets(settings).values()) - before) / (time.monotonic() - began)))

"""Ends when the speed layer answers with revenue: run in a pod, beside an installation that is under way."""

import json
import subprocess
import sys
import time

ask = [sys.executable, "-m", "serving", "revenue", "--last", "60m", "--json"]
while True:
    done = subprocess.run(ask, capture_output=True, text=True)
    if not done.returncode and float(json.loads(done.stdout)["revenue"]) > 0:
        break
    time.sleep(1)

"""The users of each generator's run among the landed clicks; event ids begin with 32 bits that name the run."""

import json

from contracts.settings import Settings
from jobs import audit

_, clicks = audit.read_stream(Settings.from_environment(), "clicks", ["event_id", "user_id"])
users: dict[str, set[str]] = {}
for event, user in zip(clicks["event_id"].to_pylist(), clicks["user_id"].to_pylist(), strict=True):
    users.setdefault(event[:8], set()).add(user)
print(json.dumps({run: sorted(found) for run, found in users.items()}))

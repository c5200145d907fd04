"""Which of the addresses ``host:port`` in a JSON list take a connection.

A network lets a new pod do more or less than its policies say until it has read them, so it is asked again until the
answer is that of a second list, for a minute at most; the last answer counts.
"""

import json
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

SECONDS = 60


def takes(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 8).close()
    except OSError:
        return False
    return True


addresses, wanted = map(json.loads, sys.argv[1:])
deadline = time.monotonic() + SECONDS
with ThreadPoolExecutor(64) as pool:
    while True:
        taken = zip(addresses, pool.map(takes, addresses), strict=True)
        found = [address for address, reached in taken if reached]
        if found == wanted or time.monotonic() > deadline:
            break
        time.sleep(1)
print(json.dumps(found))

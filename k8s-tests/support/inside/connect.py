"""Which of the addresses ``host:port`` in a JSON list take a connection."""

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor


def takes(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 8).close()
    except OSError:
        return False
    return True


addresses = json.loads(sys.argv[1])
with ThreadPoolExecutor(64) as pool:
    taken = zip(addresses, pool.map(takes, addresses), strict=True)
    print(json.dumps([address for address, reached in taken if reached]))

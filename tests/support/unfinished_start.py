"""``python -m tests.support.unfinished_start FOLDER PORT PORT`` starts two servers; the second is never ready."""

import signal
import sys
from pathlib import Path

from local.ports import Ports
from local.stack import Stack
from tests.support.web_server import web_server

if __name__ == "__main__":
    folder, first, second = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    never = web_server("kafka", ("zookeeper",), "import time; time.sleep(600)")
    Stack(Path(folder), Ports(zookeeper=int(first), kafka=int(second)), [web_server("zookeeper"), never]).up()

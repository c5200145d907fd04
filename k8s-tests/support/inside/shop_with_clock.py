"""The generator with a clock that is wrong, stopped as a pod is; its ledger is the last line of its log.

Arguments: the instance's name, by how many seconds its clock is ahead, for how many seconds it plays.
"""

import os
import runpy
import signal
import sys
import threading
import time

instance, ahead, seconds = sys.argv[1:]
clock = time.time_ns
time.time_ns = lambda: clock() + int(ahead) * 10**9
threading.Timer(float(seconds), os.kill, (os.getpid(), signal.SIGTERM)).start()
sys.argv = ["generator", f"--instance={instance}", "--rate=50", "--malformed-share=0"]
runpy.run_module("generator", run_name="__main__")

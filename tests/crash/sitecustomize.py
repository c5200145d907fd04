import os

if "CRASH_AT" in os.environ:
    from tests.crashing import POINTS

    POINTS[os.environ["CRASH_AT"]]()

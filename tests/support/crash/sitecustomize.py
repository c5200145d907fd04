import os

if "CRASH_AT" in os.environ:
    from tests.support.crashing import POINTS

    POINTS[os.environ["CRASH_AT"]]()

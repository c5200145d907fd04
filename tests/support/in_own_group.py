"""``python -m tests.support.in_own_group MODULE …`` runs a module in a process group of its own, killed as one."""

import os
import runpy
import sys

if __name__ == "__main__":
    os.setpgid(0, 0)
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)

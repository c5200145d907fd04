"""``python -m tests.support.loaded MODULE`` imports a module and prints what is loaded then, as JSON."""

import importlib
import json
import sys

if __name__ == "__main__":
    importlib.import_module(sys.argv[1])
    print(json.dumps(sorted(sys.modules)))

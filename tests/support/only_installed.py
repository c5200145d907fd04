"""``python -m tests.support.only_installed "NAME …" "MODULE …"``: imports as if nothing but NAMEs were installed."""

import importlib
import importlib.metadata
import sys

installed, modules = set(sys.argv[1].split()), sys.argv[2].split()
packages = importlib.metadata.packages_distributions()
absent = {name for name, of in packages.items() if not {part.lower().replace("_", "-") for part in of} & installed}


class Absent:
    """Finds the packages that are not to be there, and refuses them."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"{name} is not installed in the image")


sys.meta_path.insert(0, Absent)
for module in modules:
    importlib.import_module(module)

"""Programs that tests run inside the cluster, in a pod of one of the platform's images.

Each is a module with arguments that prints one JSON document; the images hold no tests.
"""

from pathlib import Path

from deploy import pods


def command(name: str, *arguments: str) -> list[str]:
    """The command of a pod that runs the program ``name`` with these arguments."""
    return pods.program(Path(__file__).parent / f"{name}.py", *arguments)

"""What an API server lets nobody change is as each released version had it, so that a release of it can be upgraded.

``released/<version>.json`` holds it by size and object, as that version's charts rendered it.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from support.rendering import SIZES, of, render

RELEASED = Path(__file__).parent / "released"
CASES = [(file, size) for file in sorted(RELEASED.glob("*.json")) for size in json.loads(file.read_text())]


@pytest.mark.parametrize(("file", "size"), CASES, ids=[f"{file.stem}-{size}" for file, size in CASES])
def test_a_release_of_before_can_be_upgraded(charts: Path, file: Path, size: str) -> None:
    before: dict[str, dict[str, Any]] = json.loads(file.read_text())[size]
    manifests = render(SIZES[size])
    now = {
        f"{kind}/{name}": item for kind in ("StatefulSet", "Deployment") for name, item in of(manifests, kind).items()
    }
    with_volumes = {name for name, fixed in before.items() if "volumeClaimTemplates" in fixed}
    assert with_volumes <= now.keys(), "volumes that nothing mounts any more"
    kept = before.keys() & now.keys()
    assert len(kept) > 10
    for name in kept:
        assert {field: now[name]["spec"].get(field) for field in before[name]} == before[name], name

"""values.schema.json of each chart, made from its values.yaml: what a value is there, it must be everywhere.

A mapping that is empty in values.yaml takes any keys, an empty list any items. A few values are known more closely:
``CLOSER``.
"""

import json
from pathlib import Path
from typing import Any

import yaml

from deploy.helm import CHARTS, UMBRELLA

Schema = dict[str, Any]
QUANTITY: Schema = {"type": ["string", "number"], "pattern": r"^[0-9.]+([mkMGTPE]i?|Ki)?$"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
CLOSER: dict[str, Schema] = {
    "cpu": QUANTITY,
    "memory": QUANTITY,
    "size": QUANTITY,
    "replicas": COUNT,
    "decommission": COUNT,
    "executors": COUNT,
    "minExecutors": COUNT,
    "maxExecutors": COUNT,
    "minReplicas": COUNT,
    "maxReplicas": COUNT,
    "diskPercent": {"type": "integer", "minimum": 0, "maximum": 95},
    "producerByteRates": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}},
    "cpuPercent": {"type": "integer", "minimum": 1},
    "limit": {"type": "number", "exclusiveMinimum": 0},
    "maxUnavailable": {"type": ["integer", "string"]},
    "rate": {"type": "number", "exclusiveMinimum": 0},
    "rhythm": {"enum": ["flat", "daily"]},
    "engine": {"enum": ["impala", "spark"]},
    "sslmode": {"enum": ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]},
    "keep": {"type": "integer", "minimum": 1},
    "pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "delayed": SHARE,
    "duplicate": SHARE,
    "outOfOrder": SHARE,
    "malformed": SHARE,
    "flashSales": {"type": "array", "items": {"type": "string"}},
    "users": {"type": "object", "additionalProperties": {"enum": ["viewer", "user", "op", "admin"]}},
    "roles": {"type": "object", "additionalProperties": {"enum": ["Viewer", "User", "Op", "Admin"]}},
    "defaultRole": {"enum": ["", "Viewer", "User", "Op", "Admin"]},
    "scopes": {"type": "array", "items": {"type": "string"}},
    "imagePullSecrets": {"type": "array", "items": {"type": "string"}},
}
FORMER = {"delayed": "late"}
"""Names of values that had another one, which still works."""
MODES = {"kafka": ["strimzi", "standalone"], "spark-jobs": ["operator", "native"]}
IMAGE: Schema = {
    "type": "object",
    "additionalProperties": False,
    "required": ["repository"],
    "properties": {name: {"type": "string"} for name in ("registry", "repository", "tag")},
}


def schema(chart: Path) -> Schema:
    """The schema of a chart's values."""
    values = yaml.safe_load((chart / "values.yaml").read_text())
    top = _object(values, {"mode": {"enum": MODES.get(chart.name, [])}})
    if chart == UMBRELLA:
        # What is below a part's name is checked by the part's own schema.
        for name in set(values) - {"global", "tests"}:
            top["properties"][name] = {"type": "object", "properties": {"enabled": {"type": "boolean"}}}
    else:
        top["properties"] |= {"global": {"type": "object"}, "enabled": {"type": "boolean"}}
    top["properties"]["common"] = {"type": "object"}  # Helm's own entry for the library chart
    return {"$schema": "http://json-schema.org/draft-07/schema#", **top}


def _object(values: dict[str, Any], closer: dict[str, Schema]) -> Schema:
    known = CLOSER | closer
    properties = {name: known.get(name) or _of(name, value) for name, value in values.items()}
    former = {FORMER[name]: properties[name] for name in values if name in FORMER}
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": properties | former,
    }


def _of(name: str, value: Any) -> Schema:
    if name == "image" and "repository" in value:
        return IMAGE
    if name in ("requests", "limits"):
        return {"type": "object", "properties": {"cpu": QUANTITY, "memory": QUANTITY}}
    if isinstance(value, dict):
        return _object(value, {}) if value else {"type": "object"}
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, int):
        return {"type": "integer"}
    if isinstance(value, float):
        return {"type": "number"}
    return {"type": "array"} if isinstance(value, list) else {"type": "string"}


def files() -> dict[Path, str]:
    """Each chart's schema file with what belongs in it."""
    charts = [folder for folder in sorted(CHARTS.iterdir()) if (folder / "values.yaml").exists()]
    return {chart / "values.schema.json": json.dumps(schema(chart), indent=2) + "\n" for chart in charts}

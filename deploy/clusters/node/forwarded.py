"""The ports on 127.0.0.1 that lead into the node's network namespace: the usual ones where they are free."""

from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from local.ports import free, in_use


@dataclass(frozen=True, slots=True)
class Forwarded:
    api: int = 16443
    ingress: int = 8080

    @classmethod
    def choose(cls) -> "Forwarded":
        """The usual ports, another free one for each that something holds."""
        others = iter(free(len(asdict(cls()))))
        return cls(**{name: next(others) if in_use(port) else port for name, port in asdict(cls()).items()})

    @classmethod
    def of(cls, state: Path) -> "Forwarded":
        """Those of the node that keeps its state in this folder; the usual ones where it has kept none."""
        kept = state / "run" / "forwarded.json"
        return msgspec.json.decode(kept.read_bytes(), type=cls) if kept.exists() else cls()

    def keep(self, state: Path) -> None:
        """Notes them in the node's state."""
        (state / "run" / "forwarded.json").write_bytes(msgspec.json.encode(self))

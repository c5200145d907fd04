"""All dashboards, and the files of the umbrella chart that ``make dashboards`` writes."""

from pathlib import Path
from typing import Final

from deploy.dashboards import batch, kafka, platform, shop, storage, streaming
from deploy.dashboards.parts import Board, written
from deploy.helm import UMBRELLA

BOARDS: Final[tuple[Board, ...]] = (
    platform.BOARD,
    streaming.BOARD,
    kafka.BOARD,
    storage.BOARD,
    batch.BOARD,
    shop.BOARD,
)


def files() -> dict[Path, str]:
    """Each board's file with what belongs in it."""
    return {UMBRELLA / "dashboards" / f"{board.uid}.json": written(board) for board in BOARDS}

"""Rows that wait for their time: the far future is looked at rarely, the near one in every step."""

import numpy as np

from generator.records import joined

_LOOKAHEAD = 32
"""How many steps ahead rows count as near."""


class Agenda:
    """Rows of one dtype, handed out in the order of one of their fields (ms)."""

    def __init__(self, dtype: np.dtype, field: str) -> None:
        self._field = field
        self._near = [np.empty(0, dtype=dtype)]
        self._far = [np.empty(0, dtype=dtype)]
        self._reach = 0

    def __len__(self) -> int:
        return sum(len(rows) for rows in self._near) + sum(len(rows) for rows in self._far)

    def add(self, rows: np.ndarray) -> None:
        is_near = rows[self._field] < self._reach
        self._near.append(rows.compress(is_near))
        self._far.append(rows.compress(~is_near))

    def take(self, until: int, step: int = 0) -> np.ndarray:
        """The rows before ``until``, in order; rows of the same time in the order in which they were added."""
        if until > self._reach:
            self._reach = until + _LOOKAHEAD * step
            far = joined(self._far)
            is_near = far[self._field] < self._reach
            self._near.append(far.compress(is_near))
            self._far = [far.compress(~is_near)]
        near = joined(self._near)
        moments = np.ascontiguousarray(near[self._field])
        is_due = moments < until
        self._near = [near.compress(~is_due)]
        due = np.flatnonzero(is_due)
        return near.take(due[np.argsort(moments[due], kind="stable")])

"""Numbers of many series side by side: every step of the detectors is one line of NumPy for all of them at once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Array = np.ndarray


class Columns:
    """A table `(width, series)` of float64, one column a series, its rows by name.

    A column is the whole memory of a series and never grows; it is what is stored. New series come at the end.

    Args:
        count: of series.
        layout: rows of each name, in the order in which they stand.
    """

    def __init__(self, count: int, layout: Mapping[str, int]) -> None:
        self._places: dict[str, slice | int] = {}
        width = 0
        for name, rows in layout.items():
            self._places[name] = width if rows == 1 else slice(width, width + rows)
            width += rows
        self._table = np.zeros((width, max(count, 1)))
        self.count = count

    def __getitem__(self, name: str) -> Array:
        """The row `(series,)`, or rows `(rows, series)`, of a name: a view that may be written to."""
        return self._table[self._places[name], ..., : self.count]

    def __setitem__(self, name: str, value: Array | float) -> None:
        self._table[self._places[name], ..., : self.count] = value

    def grow(self, by: int = 1) -> None:
        """Room for more series, all zero. Amortised constant: the table doubles."""
        if self.count + by > self._table.shape[1]:
            wider = np.zeros((len(self._table), max(2 * self._table.shape[1], self.count + by)))
            wider[:, : self.count] = self._table[:, : self.count]
            self._table = wider
        self.count += by

    @property
    def width(self) -> int:
        """Numbers a series."""
        return len(self._table)

    def column(self, place: int) -> Array:
        """A copy `(width,)` of all that is known of one series."""
        return self._table[:, place].copy()

    def restore(self, place: int, column: Array) -> None:
        """Puts back what `column` gave."""
        self._table[:, place] = column

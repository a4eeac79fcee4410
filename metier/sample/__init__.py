"""Small data written for Metier: two sets of finance headlines and what a bank knows; every company in it is invented.

`headlines` (English, 400 rows) and `headlines_zh` (Chinese, 115 rows) have the columns `text`, `time`, `company`,
`sentiment`, `topic` and `split`. The test part is later in time than the others and about companies that they do not
mention, so that its figures say something about headlines still to come.
"""

from __future__ import annotations

from pathlib import Path

from metier.errors import DataError, nearest

NAMES = ("headlines", "headlines_zh")


def path(name: str = "headlines") -> Path:
    """The CSV file of a packaged sample. Raises `DataError` for a name that is not in `NAMES`."""
    if name not in NAMES:
        raise DataError(f"There is no sample {name!r}.{nearest(name, NAMES)}", expected=" or ".join(NAMES))
    return Path(__file__).parent / f"{name}.csv"


def bank() -> Path:
    """The folder with what an invented bank knows, English and Chinese: `faq.csv`, `history.jsonl`, `documents/`, and
    `questions.csv` with what is right."""
    return Path(__file__).parent / "support"

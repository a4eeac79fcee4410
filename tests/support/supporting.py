"""What tests of customer service look at."""

from __future__ import annotations

from pathlib import Path


def contents(store: str) -> bytes:
    """Everything that the files of a store hold."""
    return b"".join(path.read_bytes() for path in Path(store).parent.glob(f"{Path(store).name}*"))

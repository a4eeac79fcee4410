"""`bench.html`: how fast every runtime of a run is, as a table and two pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from metier.evaluate import charts, pages
from metier.evaluate.charts import Series
from metier.evaluate.search_page import Powers

LOOKS = tuple(f"head{at}" for at in range(6))


def rows(benched: Mapping[str, Any]) -> list[list[str]]:
    """The table for a terminal: a row of column names, then one row a cell."""
    found = [["engine", "tokens", "batch", "texts/s", "p50 ms", "p95 ms", "p99 ms"]]
    for cell in benched["cells"]:
        times = [f"{cell[name]:.1f}" for name in ("p50", "p95", "p99")]
        found.append([cell["engine"], str(cell["length"]), str(cell["batch"]), f"{cell['rate']:,.0f}", *times])
    return found


def render(benched: Mapping[str, Any], out: Path, *, lang: str = "en") -> Path:
    """Writes the page. Returns `out`."""
    engines = [one["engine"] for one in benched["held"]]
    lengths = sorted({cell["length"] for cell in benched["cells"]})
    drawn = [(length, picture(benched["cells"], engines, length)) for length in lengths]
    text = pages.page(
        "bench.html.j2", lang, found=benched, engines=engines, looks=LOOKS, rows=rows(benched)[1:], drawn=drawn
    )
    return pages.write(text, out)


def picture(cells: Sequence[Mapping[str, Any]], engines: Sequence[str], length: int) -> Markup:
    """Texts a second over the batch, a line an engine, both by ratios."""
    own = [cell for cell in cells if cell["length"] == length]
    across = [math.log10(cell["batch"]) for cell in own]
    up = [math.log10(max(cell["rate"], 0.1)) for cell in own]
    x = Powers("Texts a call", min(across), max(max(across), min(across) + 1))
    y = Powers("Texts a second", math.floor(min(up)), math.ceil(max(up) + 1e-9))
    series = [
        Series(
            [
                (math.log10(cell["batch"]), math.log10(max(cell["rate"], 0.1)))
                for cell in own
                if cell["engine"] == engine
            ],
            LOOKS[at % len(LOOKS)],
            dots=True,
        )
        for at, engine in enumerate(engines)
    ]
    return charts.lines(series, x, y, title=f"{length} tokens")

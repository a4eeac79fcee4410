"""A folder to begin with: a monitor.toml that can be read from top to bottom, and on demand the sample month."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from metier.errors import RecipeError
from metier.run import write_text

TEMPLATE = Path(__file__).parent / "templates" / "monitor.toml"
SETTINGS, MONTH, COMPANIES = "monitor.toml", "month.jsonl", "companies.csv"


def begin(folder: str | Path, run: str | Path, *, sample: bool = False) -> Path:
    """Writes `monitor.toml` into a folder.

    Args:
        folder: it is made; a settings file that is there stays.
        run: with the heads `topic` and `sentiment`.
        sample: also the month of invented headlines and the table of their companies.

    Raises:
        RecipeError: where the folder has settings already.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    settings = place / SETTINGS
    if settings.exists():
        raise RecipeError(f"{settings} is there already.", hint="another folder, or edit that file")
    if sample:
        _sample(place)
    seen = os.path.relpath(Path(run).absolute(), place.absolute())
    text = TEMPLATE.read_text(encoding="utf-8").format(
        run=json.dumps(seen), companies=json.dumps(COMPANIES if sample else ""), tick="1h" if sample else "15m"
    )
    write_text(settings, text)
    return settings


def _sample(place: Path) -> None:
    from metier.sample import month

    rows = (json.dumps(row, ensure_ascii=False) for row in month.headlines())
    write_text(place / MONTH, "\n".join(rows) + "\n")
    shutil.copyfile(month.companies(), place / COMPANIES)

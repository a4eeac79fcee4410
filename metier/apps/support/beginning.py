"""A folder to begin with: a support.toml that can be read from top to bottom, and on demand an invented bank."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from metier.errors import RecipeError
from metier.run import write_text

TEMPLATE = Path(__file__).parent / "templates" / "support.toml"
SETTINGS, QUESTIONS = "support.toml", "questions.csv"


def begin(folder: str | Path, *, sample: bool = False) -> Path:
    """Writes `support.toml` into a folder.

    Args:
        folder: it is made; a settings file that is there stays.
        sample: also an invented bank's questions and answers, past conversations, documents, and questions to try.

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
    paths = {"faq": "faq.csv", "history": "history.jsonl", "documents": "documents", "outside": "outside.csv"}
    told = {"name": "Quillhaven Bank", **paths} if sample else {"name": "Support", "faq": "faq.csv"}
    values = {name: json.dumps(told.get(name, "")) for name in ("name", *paths)}
    write_text(settings, TEMPLATE.read_text(encoding="utf-8").format(**values))
    return settings


def _sample(place: Path) -> None:
    from metier.sample import bank

    source = bank()
    for name in ("faq.csv", "history.jsonl", "outside.csv", QUESTIONS):
        shutil.copyfile(source / name, place / name)
    shutil.copytree(source / "documents", place / "documents", dirs_exist_ok=True)

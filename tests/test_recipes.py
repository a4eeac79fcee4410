"""Every recipe of `recipes/` is one that Metier reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from metier.recipe import Recipe
from metier.tasks import KINDS

FOLDER = Path(__file__).parent.parent / "recipes"
RECIPES = sorted(FOLDER.rglob("*.toml"))
TRADES = {"education", "finance", "industry", "medicine", "retail", "security"}


def test_every_trade_has_one() -> None:
    assert {path.parent.name for path in RECIPES} == TRADES


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_it_is_read_and_says_what_it_is(path: Path, tmp_path: Path) -> None:
    recipe = Recipe.read(path)
    assert path.read_text(encoding="utf-8").startswith("#")
    assert recipe.data.path
    assert recipe.data.text
    assert all(head.task in KINDS for head in recipe.heads.values())
    recipe.write(tmp_path / "recipe.toml")
    assert Recipe.read(tmp_path / "recipe.toml") == recipe


def test_the_first_one_runs_on_the_packaged_sample() -> None:
    assert Path(Recipe.read(FOLDER / "finance" / "sentiment_topic.toml").data.path).is_file()

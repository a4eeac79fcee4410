"""Recipes with ranges: what may be marked, what is said of mistakes, which values come out."""

import pytest

from metier.errors import RecipeError
from metier.pipeline.search.ranges import Space
from metier.recipe import Recipe

HEADS = {"a": {"column": "a"}}


def space(tmp_path, **tables):
    return Space.parse({"data": {"path": "x.csv"}, "heads": HEADS, **tables}, tmp_path / "recipe.toml")


def complaint(tmp_path, **tables):
    with pytest.raises(RecipeError) as caught:
        space(tmp_path, **tables)
    return str(caught.value)


def test_ranges_are_found_in_every_table_and_filled(tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text(
        """
        [data]
        path = "x.csv"
        [heads."a.b"]
        column = "a"
        weight = { low = 0.5, high = 2.0 }
        names = { low = "few", high = "many" }
        [train]
        method = { choice = ["lora", "full"] }
        epochs = { low = 2, high = 8, step = 1 }
        learning_rate = { low = 1e-5, high = 1e-3, log = true }
        [adapter]
        rank = { low = 2, high = 32, log = true }
        [regularise.r_drop]
        low = 0.0
        high = 1.0
        """
    )
    found = Space.read(file)
    assert set(found.ranges) == {
        "heads.a.b.weight", "train.method", "train.epochs", "train.learning_rate", "adapter.rank", "regularise.r_drop",
    }  # fmt: skip
    assert found.ranges["adapter.rank"].whole and not found.ranges["train.epochs"].whole
    recipe = found.recipe({"heads.a.b.weight": 1.5, "adapter.rank": 4, "train.method": "lora"})
    assert recipe.heads["a.b"].weight == 1.5 and recipe.heads["a.b"].names == {"low": "few", "high": "many"}
    assert recipe.adapter.rank == 4 and recipe.train.method == "lora" and recipe.train.epochs is None
    assert found.defaults() == {"train.method": "full", "adapter.rank": 8, "regularise.r_drop": 0.0}


def test_every_mistake_is_named_at_once(tmp_path):
    said = complaint(
        tmp_path,
        train={
            "clip": {"low": 2.0, "hihg": 1.0},
            "warmup": {"low": 0.5, "high": 0.1},
            "weight_decay": {"low": 0.0, "high": 0.1, "log": True},
            "batch_size": {"low": 0, "high": 64, "step": 16},
            "method": {"choice": ["lora", "ful"]},
            "schedule": {"choice": ["linear"]},
            "layer_decay": {"low": 0.5},
        },
        adapter={"rank": {"low": 1, "high": 8, "step": 2}, "size": {"low": 1.5, "high": 8}},
    )
    for words in (
        "train.clip: a range has no 'hihg'. Did you mean 'high'?",
        "train.warmup: low must be less than high (found 0.5 and 0.1)",
        "train.weight_decay: a range with log begins above 0 (found 0)",
        "train.batch_size: Input should be greater than or equal to 1 (found 0)",
        "'ful'",
        "train.schedule: a choice is a list of at least two plain values",
        "train.layer_decay: a range needs low and high, or choice (high missing)",
        "adapter.rank: steps of 2 do not lead from 1 to 8",
        "adapter.size: takes whole numbers only",
    ):
        assert words in said
    assert said.count("recipe.toml") == 1 and "\n" not in said


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"data": {"path": "x.csv", "seed": {"low": 1, "high": 3}}}, "data.seed may not be a range"),
        ({"heads": {"a": {"column": {"choice": ["a", "b"]}}}}, "only the weight can be searched"),
        ({"seed": {"low": 1, "high": 3}}, "seed may not be a range"),
        ({"train": {"metric": {"choice": ["headline", "loss"]}}}, "decides what a trial is judged by"),
        ({"train": {"threads": {"low": 1, "high": 2}}}, "it says how to compute"),
        ({"train": {"method": {"choice": ["auto", "full"]}}}, "'auto' is no method to choose"),
        ({"train": {"epochs": {"choice": [2, 3], "log": True}}}, "a choice stands alone (found log beside it)"),
        ({"train": {"epochs": {"choice": [2, 2]}}}, "names no value twice"),
        ({"train": {"epochs": {"low": "2", "high": 3}}}, "low is a number (found '2')"),
        ({"train": {"epochs": {"low": 1, "high": 3, "log": 1}}}, "log is true or false"),
        ({"train": {"epochs": {"low": 1, "high": 3, "log": True, "step": 1}}}, "log or step, not both"),
        ({"train": {"epoch": {"low": 1, "high": 3}}}, "unknown key 'train.epoch'. Did you mean 'epochs'?"),
        ({"train": {"crf": 1, "epochs": {"low": 1, "high": 3}}}, "unknown key 'train.crf'"),
    ],
)
def test_what_cannot_be_searched(tmp_path, tables, words):
    assert words in complaint(tmp_path, **tables)


def test_a_recipe_without_ranges_says_how_to_mark_one(tmp_path):
    said = complaint(tmp_path)
    assert "marks no value as a range" in said and "learning_rate = { low = 1e-5" in said and "\n" not in said


def test_train_says_what_fits_ranges(tmp_path):
    with pytest.raises(RecipeError, match=r"train.epochs is a range, which only `metier search` fits"):
        Recipe.parse({"heads": HEADS, "train": {"epochs": {"low": 2, "high": 3}}})

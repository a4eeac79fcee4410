"""Recipes: TOML, objects and flags are one thing; all mistakes are named at once."""

import pytest
import toy

from metier.errors import DataError, RecipeError
from metier.pipeline.recipes import override, recipe_of
from metier.recipe import HeadPart, Recipe, TrainPart

HEADS = {"label": {"column": "label", "task": "classify"}}


def test_round_trip(tmp_path):
    values = {
        "data": {"path": "", "text": ("a", "b"), "fractions": (0.6, 0.2, 0.2), "group": "author"},
        "heads": {"x": {"column": "y", "task": "score", "weight": 2.5, "floor": 0.3}, "é 中": {"column": "labels"}},
        "model": {"dropout": 0.2, "long": "truncate"},
        "train": {"method": "freeze", "epochs": 2.5, "ema": 0.99, "frozen_layers": 3},
        "evaluate": {"baselines": False},
        "seed": 7,
    }
    recipe = Recipe.parse(values)
    recipe.write(tmp_path / "r.toml")
    assert Recipe.read(tmp_path / "r.toml") == recipe
    assert recipe.heads["x"] == HeadPart(column="y", task="score", weight=2.5, floor=0.3)


def test_defaults_are_written_out(tmp_path):
    Recipe.parse({"heads": HEADS}).write(tmp_path / "r.toml")
    assert "weight_decay = 0.01" in (tmp_path / "r.toml").read_text()


def test_all_mistakes_at_once():
    values = {
        "data": {"fractions": (0.5, 0.1, 0.1)},
        "heads": {"a": {"colunm": "b"}},
        "train": {"epoch": 3, "batch_size": 0, "method": "fulll", "learning_rate": "fast"},
        "modle": {},
    }
    with pytest.raises(RecipeError) as raised:
        Recipe.parse(values, "r.toml")
    message = str(raised.value)
    for part in (
        "r.toml:",
        "must add up to 1",
        "'heads.a.colunm'. Did you mean 'column'?",
        "'heads.a.column' is missing",
        "'train.epoch'. Did you mean 'epochs'?",
        "train.batch_size",
        "train.method",
        "train.learning_rate",
        "'modle'. Did you mean 'model'?",
    ):
        assert part in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"text": ("a", "b", "c")}, "one column, or two"),
        ({"group": "a", "time": "b"}, "exclude each other"),
        ({"fractions": (1.5, -0.25, -0.25)}, "must add up to 1"),
    ],
)
def test_data_that_contradict_themselves(data, message):
    with pytest.raises(RecipeError, match=message):
        Recipe.parse({"data": data, "heads": HEADS})


def test_a_mistake_is_said_once():
    with pytest.raises(RecipeError) as raised:
        Recipe.parse({"data": {"text": ("a", "b", "c")}, "heads": HEADS, "train": {"metric": "x"}}, "flags")
    assert str(raised.value) == "flags: data.text takes one column, or two for a pair of texts"
    with pytest.raises(RecipeError, match=r"^flags: train\.metric is 'x'; it is one of headline, loss, label$"):
        Recipe.parse({"heads": HEADS, "train": {"metric": "x"}}, "flags")


def test_a_place_in_a_list_and_a_head_are_named():
    """Places are counted from 1; a validator that names no key is told where it stands."""
    heads = HEADS | {"b": {"column": "b", "text": ["c"]}}
    with pytest.raises(RecipeError) as raised:
        Recipe.parse({"data": {"text": ["a", 3]}, "heads": heads, "race": {"budget": "soon"}}, "r.toml")
    for piece in (
        "data.text[2]: ",
        "(found 3)",
        "heads.b: the head of 'b' has text",
        "race.budget: 'soon' is no length",
    ):
        assert piece in str(raised.value)


@pytest.mark.parametrize("part", [{"epochs": float("nan")}, {"weight_decay": float("inf")}])
def test_numbers_are_finite(part):
    with pytest.raises(RecipeError, match=rf"^flags: train\.{next(iter(part))}: .*finite number \(found (nan|inf)\)$"):
        Recipe.parse({"heads": HEADS, "train": part}, "flags")


def test_a_folder_is_no_recipe(tmp_path):
    with pytest.raises(RecipeError, match="cannot be read: Is a directory"):
        Recipe.read(tmp_path)


def test_a_recipe_needs_a_head():
    with pytest.raises(RecipeError, match="heads"):
        Recipe.parse({"heads": {}})


def test_frozen():
    with pytest.raises(Exception, match="frozen"):
        Recipe.parse({"heads": HEADS}).seed = 3


@pytest.mark.parametrize("content", [b"heads = [", b"\xff\xfe\x00", b"a = 1\na = 2"])
def test_no_toml(tmp_path, content):
    (tmp_path / "r.toml").write_bytes(content)
    with pytest.raises(RecipeError, match="is not TOML"):
        Recipe.read(tmp_path / "r.toml")


def test_no_file(tmp_path):
    with pytest.raises(RecipeError, match="There is no recipe"):
        Recipe.read(tmp_path / "r.toml")


def test_the_path_of_the_data_is_beside_the_recipe(tmp_path):
    toy.news(tmp_path / "news.csv", rows=6)
    (tmp_path / "r.toml").write_text('[data]\npath = "news.csv"\n[heads.sentiment]\ncolumn = "sentiment"\n')
    assert Recipe.read(tmp_path / "r.toml").data.path == str(tmp_path / "news.csv")


def test_the_files_of_heads_are_beside_the_recipe_too(tmp_path, monkeypatch):
    toy.news(tmp_path / "news.csv", rows=6)
    head = '[heads.{0}]\ncolumn = "{0}"\npath = "{1}"\n'
    (tmp_path / "r.toml").write_text(head.format("sentiment", "news.csv") + head.format("place", "elsewhere.csv"))
    found = Recipe.read(tmp_path / "r.toml")
    assert found.heads["sentiment"].path == str(tmp_path / "news.csv") and found.heads["place"].path == "elsewhere.csv"
    monkeypatch.chdir(tmp_path)
    moved = Recipe.read("r.toml").seen_from(tmp_path / "a" / "b")
    assert [head.path for head in moved.heads.values()] == ["../../news.csv", "../../elsewhere.csv"]
    assert moved.data.path == ""


def test_but_changes_some_keys():
    recipe = Recipe.parse({"heads": HEADS, "train": {"epochs": 3.0, "ema": 0.9}})
    changed = recipe.but(train={"epochs": 5.0, "ema": None}, seed=None)
    assert (changed.train.epochs, changed.train.ema, changed.seed) == (5.0, 0.9, 13)
    with pytest.raises(RecipeError, match="flags"):
        recipe.but(train={"epochs": -1.0})


def test_flags_override_a_recipe():
    recipe = Recipe.parse({"heads": {**HEADS, "topic": {"column": "topic", "weight": 2.0}}, "train": {"epochs": 3.0}})
    settings = {"epochs": 1.0, "method": None, "backbone": "x/y", "seed": 5}
    changed = override(recipe, label=[], text=("t",), task=None, settings=settings)
    assert (changed.train.epochs, changed.model.backbone, changed.seed, changed.data.text) == (1.0, "x/y", 5, ("t",))
    assert changed.heads == recipe.heads
    assert list(override(recipe, label=["other"], text=(), task="score", settings={}).heads) == ["other"]


def test_a_recipe_of_a_call(tmp_path):
    path = toy.news(tmp_path / "news.csv", rows=12)
    recipe, table = recipe_of(path, label={"mood": "sentiment"}, settings={"epochs": 2.0, "max_length": 64, "seed": 3})
    assert table is None and recipe.data.path == str(path) and recipe.data.split == "split"
    assert recipe.heads["mood"].column == "sentiment" and recipe.heads["mood"].task == "classify"
    assert (recipe.train.epochs, recipe.model.max_length, recipe.seed) == (2.0, 64, 3)


def test_settings_of_a_head(tmp_path):
    path = toy.news(tmp_path / "news.csv", rows=12)
    settings = {"heads.a.b.floor": 0.5, "heads.a.b.names": {"good": "it rises"}, "epochs": 2.0}
    recipe, _ = recipe_of(path, label={"a.b": "sentiment", "other": "sentiment"}, settings=settings)
    assert (recipe.heads["a.b"].floor, recipe.heads["a.b"].names) == (0.5, {"good": "it rises"})
    assert recipe.heads["other"].floor == 0.0 and recipe.train.epochs == 2.0
    changed = override(recipe, settings={"heads.other.weight": 2.0})
    assert changed.heads["other"].weight == 2.0 and changed.heads["a.b"] == recipe.heads["a.b"]
    with pytest.raises(RecipeError, match=r"no head 'othr'\. Did you mean 'other'\?"):
        override(recipe, settings={"heads.othr.weight": 2.0})
    with pytest.raises(RecipeError, match=r"unknown key 'heads\.other\.wait'\. Did you mean 'weight'"):
        override(recipe, settings={"heads.other.wait": 2.0})


def test_mistakes_of_a_call(tmp_path):
    path = toy.news(tmp_path / "news.csv", rows=12)
    with pytest.raises(RecipeError, match=r"'epoch'\. Did you mean 'epochs'\?.*'bachsize'"):
        recipe_of(path, label="sentiment", settings={"epoch": 2, "bachsize": 3})
    with pytest.raises(RecipeError, match="no task 'clasify'. Did you mean 'classify'"):
        recipe_of(path, label="sentiment", task="clasify")
    with pytest.raises(RecipeError, match="No label column was named"):
        recipe_of(path)
    with pytest.raises(DataError, match="Did you mean 'sentiment'"):
        recipe_of(path, label="sentimnt")


def test_every_setting_of_a_fit_has_one_home():
    from metier.pipeline.recipes import PARTS

    homes: dict[str, list[str]] = {}
    for part, model in PARTS.items():
        for name in model.model_fields:
            homes.setdefault(name, []).append(part)
    assert all(homes[name][0] == "train" for name in TrainPart.model_fields)
    several = {name: parts for name, parts in homes.items() if len(parts) > 1}
    assert several == {  # named as adapter.dropout
        "dropout": ["model", "adapter"],
        "method": ["train", "semi"],
        "temperature": ["contrastive", "ensemble"],
        "precision": ["train", "optimise"],
        "unlabelled": ["data", "optimise"],
    }

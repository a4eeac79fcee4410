"""A trial: a fit that looks at train and valid and leaves nothing."""

from dataclasses import replace

import pytest

from metier.errors import DataError
from metier.pipeline.dataset import read_dataset
from metier.pipeline.recipes import recipe_of
from metier.pipeline.trial import trial
from metier.pipeline.watch import Silent

SETTINGS = {"epochs": 6, "batch_size": 16, "learning_rate": 3e-3, "max_length": 32, "threads": 1}


@pytest.fixture
def recipe(toy_backbone, toy_news):
    settings = {**SETTINGS, "backbone": str(toy_backbone)}
    return recipe_of(toy_news, label=["sentiment", "place"], settings=settings)[0]


def test_a_trial_scores_the_validation_split_and_leaves_nothing(recipe, toy_news, tmp_path):
    dataset = read_dataset(recipe, toy_news, Silent())
    found = trial(recipe, dataset, tmp_path / "trial", Silent())
    assert set(found.heads) == {"sentiment", "place"}
    assert found.score == pytest.approx(sum(found.heads.values()) / 2) and found.score > 0.6
    assert len(found.logits["place"]) == len(dataset.examples["valid"])
    assert not found.prepared.tables["test"].documents and not (tmp_path / "trial").exists()
    assert dataset.examples["test"], "the caller's dataset is as it was"


def test_a_trial_does_not_depend_on_the_test_split(recipe, toy_news, tmp_path):
    dataset = read_dataset(recipe, toy_news, Silent())
    blind = replace(dataset, examples={**dataset.examples, "test": []})
    first, second = (trial(recipe, one, tmp_path / "trial", Silent()) for one in (dataset, blind))
    assert first.heads == second.heads


def test_a_named_head_is_the_score(recipe, toy_news, tmp_path):
    chosen = recipe.but(train={"metric": "place", "method": "probe"})
    found = trial(chosen, read_dataset(recipe, toy_news, Silent()), tmp_path / "trial", Silent())
    assert found.score == found.heads["place"]


def test_whatever_the_watch_raises_ends_the_trial_and_clears_up(recipe, toy_news, tmp_path):
    class Enough(Silent):
        def step(self, record):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trial(recipe, read_dataset(recipe, toy_news, Silent()), tmp_path / "trial", Enough())
    assert not (tmp_path / "trial").exists()


def test_without_a_validation_split_there_is_no_trial(recipe, toy_news, tmp_path):
    dataset = read_dataset(recipe, toy_news, Silent())
    bare = replace(dataset, examples={**dataset.examples, "valid": []})
    with pytest.raises(DataError, match="no validation split"):
        trial(recipe, bare, tmp_path / "trial", Silent())

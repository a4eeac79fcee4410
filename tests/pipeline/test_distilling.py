"""A run distilled into a smaller one: what it learns from, killed and resumed, every kind of teacher."""

import copy
import random
from dataclasses import replace

import asked
import fits
import numpy as np
import pytest
import torch
import toy

import metier
from metier.errors import RecipeError, RunError
from metier.models.ensemble import Ensemble
from metier.optimise.static import Plan
from metier.pipeline.optimise import static as still
from metier.pipeline.optimise.distil import Distilling, distilled, with_further
from metier.pipeline.optimise.material import material
from metier.pipeline.watch import Silent
from metier.predict.prompted import Prompted
from metier.predict.static_runtime import write
from metier.predict.torch_runtime import TorchRuntime
from metier.recipe import Recipe
from metier.run import RECIPE, Run, seal, stage

HARD = Distilling(layers=1, epochs=2.0, rate=3e-3, batch=16)


@pytest.fixture(scope="module")
def teacher(toy_run):
    """A fitted run of two layers and two heads around its data. It is never changed."""
    return material(Run.open(toy_run), None, Silent())


@pytest.fixture
def further(tmp_path):
    """Texts without labels."""
    return toy.lines(tmp_path / "further.jsonl", [{"text": f"Lima gains {at} profit"} for at in range(24)])


class Cut(Silent):
    """Stops whoever it watches at a step, as a kill would."""

    def __init__(self, at=10**9):
        self.at, self.said, self.stages, self.losses = at, [], [], []

    def say(self, text):
        self.said.append(text)

    def stage(self, name, total):
        self.stages.append((name, total))

    def step(self, record):
        self.losses.append(record.loss)
        if record.step == self.at:
            raise KeyboardInterrupt


def folder(path):
    path.mkdir()
    return path


def eager(prepared):
    """With a checkpoint after every step."""
    train = prepared.recipe.train.model_copy(update={"checkpoint_seconds": 0.0})
    return replace(prepared, recipe=prepared.recipe.model_copy(update={"train": train}))


def weights_of(prepared):
    return {name: weight.clone() for name, weight in prepared.runtime.network.state_dict().items()}


def same(one, other):
    assert one.keys() == other.keys() and all(torch.equal(weight, other[name]) for name, weight in one.items())


def test_a_student_learns_what_its_teacher_says(teacher, tmp_path):
    before, watch = weights_of(teacher), Cut()
    settings = replace(HARD, epochs=12.0)
    found, cost = distilled(teacher, settings, None, folder(tmp_path / "staged"), watch)
    assert found.network.encoder.depth == 1 and found.recipe == teacher.recipe and found.tables is teacher.tables
    table = teacher.tables["test"]
    said, wanted = (run.runtime.predict(table.documents) for run in (found, teacher))
    agreed = np.mean([a["place"].label == b["place"].label for a, b in zip(said, wanted, strict=True)])
    assert agreed > 0.9
    assert len(watch.losses) == cost["steps"] == 60 and cost["seconds"] > 0
    (note,) = found.notes[len(teacher.notes) :]
    assert (note["layers"], note["of"], note["count"], note["unlabelled"]) == ("2", 2, 72, 0)
    same(weights_of(teacher), before)
    assert found.heads["place"] is not teacher.heads["place"]


@pytest.mark.parametrize("hidden", [0.0, 1.0])
def test_cut_off_and_gone_on_with(hidden, teacher, further, tmp_path):
    teacher = eager(teacher)
    settings = replace(HARD, hidden=hidden)
    whole, _ = distilled(teacher, settings, further, folder(tmp_path / "whole"), Silent())
    torn = folder(tmp_path / "torn")
    with pytest.raises(KeyboardInterrupt):
        distilled(teacher, settings, further, torn, Cut(4))
    watch = Cut()
    again, _ = distilled(teacher, settings, further, torn, watch)
    assert any("Resuming at step 3" in text for text in watch.said) and len(watch.losses) == 12 - 3
    same(weights_of(again), weights_of(whole))
    watch = Cut()
    once_more, cost = distilled(teacher, settings, further, torn, watch)
    assert not watch.losses and "there already" in watch.said[-1] and cost["steps"] == 12
    same(weights_of(once_more), weights_of(whole))


def test_unlabelled_texts_are_heard(teacher, tmp_path):
    texts = [f"{good} {bad}" for good in toy.GOOD[:4] for bad in toy.BAD[:6]]  # as no labelled text is
    further, watch = toy.lines(tmp_path / "further.jsonl", [{"text": text} for text in texts]), Cut()
    found, _ = distilled(teacher, replace(HARD, labels=0.0), further, folder(tmp_path / "staged"), watch)
    assert dict(watch.stages)["fit"] == 2 * (72 + 24) and found.notes[-1]["unlabelled"] == 24
    assert len(found.tables["train"].documents) == 72  # what it is measured on and recovers with is as before
    without, _ = distilled(teacher, replace(HARD, labels=0.0), None, folder(tmp_path / "without"), Silent())
    documents = [metier.Document(text) for text in texts]
    apart = [
        np.mean(
            [
                abs(a["sentiment"].probabilities["positive"] - b["sentiment"].probabilities["positive"])
                for a, b in zip(run.runtime.predict(documents), teacher.runtime.predict(documents), strict=True)
            ]
        )
        for run in (found, without)
    ]
    assert apart[0] < apart[1]


def test_copies_of_texts_are_spoken_of(teacher):
    found = with_further(teacher, None, 3)
    examples = found.dataset.examples["train"]
    assert len(found.tables["train"].documents) == len(examples) and found.tables["valid"] is teacher.tables["valid"]
    kinds = [example.document.id.partition("#")[2] for example in examples]
    counts = {kind: kinds.count(kind) for kind in set(kinds)}
    assert counts[""] == 72 and counts["deletions"] == 2 * 72 and 60 < counts["swaps"] <= 72  # some are too short
    texts = {example.document.id: example.document.text for example in examples[:72]}
    for example in examples[72:]:
        name, _, kind = example.document.id.partition("#")
        before, after = texts[name].split(), example.document.text.split()
        assert not example.targets and before != after
        assert set(after) <= set(before) and (sorted(before) == sorted(after)) == (kind == "swaps")
    again = with_further(teacher, None, 3).dataset.examples["train"]
    assert again == examples
    assert with_further(teacher, None) is teacher


def test_an_ensemble_teaches_by_its_answers(teacher, tmp_path):
    other = copy.deepcopy(teacher.network)
    with torch.no_grad():
        for weight in other.heads.parameters():
            weight.mul_(0.5)
    runtime = copy.copy(teacher.runtime)
    runtime.network = Ensemble([copy.deepcopy(teacher.network), other])
    watch = Cut()
    found, _ = distilled(replace(teacher, runtime=runtime), HARD, None, folder(tmp_path / "staged"), watch)
    assert ("teach", 72) in watch.stages and found.network.encoder.depth == 1 and found.runtime.network is found.network


def test_whoever_asks_a_language_model_teaches_by_its_answers(tmp_path):
    rng = random.Random(3)
    rows = [{"text": toy.sentence(rng, toy.GOOD if at % 2 else toy.BAD)} for at in range(40)]
    data = toy.lines(tmp_path / "data.jsonl", rows)  # without a single label
    names = {"g": "profit", "b": "loss"}
    recipe = Recipe.parse(
        {
            "data": {"path": str(data), "text": ["text"]},
            "heads": {"mood": {"column": "mood", "task": "classify", "names": names}},
            "model": {"backbone": str(asked.masked(tmp_path / "masked", steps=150)), "max_length": 32},
            "train": {"method": "zero_shot", "threads": 1},
            "prompt": {"templates": ["{text} the report is {label}"]},
            "evaluate": fits.QUICK,
        }
    )
    prompted = material(Run.open(metier.train(recipe, out=tmp_path / "run").run), None, Silent(), teaches=True)
    assert isinstance(prompted.runtime, Prompted)
    watch = Cut()
    found, _ = distilled(prompted, replace(HARD, epochs=30.0, labels=0.0), None, folder(tmp_path / "layers"), watch)
    assert type(found.runtime) is TorchRuntime and found.network.encoder.depth == 1 and ("teach", 32) in watch.stages
    made = still.distilled(prompted, replace(QUICK, labels=0.0, epochs=60.0), None, folder(tmp_path / "still"), watch)
    table = prompted.tables["train"]
    wanted = np.stack(prompted.runtime.logits(table)["mood"])
    for runtime in (found.runtime, made.runtime):
        said = np.stack(runtime.logits(table)["mood"])
        leaning = np.corrcoef(said[:, 0] - said[:, 1], wanted[:, 0] - wanted[:, 1])[0, 1]
        assert leaning > 0.5


def test_layers_that_are_not_there(teacher, tmp_path):
    with pytest.raises(RecipeError, match="3 layers"):
        distilled(teacher, Distilling(layers=3), None, tmp_path, Silent())


# -- without layers ----------------------------------------------------------------------------------------------
QUICK = still.Distilling(plan=Plan(width=16, buckets=256, hidden=8, sif=1.0), epochs=10.0, batch=16)


def accuracy(runtime, teacher, head="sentiment"):
    examples = teacher.dataset.examples["test"]
    said = runtime.predict([example.document for example in examples])
    return np.mean([row[head].label == example.targets[head] for row, example in zip(said, examples, strict=True)])


def test_a_static_student_learns_and_is_saved(teacher, tmp_path):
    before, watch = weights_of(teacher), Cut()
    settings = replace(QUICK, epochs=30.0, rate=1e-2)
    made = still.distilled(teacher, settings, None, folder(tmp_path / "staged"), watch)
    assert accuracy(made.runtime, teacher) > 0.9 and accuracy(made.runtime, teacher, "place") > 0.9
    stages = dict(watch.stages)
    assert stages["fit"] == 30 * 72 and stages["tokens"] == teacher.network.encoder.vocabulary and "probe" in stages
    assert made.cost["steps"] == len(watch.losses) == 150
    assert made.prepared.notes[-1]["count"] == 72 and made.prepared.recipe == teacher.recipe
    same(weights_of(teacher), before)
    documents = teacher.tables["test"].documents
    torch_says = made.prepared.runtime.logits(made.prepared.tables["test"])
    numpy_says = made.runtime.logits(made.prepared.tables["test"])
    for name, found in numpy_says.items():
        np.testing.assert_allclose(np.stack(found), np.stack(torch_says[name]), atol=0.05)
    made.prepared.heads["place"].temperature = 0.7  # a calibration of the one is one of the other
    staged = stage(tmp_path / "run")
    teacher.recipe.write(staged / RECIPE)
    still.save_static(made.runtime, staged)
    seal(tmp_path / "run", {"metier": "0"})
    model = metier.load(tmp_path / "run")
    assert model.runtime.describe()["engine"] == "static" and model.heads["place"].temperature == 0.7
    assert model.predict([document.text for document in documents]) == made.runtime.predict(documents)


def test_a_static_student_cut_off_and_gone_on_with(teacher, further, tmp_path):
    settings = replace(QUICK, epochs=2.0)
    teacher = eager(teacher)
    whole = still.distilled(teacher, settings, further, folder(tmp_path / "whole"), Silent())
    torn = folder(tmp_path / "torn")
    with pytest.raises(KeyboardInterrupt):
        still.distilled(teacher, settings, further, torn, Cut(4))
    watch = Cut()
    again = still.distilled(teacher, settings, further, torn, watch)
    assert any("Resuming at step 3" in text for text in watch.said)
    assert write(again.runtime) == write(whole.runtime)
    watch = Cut()
    assert write(still.distilled(teacher, settings, further, torn, watch).runtime) == write(whole.runtime)
    assert not watch.losses and whole.prepared.notes[-1]["unlabelled"] == 24
    alone = still.distilled(teacher, settings, None, folder(tmp_path / "alone"), Silent())
    assert write(alone.runtime) != write(whole.runtime)
    with pytest.raises(RunError, match="was made with another"):
        still.distilled(teacher, replace(settings, rate=1e-3), further, torn, Silent())


def test_no_static_student_for_tokens(toy_backbone, tmp_path):
    data = toy.cities(tmp_path / "cities")
    settings = {"backbone": str(toy_backbone), "epochs": 1, "max_length": 32, "baselines": False, "resamples": 20}
    model = metier.train(data, label={"place": "spans"}, out=tmp_path / "run", **settings)
    tagger = material(Run.open(model.run), None, Silent())
    with pytest.raises(RecipeError, match=r"cannot answer for place \(tag\)"):
        still.distilled(tagger, QUICK, None, tmp_path, Silent())
    watch = Cut()
    found, _ = distilled(tagger, replace(HARD, epochs=1.0), None, folder(tmp_path / "staged"), watch)
    assert found.network.encoder.depth == 1 and len(watch.losses) == 6

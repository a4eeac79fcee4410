"""What a run was fitted on, read again, and the steps that make it smaller."""

import shutil

import numpy as np
import pytest
import toy

import metier
from metier import run as folder
from metier.errors import RecipeError, RunError
from metier.pipeline.assess import assess
from metier.pipeline.fit import Fitted
from metier.pipeline.judged import answered
from metier.pipeline.optimise.material import material
from metier.pipeline.optimise.recover import answers, recover
from metier.pipeline.optimise.shrink import Layers, Parts, Words, drop_layers, drop_parts, trim_words
from metier.pipeline.train import train
from metier.pipeline.watch import Silent
from metier.pipeline.weights import save_runtime
from metier.recipe import Recipe
from metier.run import Run

SETTINGS = {"epochs": 3, "batch_size": 8, "max_length": 32, "threads": 1, "baselines": False, "resamples": 20}
TEXTS = ["Berlin gains record profit", "Oslo sinks, weak results", "Lima"]


def fitted(out, data, backbone, **settings):
    settings = {"label": "sentiment", "backbone": str(backbone), "suspects": False, **SETTINGS, **settings}
    return metier.train(data, out=out, **settings)


def recipe(backbone, heads, **parts):
    parts |= {"heads": heads, "model": {"backbone": str(backbone), "max_length": 32}}
    parts |= {"train": {"epochs": 1.0, "threads": 1}}
    return Recipe.parse({**parts, "evaluate": {"baselines": False, "suspects": False, "resamples": 20}})


class Told(Silent):
    """Remembers what was said."""

    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)


def test_the_material_of_a_run_is_that_of_its_fit(toy_run):
    prepared = material(Run.open(toy_run), None, Silent())
    assert prepared.dataset.summary["rows"] == {"train": 72, "valid": 24, "test": 24}
    assert set(prepared.heads) == {"sentiment", "place"} and not prepared.notes
    model = metier.load(toy_run)
    texts = [document.text for document in prepared.tables["test"].documents]
    assert prepared.runtime.predict(prepared.tables["test"].documents) == model.predict(texts)
    assert prepared.backbone.sha256 and prepared.backbone.folder == toy_run


def test_data_that_changed_or_is_gone(tmp_path, toy_backbone):
    data = toy.news(tmp_path / "news.csv")
    run = Run.open(fitted(tmp_path / "run", data, toy_backbone, epochs=1).run)
    moved = shutil.copy(data, tmp_path / "moved.csv")
    data.write_text(data.read_text() + "Rome rises,positive,Rome,train\n")
    with pytest.raises(RunError, match="has changed since .* --data"):
        material(run, None, Silent())
    told = Told()
    other = material(run, data, told)
    assert len(other.notes) == 1 and len(other.tables["train"].rows) == 73 and "not the data" in " ".join(told.said)
    data.unlink()
    with pytest.raises(RunError, match="not there any more.*--data"):
        material(run, None, Silent())
    assert not material(run, moved, Silent()).notes


def test_heads_with_files_of_their_own_need_no_other(tmp_path, toy_backbone):
    files = {name: toy.news(tmp_path / f"{name}.csv", seed=seed) for seed, name in enumerate(("place", "sentiment"))}
    heads = {name: {"column": name, "path": str(file)} for name, file in files.items()}
    run = train(recipe(toy_backbone, heads), out=tmp_path / "run", source=None, watch=Silent())
    found = material(run, None, Silent())
    assert len(found.tables["train"].rows) == 144 and not found.notes
    files["place"].unlink()
    with pytest.raises(RunError, match="there is no .*place.csv.*put it back"):
        material(run, None, Silent())


def test_a_table_in_memory_is_asked_for(tmp_path, toy_backbone):
    rows = [
        {"text": f"{word} {number}", "sentiment": label}
        for number in range(8)
        for label, words in (("good", toy.GOOD), ("bad", toy.BAD))
        for word in words[:4]
    ]
    run = Run.open(fitted(tmp_path / "run", rows, toy_backbone, epochs=1).run)
    with pytest.raises(RunError, match="table in memory"):
        material(run, None, Silent())
    assert not material(run, rows, Silent()).notes


def test_an_adapter_becomes_weights_that_are_the_run_s_own(tmp_path, toy_backbone, toy_news):
    model = fitted(tmp_path / "run", toy_news, toy_backbone, method="lora", precision="fp32")
    said = model.predict(TEXTS)
    prepared = material(Run.open(model.run), None, Silent())
    assert prepared.network.encoder.adapter is None
    table = prepared.tables["test"]
    before, own = model.runtime.logits(table)["sentiment"], prepared.runtime.logits(table)["sentiment"]
    assert np.allclose(before, own, atol=1e-5)
    for weight in prepared.network.parameters():
        assert weight.requires_grad
        weight.data.zero_()
    assert metier.load(model.run).predict(TEXTS) == said  # what other runs share is as it was


@pytest.mark.parametrize("method", ["adapter", "prefix", "prompt"])
def test_other_adapters_are_refused(method, tmp_path, toy_backbone, toy_news):
    model = fitted(tmp_path / "run", toy_news, toy_backbone, method=method, epochs=1)
    with pytest.raises(RunError, match=f"method '{method}' cannot be made smaller"):
        material(Run.open(model.run), None, Silent())


def test_a_recovery_is_never_a_loss(tmp_path, toy_run):
    prepared = material(Run.open(toy_run), None, Silent())
    teacher = answers(prepared, Silent())
    for layer in prepared.network.encoder.layers:
        layer.widen.weight.data.mul_(0.3)
    cost = recover(prepared, 2, Silent(), tmp_path, teacher, rate=1e-3)
    assert cost["steps"] and cost["after"] >= cost["before"] and not list(tmp_path.iterdir())
    kept = prepared.runtime.logits(prepared.tables["valid"])
    worse = recover(prepared, 1, Silent(), tmp_path, rate=0.5)
    again = prepared.runtime.logits(prepared.tables["valid"])
    assert worse["after"] == worse["before"]
    assert all(np.array_equal(*pair) for name in kept for pair in zip(kept[name], again[name], strict=True))


def sealed(prepared, run, out):
    """A run with the network and tokenizer of a prepared one."""
    staged = folder.stage(out)
    for name in run.manifest["files"]:
        if name.count("/") == 0:
            shutil.copyfile(run.path / name, staged / name)
    save_runtime(prepared.runtime, staged)
    return folder.seal(out, {"data": run.manifest["data"]})


def agree(prepared, run, out):
    """A run that was saved and loaded answers as it did before, and is fitted and shrunk like any other."""
    made = sealed(prepared, run, out)
    documents = prepared.tables["test"].documents
    expected = prepared.runtime.predict(documents)
    assert metier.load(made.path).predict([document.text for document in documents]) == expected
    again = material(made, None, Silent())
    assert again.runtime.predict(documents) == expected
    cost = recover(again, 1, Silent(), out.with_name("fit"), rate=1e-3)
    assert cost["steps"] and set(assess(again, Fitted(), answered(again.tables, again.runtime, Silent()))) == set(
        prepared.heads
    )
    return made


@pytest.fixture
def prepared(toy_run):
    return material(Run.open(toy_run), None, Silent())


@pytest.mark.parametrize("how", ["top", "ablation"])
def test_layers_are_dropped(how, prepared, toy_run, tmp_path):
    facts = drop_layers(prepared, Layers(1, how), Silent())
    assert facts["layers"] == [2, 1] and prepared.network.encoder.depth == 1
    assert facts["removed"] == [2] if how == "top" else len(facts["losses"]) == 1
    before, after = facts["parameters"]
    assert before - after == 3 * 32 * 33 + 32 * 33 + 64 * 33 + 32 * 65 + 4 * 32  # those of a layer
    assert facts["bytes"] == [4 * before, 4 * after]
    agree(prepared, Run.open(toy_run), tmp_path / "run")


def test_heads_and_units_are_dropped(prepared, toy_run, tmp_path):
    facts = drop_parts(prepared, Parts(heads=0.5, units=0.25, rows=40, compare="norm"), Silent())
    (old_heads, heads), (old_units, units) = facts["heads"], facts["units"]
    assert old_heads == [4, 4] and sum(heads) == 4 and min(heads) >= 1
    assert old_units == [64, 64] and sum(units) == 32 and all(count % 8 == 0 for count in units)
    assert facts["parameters"][1] < facts["parameters"][0]
    made = agree(prepared, Run.open(toy_run), tmp_path / "run")
    assert made.json("encoder.json")["shape"]["layers"] == [list(pair) for pair in zip(heads, units, strict=True)]
    assert "layers" not in Run.open(toy_run).json("encoder.json")["shape"]
    again = material(made, None, Silent())
    drop_layers(again, Layers(1), Silent())
    drop_parts(again, Parts(units=0.5), Silent())
    assert len(again.network.encoder.shape.layers) == 1


def test_words_are_trimmed(prepared, toy_run, tmp_path):
    valid, train = prepared.runtime.logits(prepared.tables["valid"]), prepared.runtime.logits(prepared.tables["train"])
    facts = trim_words(prepared, Words(), Silent())
    old, new = facts["vocabulary"]
    assert new < old == 143 and prepared.network.encoder.vocabulary == new and facts["texts"] == 72
    assert facts["parameters"][0] - facts["parameters"][1] == 32 * (old - new)
    assert facts["tokens"]["train"][0] == facts["tokens"]["train"][1] <= sum(facts["tokens"]["train"])
    again = prepared.runtime.logits(prepared.tables["train"])
    assert all(np.allclose(*pair, atol=1e-5) for name in train for pair in zip(train[name], again[name], strict=True))
    assert len(prepared.runtime.logits(prepared.tables["valid"])["place"]) == len(valid["place"])
    agree(prepared, Run.open(toy_run), tmp_path / "run")


def test_words_of_further_files_stay(prepared, tmp_path):
    further = toy.lines(tmp_path / "further.jsonl", [{"text": "股市 weakly unheardof"}, {"text": "the record falls"}])
    vocabulary = prepared.runtime.tokeniser.tokenizer.get_vocab()
    spared = [word for word in toy.FILLER if word in vocabulary]
    prepared.dataset.examples["train"][:] = prepared.dataset.examples["train"][:1]
    prepared.tables["train"] = type(prepared.tables["train"]).of(
        [prepared.dataset.examples["train"][0].document], prepared.runtime.tokeniser, prepared.heads
    )
    facts = trim_words(prepared, Words((further,)), Silent())
    left = prepared.runtime.tokeniser.tokenizer.get_vocab()
    assert facts["texts"] == 3 and {"weak", "record", "falls"} <= left.keys()
    assert any(word not in left for word in spared)


def test_marks_of_a_task_outlive_the_trimming(tmp_path, toy_backbone):
    import fits

    data = fits.relations(tmp_path / "data.jsonl")
    model = fitted(tmp_path / "run", data, toy_backbone, label="label", task="relate", method="lora")
    run = Run.open(model.run)
    prepared = material(run, None, Silent())
    documents = prepared.tables["train"].documents
    expected = model.runtime.predict(documents)
    old, new = trim_words(prepared, Words(), Silent())["vocabulary"]
    assert new < old and prepared.runtime.tokeniser.tokenizer.token_to_id("<e1>") is not None
    for one, other in zip(prepared.runtime.predict(documents), expected, strict=True):
        assert one["label"].score == pytest.approx(other["label"].score, abs=1e-4)
    drop_parts(prepared, Parts(heads=0.5, units=0.5), Silent())
    assert prepared.runtime.predict(documents)[0]["label"].label


def test_what_cannot_be_taken_away(prepared, tmp_path, toy_backbone, toy_news):
    with pytest.raises(RecipeError, match="3 layers cannot be left. Expected: 1 to 2"):
        drop_layers(prepared, Layers(3), Silent())
    with pytest.raises(RecipeError, match="share of 0.0 of the heads"):
        drop_parts(prepared, Parts(heads=0.0), Silent())
    heads = {"sentiment": {"column": "sentiment"}}
    parts = {"data": {"path": str(toy_news)}, "ensemble": {"members": 2}}
    run = train(recipe(toy_backbone, heads, **parts), out=tmp_path / "run", source=None, watch=Silent())
    together = material(run, None, Silent())
    for step in (lambda: drop_layers(together, Layers(1), Silent()), lambda: trim_words(together, Words(), Silent())):
        with pytest.raises(RunError, match="ensemble.*distil"):
            step()
    with pytest.raises(RunError, match="ensemble"):
        recover(together, 1, Silent(), tmp_path)


def test_a_tagger_is_shrunk_as_well(tmp_path, toy_backbone):
    data = toy.cities(tmp_path / "cities", rows=30)
    run = Run.open(fitted(tmp_path / "run", data, toy_backbone, label="spans", epochs=1).run)
    prepared = material(run, None, Silent())
    assert trim_words(prepared, Words(), Silent())["vocabulary"][1] < 143
    assert sum(drop_parts(prepared, Parts(heads=0.5, units=0.5), Silent())["heads"][1]) == 4
    assert recover(prepared, 1, Silent(), tmp_path, answers(prepared, Silent()))["steps"]
    drop_layers(prepared, Layers(1), Silent())
    assert len(prepared.runtime.predict(prepared.tables["test"].documents)) == 10


def test_runs_without_weights_of_their_own_are_refused(toy_run):
    run = Run.open(toy_run)
    run.manifest["files"]["prompt.json"] = ""
    with pytest.raises(RunError, match="asks a language model"):
        material(run, None, Silent())
    run = Run.open(toy_run)
    del run.manifest["files"]["model.safetensors"]
    with pytest.raises(RunError, match="made smaller already"):
        material(run, None, Silent())


def test_an_adapter_that_cannot_be_folded_may_teach(tmp_path, toy_backbone, toy_news):
    model = fitted(tmp_path / "run", toy_news, toy_backbone, method="prefix", epochs=1)
    prepared = material(Run.open(model.run), None, Silent(), teaches=True)
    assert prepared.network.encoder.adapter is not None
    documents = prepared.tables["test"].documents
    assert prepared.runtime.predict(documents) == model.runtime.predict(documents)
    for step, settings in ((drop_parts, Parts(heads=0.5)), (drop_layers, Layers(1)), (trim_words, Words())):
        with pytest.raises(RunError, match="adapter \\(prefix\\)"):
            step(prepared, settings, Silent())

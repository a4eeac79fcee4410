"""The race: what it chooses, what it costs, and that it goes on where it stopped."""

import json
import time
from dataclasses import replace

import fits
import numpy as np
import pytest
import tomli_w
import toy
from commands import killed, metier, refused, started

from metier.errors import DataError, RunError
from metier.pipeline.dataset import read_dataset
from metier.pipeline.race import race, sheet, standing
from metier.pipeline.race.clock import Clock, Guard, spent_before
from metier.pipeline.race.cuts import cuts
from metier.pipeline.trial import trial
from metier.pipeline.watch import Silent
from metier.recipe import Recipe

ONE = {"sentiment": {"column": "sentiment"}}
TWO = {**ONE, "place": {"column": "place"}}
BUDGET = 300.0


def recipe_file(folder, data, heads, backbone, **parts):
    path = fits.recipe(folder / "race.toml", data, heads, backbone, method="auto", epochs=3, **parts.pop("train", {}))
    values = {**Recipe.read(path).model_dump(mode="json", exclude_none=True), **parts}
    path.write_text(tomli_w.dumps(values))
    return path


@pytest.fixture(scope="module")
def raced(tmp_path_factory, toy_backbone):
    folder = tmp_path_factory.mktemp("race")
    data = toy.news(folder / "news.csv", rows=240)
    recipe = recipe_file(folder, data, ONE, toy_backbone, race={"budget": BUDGET})
    done = metier("train", recipe, "--out", folder / "run", "--json")
    assert done.code == 0, done.err
    return folder / "run", done


def test_the_winner_is_a_run_like_any_other(raced):
    run, done = raced
    found = done.json["race"]
    won = [line for line in found["rungs"] if line["fate"] == "won"]
    assert [line["name"] for line in won] == [found["winner"]]
    recipe = Recipe.read(run / "recipe.toml")
    assert recipe.train.method == won[0]["method"] and recipe.train.checkpoint_seconds == 30.0
    assert done.json["heads"]["sentiment"]["test"]["headline"]["value"] > 0.6
    assert (run / "metrics.jsonl").read_text().count("\n") >= 1
    assert not (run / "checkpoint").exists() and 'id="race"' in (run / "report.html").read_text()
    again = metier("evaluate", run, recipe.data.path, "--json")
    assert again.json["heads"]["sentiment"]["test"]["headline"] == done.json["heads"]["sentiment"]["test"]["headline"]


def test_every_rung_has_a_fate_and_the_budget_held(raced):
    _, done = raced
    found = done.json["race"]
    names = [line["name"] for line in found["rungs"]]
    assert names[:4] == ["majority", "TF-IDF", "zero_shot", "probe"] and {"lora", "full"} < set(names)
    assert all(line["fate"] for line in found["rungs"])
    assert found["spent"] < BUDGET and done.json["seconds"] < BUDGET
    measured = [line for line in found["rungs"] if line.get("score") is not None]
    assert all(line["interval"][0] <= line["score"] <= line["interval"][1] for line in measured)
    probe = next(line for line in measured if line["name"] == "probe")
    assert probe["rows"] == 144 and probe["rate"] > 0 and probe["size"] > 10_000
    assert "winner" in done.err and "x the labels" in done.err


def test_a_killed_race_goes_on(tmp_path, toy_backbone):
    data = toy.news(tmp_path / "news.csv", rows=160)
    recipe = recipe_file(tmp_path, data, ONE, toy_backbone, race={"budget": BUDGET})
    run = tmp_path / "run"
    lines = tmp_path / "run.partial" / "checkpoint" / "race" / "rungs.jsonl"

    def probed():
        return lines.is_file() and '"probe", "rate"' in lines.read_text().replace('"name": ', "")

    killed(started(tmp_path / "log", "train", recipe, "--out", run), probed)
    finished = [json.loads(line) for line in lines.read_text().splitlines()[1:] if line.endswith("}")]
    spent = spent_before(lines.parent / race.CLOCK)
    assert spent > 0 and metier("train", recipe, "--out", run).code == 2
    resumed = metier("train", "--resume", run, "--json")
    assert resumed.code == 0, resumed.err
    for done in finished:
        assert f"race: {done['name']} on {done['rows']} texts" not in resumed.err
    assert resumed.json["race"]["spent"] > spent
    by_name = {line["name"]: line for line in resumed.json["race"]["rungs"]}
    kept = {line["name"]: line["seconds"] for line in finished if line["share"] == 1.0}
    assert kept and all(by_name[name]["seconds"] == seconds for name, seconds in kept.items())


@pytest.mark.parametrize("kind", ["two heads", "spans", "numbers", "chinese"])
def test_races_on_other_tasks(kind, tmp_path, toy_backbone):
    heads, data = {"label": {"column": "label"}}, tmp_path / "data.jsonl"
    if kind == "two heads":
        data, heads = toy.news(tmp_path / "news.csv", rows=90), TWO
    elif kind == "spans":
        data, heads = toy.cities(tmp_path / "cities", rows=60), {"ner": {"column": "spans"}}
    elif kind == "numbers":
        rows = [{"text": toy.FILLER[at % 14] + f" {at}", "label": float(at % 14)} for at in range(90)]
        toy.lines(data, rows)
    else:
        rows = [
            {"text": f"公司{'利润上涨' if at % 2 else '亏损下跌'}{at}", "label": "好坏"[at % 2]} for at in range(90)
        ]
        toy.lines(data, rows)
    recipe = recipe_file(tmp_path, data, heads, toy_backbone, race={"budget": BUDGET, "margin": 60.0})
    done = metier("train", recipe, "--out", tmp_path / "run", "--json")
    assert done.code == 0, done.err
    fates = {line["name"]: line["fate"] for line in done.json["race"]["rungs"]}
    assert "won" in (fates["probe"], fates["zero_shot"]) and fates["full"] != "won"


def test_too_small_a_budget_says_how_much_is_needed(tmp_path, toy_backbone, toy_news):
    recipe = recipe_file(tmp_path, toy_news, ONE, toy_backbone, race={"budget": 0.05})
    said = refused("train", recipe, "--out", tmp_path / "run")
    assert "A budget of 0.05 s is too small" in said and "at least about" in said
    assert not (tmp_path / "run.partial").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--method", "full", "--budget", "5m"], "--method auto"),
        (["--method", "auto", "--budget", "5 parsecs"], "'5 parsecs' is no length of time"),
        (["--method", "auto", "--seeds", "2"], "A race is run once"),
        (["--method", "auto", "--set", "ensemble.members=2"], "ensemble.members"),
    ],
)
def test_what_cannot_be_raced_is_refused(flags, said, tmp_path, toy_news, toy_backbone):
    common = ["--label", "sentiment", "--backbone", toy_backbone, "--out", tmp_path / "run"]
    assert said in refused("train", toy_news, *common, *flags)


def test_lengths_of_time():
    for written, seconds in {"90s": 90.0, "10m": 600.0, "1.5h": 5400.0, "45": 45.0, 30: 30.0}.items():
        recipe = Recipe.parse({"heads": {"a": {"column": "a"}}, "race": {"budget": written}})
        assert recipe.race.budget == seconds


# -- parts -------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def scene(tmp_path_factory, toy_backbone):
    folder = tmp_path_factory.mktemp("parts")
    data = toy.news(folder / "news.csv", rows=240)
    asked = Recipe.read(recipe_file(folder, data, TWO, toy_backbone))
    dataset = read_dataset(asked, str(data), Silent())
    return dataset.resolve(asked), dataset


def test_cuts_are_nested_and_judged_by_what_they_have_not_seen(scene):
    recipe, dataset = scene
    found = cuts(recipe, dataset)
    assert list(found) == [0.25, 0.5, 1.0] and len(found[0.25]) == 3 and len(found[1.0]) == 1

    def ids(examples):
        return {example.document.id for example in examples}

    quarter, half = found[0.25][0], found[0.5][0]
    assert ids(quarter.dataset.examples["train"]) < ids(half.dataset.examples["train"])
    assert (quarter.rows, half.rows) == (36, 72) and quarter.rest == half.rest and len(half.rest) == 72
    test = ids(dataset.examples["test"])
    for cut in (item for items in found.values() for item in items):
        assert not ids(cut.judged) & (ids(cut.dataset.examples["train"]) | test)
        assert not cut.dataset.examples["test"]
        moods = [example.targets["sentiment"] for example in cut.dataset.examples["train"]]
        assert abs(moods.count("positive") - moods.count("negative")) <= 2
    grouped = cuts(recipe.but(data={"group": "place"}), dataset)
    assert all(not cut.rest for items in grouped.values() for cut in items)


def test_sheets_score_as_the_pipeline_does_and_can_be_paired(scene, tmp_path):
    recipe, dataset = scene
    (cut,) = cuts(recipe, dataset)[1.0]
    found = trial(recipe.but(train={"method": "probe"}), cut.dataset, tmp_path / "fit", Silent())
    own = sheet.of_trial(found, cut)
    assert own.score() == own.score(valid=True) == pytest.approx(np.mean(list(found.heads.values())))
    low, high = own.interval()
    assert low <= own.score() <= high and own.deviation() > 0
    other = sheet.of_baseline("majority", found.prepared.heads, cut, 0)
    gain, error = own.gain(other)
    assert gain == pytest.approx(own.score() - other.score()) == pytest.approx(-other.gain(own)[0]) and error > 0
    twice = sheet.joined([own, own])
    assert twice.valid == own.valid and twice.score() == pytest.approx(own.score())
    assert twice.first(len(own.counts)).score() == own.score() and twice.gain(own)[0] == pytest.approx(0.0)


def test_a_guard_ends_a_fit_in_time_and_keeps_what_it_learned(scene, tmp_path):
    recipe, dataset = scene
    (cut,) = cuts(recipe, dataset)[1.0]

    class Stepped(Clock):
        """Time that passes with the steps of the fit."""

        @property
        def left(self):
            return self.budget - len(guard.records)

    guard = Guard(Silent(), Stepped(7.0, 0.0, tmp_path / "clock.json"))
    with guard.keeping(0.0):
        found = trial(recipe.but(train={"method": "full", "epochs": 3.0}), cut.dataset, tmp_path / "fit", guard)
    assert guard.fired and len(guard.records) == 8 and found.score > 0
    before = time.monotonic()
    clock = Clock(100.0, 40.0, tmp_path / "clock.json")
    clock.note(now=True)
    assert 40 <= spent_before(clock.file) <= 41 + time.monotonic() - before


def test_a_race_does_not_go_on_with_other_data(tmp_path, scene):
    recipe, dataset = scene
    started_race = race.start(recipe, dataset, tmp_path / "run.partial", 0.0, Silent())
    started_race.bench.measure(started_race.bench.rungs["majority"], 1.0)
    again = race.start(recipe, dataset, tmp_path / "run.partial", 0.0, Silent())
    assert again.bench.log.sheets["majority", 1.0].score() == pytest.approx(
        started_race.bench.log.sheets["majority", 1.0].score()
    )
    with pytest.raises(RunError, match="another recipe"):
        race.start(recipe.but(seed=99), dataset, tmp_path / "run.partial", 0.0, Silent())


@pytest.mark.parametrize("name", ["lora", "contrastive"])
def test_a_winner_of_an_earlier_process_answers_the_same(name, tmp_path, scene):
    recipe, dataset = scene
    staged = tmp_path / "run.partial"
    first = race.start(recipe, dataset, staged, 0.0, Silent())
    first.bench.measure(first.bench.rungs[name], 1.0)
    again = race.start(recipe, dataset, staged, 0.0, Silent())
    first.leader, again.leader = first.bench.rungs[name], again.bench.rungs[name]
    first.bench.measure(first.bench.rungs["probe"], 1.0)
    (before, _), (after, _) = standing.winner(first, staged), standing.winner(again, staged)
    says = [one.runtime.logits(one.tables["test"])["sentiment"] for one in (before, after)]
    np.testing.assert_array_equal(np.stack(says[0]), np.stack(says[1]))
    assert (after.network.encoder.adapter is not None) == (name == "lora")


def test_a_race_needs_validation_texts(tmp_path, scene):
    recipe, dataset = scene
    blind = replace(dataset, examples={**dataset.examples, "valid": []})
    with pytest.raises(DataError, match="no validation split to race on"):
        race.start(recipe, blind, tmp_path / "run.partial", 0.0, Silent())

"""The search: what it finds and leaves, how it goes on, who may share it, what is said of mistakes."""

import sqlite3
import time
from contextlib import closing

import postgres
import pytest
import tomli_w
from commands import killed, metier, refused, started

from metier.errors import RunError
from metier.pipeline.dataset import read_dataset
from metier.pipeline.search import storage, tries
from metier.pipeline.search.ranges import Space
from metier.pipeline.search.search import Plan, search, spent
from metier.pipeline.search.storage import Place
from metier.pipeline.search.tries import Stop, TrialWatch, Work
from metier.pipeline.watch import Silent
from metier.recipe import Recipe
from metier.train.loop import Record

RATE = {"low": 1e-4, "high": 1e-2, "log": True}


@pytest.fixture
def recipe(tmp_path, toy_backbone, toy_news):
    """Writes a recipe with ranges and returns its path; keywords are tables, merged into those of a quick fit."""

    def write(name="toy.toml", **tables):
        values = {
            "data": {"path": str(toy_news)},
            "heads": {"sentiment": {"column": "sentiment"}},
            "model": {"backbone": str(toy_backbone), "max_length": 32},
            "train": {"epochs": {"low": 1, "high": 4, "step": 1}, "batch_size": 16, "threads": 1},
            "evaluate": {"resamples": 10, "suspects": False, "baselines": False},
        }
        for part, table in tables.items():
            values[part] = {**values.get(part, {}), **table}
        path = tmp_path / name
        path.write_text(tomli_w.dumps(values))
        return path

    return write


def values_of(out, file="search.db"):
    """The values of all finished trials, in their order."""
    with storage.opened(Place(out.name, out / file), tries.retry) as study:
        return [one.params for one in study.trials if one.state.name in ("COMPLETE", "PRUNED")]


def running(out):
    """Whether a trial is being fitted, after at least one has ended."""
    if not (out / "search.db").is_file():
        return False
    with closing(sqlite3.connect(f"file:{out / 'search.db'}?mode=ro", uri=True, timeout=10)) as connection:
        try:
            states = [row[0] for row in connection.execute("SELECT state FROM trials ORDER BY number")]
        except sqlite3.OperationalError:  # its tables are not there yet
            return False
    return "COMPLETE" in states and states[-1] == "RUNNING" and any((out / "trials").iterdir())


def test_a_search_finds_a_recipe_and_fits_it(recipe, tmp_path):
    path = recipe(train={"learning_rate": RATE, "method": {"choice": ["full", "head"]}})
    out = tmp_path / "found"
    result = metier("search", path, "--trials", 4, "--folds", 1, "--out", out, "--json")
    assert result.code == 0 and "Range test: the loss falls fastest" in result.err
    answer = result.json
    assert [one["trial"] for one in answer["trials"]] == [0, 1, 2, 3] and answer["folds"] == 1
    scores = [one["score"] for one in answer["trials"] if one["state"] == "whole"]
    assert answer["best"]["score"] == max(scores) and answer["trials"][0]["values"]["train.method"] == "full"
    best = Recipe.read(out / "best.toml")
    assert best.train.epochs == answer["best"]["values"]["train.epochs"]
    assert best.train.method == answer["best"]["values"]["train.method"]
    assert answer["run"] == str(out / "run") and answer["heads"]["sentiment"]["test"]["headline"]["value"] > 0.5
    kept = {item.name for item in out.iterdir()}
    assert {"best.toml", "search.toml", "search.html", "search.db", "run"} <= kept and "trials" not in kept
    page = (out / "search.html").read_text()
    assert "learning rate" in page and "<script" not in page and "{{" not in page
    again = metier("search", path, "--trials", 4, "--folds", 1, "--out", out)
    assert "4 trials are there already" in again.err and "run: there already" in again.err.replace("\n", "")


def test_the_test_split_is_not_looked_at(recipe, tmp_path, toy_news):
    lines = enumerate(toy_news.read_text().splitlines())
    blind = tmp_path / "blind.csv"
    other = [f"nonsense {at},negative,Lima,test" if line.endswith(",test") else line for at, line in lines]
    blind.write_text("\n".join(other) + "\n")
    plan = Plan(trials=3, folds=1)
    with_test, without = (
        search(Space.read(recipe(data={"path": str(file)})), plan, out=tmp_path / name, watch=Silent())
        for name, file in (("a", toy_news), ("b", blind))
    )
    assert [(one.score, one.values) for one in with_test.tried] == [(one.score, one.values) for one in without.tried]


def test_small_data_is_judged_by_folds(recipe, tmp_path):
    found = metier("search", recipe(), "--trials", 1, "--out", tmp_path / "out", "--no-fit", "--json").json
    assert found["folds"] == 5 and found["run"] is None and found["heads"] == {}
    assert not (tmp_path / "out" / "run").exists()


def test_a_killed_search_loses_only_the_running_trial(recipe, tmp_path):
    path = recipe(train={"learning_rate": RATE, "head_start": "random"})
    arguments = ("search", path, "--trials", 4, "--folds", 1, "--no-fit")
    killed(started(tmp_path / "log", *arguments, "--out", tmp_path / "killed"), lambda: running(tmp_path / "killed"))
    before = values_of(tmp_path / "killed")
    result = metier(*arguments, "--out", tmp_path / "killed", "--json")
    whole = metier(*arguments, "--out", tmp_path / "whole", "--json")
    assert result.code == whole.code == 0, result.err
    after = values_of(tmp_path / "killed")
    assert len(after) == 4 and after[: len(before)] == before
    assert after == values_of(tmp_path / "whole"), "it goes on with the values that it would have tried"
    assert result.json["best"]["score"] == whole.json["best"]["score"]
    assert not (tmp_path / "killed" / "trials").exists()


def test_more_trials_go_further_than_fewer(recipe, tmp_path):
    space = Space.read(recipe())
    first = search(space, Plan(trials=2, folds=1), out=tmp_path / "out", watch=Silent())
    second = search(space, Plan(trials=3, folds=1), out=tmp_path / "out", watch=Silent())
    assert len(first.tried) == 2 and len(second.tried) == 3 and list(second.tried[:2]) == list(first.tried)


def test_another_search_in_the_folder_is_refused(recipe, tmp_path, toy_news):
    out = tmp_path / "out"
    search(Space.read(recipe()), Plan(trials=1, folds=1), out=out, watch=Silent())
    other = recipe(train={"epochs": {"low": 1, "high": 5, "step": 1}, "clip": 2.0})
    said = refused("search", other, "--trials", 1, "--folds", 1, "--out", out)
    assert "holds another search: train.clip, train.epochs are not the same" in said
    assert "folds is not the same" in refused("search", recipe(), "--folds", 2, "--out", out)
    other_data = tmp_path / "other.csv"
    other_data.write_text(toy_news.read_text() + "one more text about a profit,positive,Lima,train\n")
    changed = recipe(data={"path": str(other_data)})
    assert "the data is not the same" in refused("search", changed, "--folds", 1, "--out", out)
    full = tmp_path / "full"
    full.mkdir()
    (full / "letter.txt").write_text("mine")
    assert "exists and is no search" in refused("search", recipe(), "--out", full)
    assert [item.name for item in full.iterdir()] == ["letter.txt"]


def test_a_budget_ends_a_search_and_keeps_what_there_is(recipe, tmp_path):
    path, out = recipe(train={"epochs": {"low": 4, "high": 8}}), tmp_path / "out"
    said = refused("search", path, "--trials", 400, "--budget", "0.01s", "--folds", 1, "--out", out)
    assert "The budget of 0.01 seconds was over before the first trial was" in said and "longer --budget" in said
    start = time.monotonic()
    result = metier("search", path, "--trials", 400, "--budget", "8s", "--folds", 1, "--no-fit", "--out", out, "--json")
    assert result.code == 0 and time.monotonic() - start < 20
    assert 1 <= len(result.json["trials"]) < 400 and not (out / "trials").exists()
    for wrong in ("soon", "0m", "-3s", "3 days"):
        assert "is no length of time" in refused("search", path, f"--budget={wrong}", "--out", out)


def test_trials_that_fail_are_told_and_passed_over(recipe, tmp_path, toy_backbone):
    choice = {"choice": [str(toy_backbone), str(tmp_path / "nothing")]}
    result = metier("search", recipe(model={"backbone": choice}), "--trials", 6, "--folds", 1, "--no-fit",
                    "--out", tmp_path / "out", "--json")  # fmt: skip
    states = {one["values"]["model.backbone"]: one["state"] for one in result.json["trials"]}
    assert states == {str(toy_backbone): "whole", str(tmp_path / "nothing"): "failed"}
    assert "failed: " in result.err and result.json["best"]["values"]["model.backbone"] == str(toy_backbone)
    hopeless = recipe(model={"backbone": str(tmp_path / "nothing")})
    said = refused("search", hopeless, "--trials", 9, "--folds", 1, "--out", tmp_path / "none")
    assert "All of 3 trials failed" in said and "nothing" in said


def test_several_processes_share_a_search(recipe, tmp_path):
    out = tmp_path / "out"
    result = metier("search", recipe(), "--trials", 4, "--jobs", 2, "--folds", 1, "--no-fit", "--out", out, "--json")
    assert result.code == 0 and [one["state"] for one in result.json["trials"]].count("failed") == 0
    assert len(result.json["trials"]) == 4 and result.err.count("trial ") >= 4
    with storage.opened(Place("out", out / "search.db"), tries.retry) as study:
        trials = study.trials
    spans = sorted((one.datetime_start, one.datetime_complete) for one in trials if one.state.name == "COMPLETE")
    assert any(later[0] < earlier[1] for earlier, later in zip(spans, spans[1:], strict=False)), "none ran side by side"
    assert spent(trials) < sum(tries.seconds_of(one) for one in trials)


def test_recipes_that_cannot_be_searched(recipe, tmp_path, toy_news):
    assert "marks no value as a range" in refused("search", recipe(train={"epochs": 2}))
    assert "is no recipe" in refused("search", toy_news)
    assert "There is no recipe" in refused("search", tmp_path / "nowhere.toml")
    assert "'auto' looks for one itself" in refused("search", recipe(train={"method": "auto"}))
    assert "names no data" in refused("search", recipe(data={"path": ""}))


# -- one trial ---------------------------------------------------------------------------------------------------
class Running:
    """Stands for an `optuna.Trial`."""

    def __init__(self, bad_at=99):
        self.bad_at, self.told = bad_at, []

    def report(self, value, point):
        self.told.append((point, value))

    def should_prune(self):
        return self.told[-1][0] >= self.bad_at


def work(tmp_path, **changes):
    space = Space.parse({"data": {"path": "x"}, "heads": {"a": {"column": "a"}},
                         "train": {"epochs": {"low": 1, "high": 2}}}, tmp_path / "r.toml")  # fmt: skip
    return Work(space, Place("x", tmp_path / "x.db"), tmp_path, 1, changes.get("deadline"), 1, None)


def records(epochs, updates):
    """The records of a fit with an evaluation an epoch, worth the number of its update."""
    total = epochs * updates
    for step in range(1, total + 1):
        valid = {"metric": float(step)} if step % updates == 0 else None
        yield Record(step, 0, (step - 1) / total, 0.0, 0.0, 0.0, 0, 0, 0.0, valid)


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        (4, [(1, 10), (2, 20), (3, 30)]),
        (3, [(1, 10), (2, 20)]),
        (8, [(1, 20), (2, 40), (3, 60)]),
        (1, []),
    ],
)
def test_a_fit_is_compared_after_each_quarter(tmp_path, epochs, expected):
    watch, heard = TrialWatch(work(tmp_path), one := Running()), list(records(epochs, 10))
    for record in heard:
        watch.step(record)
    assert one.told == expected


def test_a_fit_that_is_worse_than_most_ends(tmp_path):
    import optuna

    watch, seen = TrialWatch(work(tmp_path), one := Running(bad_at=2)), 0
    with pytest.raises(optuna.TrialPruned):
        for record in records(4, 10):
            watch.step(record)
            seen += 1
    assert seen == 19 and [point for point, _ in one.told] == [1, 2]


def test_the_end_of_the_budget_ends_a_fit(tmp_path):
    watch = TrialWatch(work(tmp_path, deadline=time.time() - 1))
    with pytest.raises(Stop, match="budget"):
        watch.tick(1)


def test_after_the_third_death_a_trial_has_failed(tmp_path):
    with storage.opened(Place("x", tmp_path / "x.db"), tries.retry) as study:
        _dies(study)


def _dies(study):
    import optuna

    study.enqueue_trial({"a": 0.5})
    for turn in range(4):
        one = study.ask()
        assert one.suggest_float("a", 0, 1) == 0.5
        if turn == 1:  # who stopped it at the keyboard does not say that it kills
            one.set_user_attr(tries.STOPPED, True)
        study.tell(one, state=optuna.trial.TrialState.FAIL)
        for _ in range(2):  # two machines that notice it queue it once
            tries.retry(study, study.trials[turn])
    assert len(study.trials) == 4 and [one.number for one in tries.placed(study.trials)] == [3]
    assert tries.error_of(study.trials[3]) == "its process died 3 times"


# -- a server that machines share --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("not a url", "is no address of a server"),
        ("mysql://me:hush@host/db", "names a mysql storage"),
        ("sqlite:///x.db", "names a sqlite storage"),
        ("postgresql://me:hush@host", "names no database"),
        ("postgresql://me:hush@127.0.0.1:1/db", "cannot be reached"),
    ],
)
def test_addresses_that_lead_nowhere(recipe, tmp_path, url, words):
    said = refused("search", recipe(), "--folds", 1, "--out", tmp_path / "out", "--storage", url)
    assert words in said and "postgresql://USER@HOST/DATABASE" in said and "hush" not in said


def test_a_file_that_is_no_search(recipe, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "search.db").write_text("this is no database at all, " * 100)
    assert "search.db cannot be reached: file is not a database" in refused(
        "search", recipe(), "--folds", 1, "--out", tmp_path / "out"
    )


@pytest.fixture(scope="module")
def server():
    if reason := postgres.missing():
        pytest.skip(reason)
    with postgres.server() as url:
        yield url


def test_two_machines_share_a_search(recipe, tmp_path, server):
    path = recipe()
    arguments = ("search", path, "--trials", 5, "--folds", 1, "--no-fit", "--storage", server)
    for machine in "ab":
        (tmp_path / machine).mkdir()
    other = started(tmp_path / "log", *arguments, "--out", tmp_path / "a" / "shared")
    result = metier(*arguments, "--out", tmp_path / "b" / "shared", "--json")
    other.join(60)
    assert result.code == 0 and other.exitcode == 0, (tmp_path / "log").read_text()
    assert len(result.json["trials"]) == 5
    folders = [(tmp_path / machine / "shared" / "best.toml").read_text() for machine in "ab"]
    assert folders[0] == folders[1]
    assert postgres.PASSWORD not in result.err + (tmp_path / "log").read_text()
    wrong = server.replace(postgres.PASSWORD, "hush-hush")
    said = refused("search", path, "--folds", 1, "--out", tmp_path / "c", "--storage", wrong)
    assert "password authentication failed" in said and "hush-hush" not in said


def test_a_machine_that_dies_leaves_its_trial_to_the_others(recipe, tmp_path, server, monkeypatch):
    path = recipe(train={"head_start": "random"})
    url = storage.server(server)
    place = Place("deaths", tmp_path / "deaths.db", url)
    monkeypatch.setattr(storage, "GRACE", 1)
    monkeypatch.setattr(storage, "BEAT", 1)
    with storage.opened(place, tries.retry) as study:
        with pytest.warns(UserWarning, match="Heartbeat"):
            dead = study.ask()  # whoever asked never tells
        dead.suggest_float("train.epochs", 1, 4, step=1)
        study._storage.record_heartbeat(dead._trial_id)
        number, epochs = dead.number, dead.params["train.epochs"]
    space, plan = Space.read(path), Plan(trials=2, folds=1, url=server)
    found = search(space, plan, out=tmp_path / "deaths", watch=Silent())
    assert len(found.tried) == 2 and number not in [one.number for one in found.tried]
    assert epochs in [one.values["train.epochs"] for one in found.tried]


def test_a_server_that_goes_away_is_one_line(recipe, tmp_path):
    if reason := postgres.missing():
        pytest.skip(reason)
    with postgres.server() as url, pytest.raises(RunError, match="cannot be reached") as caught:
        place = Place("gone", tmp_path / "x.db", storage.server(url))
        with storage.opened(place, tries.retry) as study:
            study.set_user_attr("a", 1)
            postgres.stop(url)
            study.set_user_attr("a", 2)
    assert "\n" not in str(caught.value) and postgres.PASSWORD not in str(caught.value)


def test_the_first_trial_has_the_rate_of_the_range_test(recipe, tmp_path):
    space = Space.read(recipe(train={"learning_rate": RATE, "epochs": 2}))
    found = search(space, Plan(trials=1, folds=1), out=tmp_path / "out", watch=Silent())
    rate = found.tried[0].values["train.learning_rate"]
    plain = space.recipe({})
    dataset = read_dataset(plain, plain.data.path, Silent())
    from metier.pipeline.search.rates import tested_rate

    again = tested_rate(plain, dataset, (1e-4, 1e-2), tmp_path / "rate", Silent())
    assert again is not None and rate == min(1e-2, max(1e-4, again)) and not (tmp_path / "rate").exists()

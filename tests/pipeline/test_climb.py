"""How a race decides, on a bench whose scores and times are made up."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from metier.evaluate import race as says
from metier.pipeline.race.log import Result
from metier.pipeline.race.measure import LEAST
from metier.pipeline.race.race import Race, _points
from metier.pipeline.race.rungs import Rung
from metier.pipeline.race.sheet import Sheet
from metier.recipe import Recipe

TEXTS, VALID = 2000, 500
ROWS = {0.25: 500, 0.5: 1000, 1.0: 2000}


def accuracy(sums):
    return sums[..., 0] / sums[..., 1]


def scored(score, texts):
    right = (np.arange(texts) * 0.6180339887 % 1.0) < score
    return np.stack([right, np.ones(texts)], axis=1).astype(float)


@dataclass
class Made:
    """A bench on which a rung has the scores that a test gave it, and takes `cost * share` seconds."""

    scores: dict
    cost: dict
    budget: float = 1000.0
    margin: float = 0.5
    spent: float = 0.0
    fitted: list = field(default_factory=list)

    def __post_init__(self):
        parts = {"heads": {"label": {"column": "label"}}, "race": {"budget": self.budget, "margin": self.margin}}
        self.recipe = Recipe.parse(parts)
        cheap = ("majority", "TF-IDF", "zero_shot", "probe")
        method = {"TF-IDF": "lexical", "full + R-Drop": "full"}
        self.rungs = {
            name: Rung(name, method.get(name, name), name in cheap, turn=turn) for turn, name in enumerate(self.scores)
        }
        self.cuts = {share: [SimpleNamespace(rows=rows)] for share, rows in ROWS.items()}
        self.log = SimpleNamespace(results={}, sheets={})

    def expected(self, rung, share, draws=None):
        done = self.log.results.get((rung.name, share))
        left = (len(self.cuts[share]) if draws is None else draws) - (done.draws if done else 0)
        return self.cost.get(rung.name, 1.0) * share * max(0, left)

    def left(self):
        return self.budget - self.spent

    def measure(self, rung, share, draws=None):
        key = rung.name, share
        found = self.scores[rung.name]
        draws = len(self.cuts[share]) if draws is None else draws
        if isinstance(found, str):
            self.log.results[key] = Result(rung.name, share, impossible=found)
            return None
        self.fitted.append(key)
        planned = self.expected(rung, share, draws)
        if share == 1.0 and not rung.cheap and planned > self.left():  # as a bench does it, for fewer epochs
            assert self.left() >= LEAST * planned
            planned = self.left()
        self.spent += planned
        assert self.spent <= self.budget, "past the budget"
        score = found[list(ROWS).index(share)]
        seconds = self.cost.get(rung.name, 1.0) * share * draws
        self.log.results[key] = Result(rung.name, share, ROWS[share], seconds, draws=draws)
        valid = VALID if share < 1 else TEXTS
        each = (score,) * draws if isinstance(score, float) else score[:draws]
        counts = np.concatenate([scored(one, TEXTS) for one in each])
        self.log.sheets[key] = Sheet(counts, valid, (2,), accuracy)
        return self.log.sheets[key]


CHEAP = {"majority": (0.2,) * 3, "TF-IDF": (0.6, 0.7, 0.75), "zero_shot": (0.4,) * 3, "probe": (0.76, 0.80, 0.83)}
COST = {"lora": 90.0, "full": 100.0, "full + R-Drop": 200.0}


def run(dear, **settings):
    bench = Made({**CHEAP, **dear}, COST, **settings)
    race = Race(bench)
    return race.run().name, bench, {name: fate for name, (fate, _) in race.fates.items()}


def test_the_best_wins_and_the_worse_half_stops_early():
    dear = {"lora": (0.78, 0.83, 0.87), "full": (0.80, 0.86, 0.90), "full + R-Drop": (0.79, 0.84, 0.91)}
    winner, bench, fates = run(dear)
    assert winner == "full"
    assert fates["probe"] == says.UNDER and fates["lora"] == says.BEATEN and fates["TF-IDF"] == says.BASELINE
    assert [key for key in bench.fitted if key[1] == 1.0 and key[0] in COST] == [("full", 1.0)]
    assert ("lora", 0.5) not in bench.fitted and ("full + R-Drop", 0.5) in bench.fitted


def test_what_will_not_gain_the_margin_is_not_fitted_on_everything():
    dear = {"lora": (0.70, 0.76, 0.82), "full": (0.75, 0.795, 0.83)}
    winner, bench, fates = run(dear)
    assert winner == "probe" and fates["full"] == says.UNDER
    assert ("full", 1.0) not in bench.fitted and ("full", 0.5) in bench.fitted


def test_hopeless_at_a_quarter():
    winner, bench, fates = run({"full": (0.30, 0.5, 0.6)})
    assert winner == "probe" and fates["full"] == says.UNDER and ("full", 0.5) not in bench.fitted


def test_nothing_to_gain_nothing_tried():
    scores = {"probe": (0.999, 0.9995, 0.9999)}
    winner, bench, fates = run({"full": (1.0, 1.0, 1.0), **scores})
    assert winner == "probe" and fates["full"] == says.UNDER and not any(name == "full" for name, _ in bench.fitted)


def test_three_right_ones_of_three_are_no_proof():
    sheet = Sheet(scored(1.0, 3), 3, (2,), accuracy)
    assert sheet.deviation() == pytest.approx(0.2) and sheet.gain(sheet) == (0.0, pytest.approx(0.2))
    assert Sheet(scored(1.0, 2000), 2000, (2,), accuracy).deviation() < 0.001

    class Few(Made):
        """A bench on which three texts judge what was fitted on everything."""

        def measure(self, rung, share, draws=None):
            found = super().measure(rung, share, draws)
            if share == 1.0 and found is not None:
                found = self.log.sheets[rung.name, share] = Sheet(
                    scored(self.scores[rung.name][2], 3), 3, (2,), accuracy
                )
            return found

    scores = {**CHEAP, "zero_shot": (0.6, 0.6, 1.0), "probe": (0.5, 0.55, 1.0), "full": (0.8, 0.9, 1.0)}
    bench = Few(scores, COST)
    race = Race(bench)
    assert race.run().name == "full" and race.fates["zero_shot"][0] == says.UNDER
    race.leader = bench.rungs["zero_shot"]
    assert 0.55 < race._best() < 0.65


def test_no_gain_has_no_sign_of_a_loss():
    assert [_points(gain) for gain in (-0.0001, 0.0, 0.012, -0.004)] == ["+0.0", "+0.0", "+1.2", "-0.4"]


def test_the_margin_is_what_was_asked():
    dear = {"full": (0.775, 0.815, 0.845)}
    assert run(dear, margin=0.5)[0] == "full"
    assert run(dear, margin=4.0)[0] == "probe"


class Drawn(Made):
    """A bench with two draws of every part; `full` is ten points worse on its second half than on its first."""

    def __post_init__(self):
        super().__post_init__()
        self.cuts = {share: items * (2 if share < 1 else 1) for share, items in self.cuts.items()}
        self.scores = {
            name: ((low, low), (half, half - 0.1 * (name == "full")), all_texts)
            for name, (low, half, all_texts) in self.scores.items()
        }


def test_where_time_is_short_all_meet_once_and_the_better_half_once_more():
    dear = {"full": (0.80, 0.865, 0.90), "lora": (0.78, 0.86, 0.90), "full + R-Drop": (0.79, 0.84, 0.91)}
    cost = {"lora": 100.0, "full": 100.0, "full + R-Drop": 100.0}
    bench = Drawn({**CHEAP, **dear}, cost, budget=410.0)
    race = Race(bench)
    assert race.run().name == "lora", bench.fitted
    halves = [name for name, share in bench.fitted if share == 0.5 and name in dear]
    assert halves == [*dear, "full", "lora"] and not any(share == 0.25 for name, share in bench.fitted if name in dear)
    short = Drawn({**CHEAP, **dear}, cost, budget=330.0)
    assert Race(short).run().name == "full"
    assert [name for name, share in short.fitted if share == 0.5 and name in dear] == [*dear]


@pytest.mark.parametrize("budget", [8.0, 30.0, 60.0, 120.0, 170.0, 250.0, 400.0, 700.0])
def test_no_plan_goes_past_its_budget(budget):
    dear = {"lora": (0.78, 0.83, 0.87), "full": (0.80, 0.86, 0.90), "full + R-Drop": (0.82, 0.87, 0.91)}
    winner, bench, fates = run(dear, budget=budget)
    assert bench.spent <= budget and all(fates[name] for name in dear)
    if budget < 40:
        assert winner == "probe" and fates["full"] == says.NO_TIME
    if budget >= 250:
        assert winner in ("lora", "full", "full + R-Drop")


def test_what_cannot_be_done_is_left_out_with_its_reason():
    winner, bench, fates = run({"lora": "No adapters here.", "full": (0.80, 0.86, 0.90)})
    assert winner == "full" and fates["lora"] == says.IMPOSSIBLE


def test_zero_shot_leads_where_labels_say_little():
    scores = {"zero_shot": (0.9,) * 3, "probe": (0.5, 0.55, 0.6)}
    winner, _, fates = run({**scores, "full": (0.5, 0.6, 0.7)})
    assert winner == "zero_shot" and fates["probe"] == says.UNDER and fates["full"] == says.UNDER


def test_a_head_that_no_judge_carries_has_no_part_in_the_score():
    from metier import tasks
    from metier.pipeline.race.cuts import Cut
    from metier.pipeline.race.sheet import sheet
    from metier.types import Document, Example, Prediction

    heads = {"mood": tasks.build("classify", ["a", "b"]), "link": tasks.build("relate", ["Up(e1,e2)", "Other"])}
    valid = [Example(Document(str(at)), {"mood": "ab"[at % 2]}) for at in range(10)]
    cut = Cut(1.0, SimpleNamespace(examples={"train": [], "valid": valid}), [])
    found = sheet(heads, {"mood": [Prediction("a", 1.0)] * 10, "link": []}, cut)
    assert found.score() == 0.5 and found.widths[1] == 0 and found.gain(found)[0] == 0.0

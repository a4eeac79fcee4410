"""The evidence of an alert: what the store holds, weighed as Monroe, Colaresi and Quinn have it."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace

import pytest

from metier.apps.monitor.alerts.life import Book, Rules, Seen
from metier.apps.monitor.explain.odds import compare, counted, terms
from metier.apps.monitor.explain.why import Baseline, Case, Told, baseline, evidence
from metier.apps.monitor.item import SeriesKey, Signal, Tick

STEP = 900.0


def story(at: int, text: str, **rest: object) -> Told:
    return Told(f"s{at:03}", text, at * STEP, **rest)  # type: ignore[arg-type]


def case() -> Case:
    ticks = [Tick(at * STEP, 5 + at, 1 if at < 8 else 12, heat=20, total=100, open=at != 3) for at in range(10)]
    signals = [
        Signal(at * STEP, 1.5, 0.0, 4.0, ticks[at].negatives, {"cusum": 0.5 * at, "burst": 1.0},
               {"cusum": 4.0, "burst": 9.0},
               ("cusum",) if at >= 8 else (), 8 * STEP if at >= 8 else None)
        for at in range(10)
    ]  # fmt: skip
    book = Book(Rules())
    found = [book.observe(Seen(SeriesKey("fraud", "acme"), signal, signal.start + STEP)) for signal in signals]
    alert = [one for one in found if one][-1]
    usual = ["Shares rise as the bank reports profit", "Central bank keeps rates", "Retail sales rise again"] * 30
    before = baseline(story(at, text, entities=("Bolt",)) for at, text in enumerate(usual))
    stories = [
        story(at, f"Acme halts trading after accounting fraud, shares fall {at} percent", heat=at + 1,
              negative=0.5 + at / 50, url=f"https://news.example/{at}", sources=("wire", f"site{at % 3}"),
              entities=("Acme",))
        for at in range(20)
    ]  # fmt: skip
    return Case(alert, ticks, signals, stories, before, "run-7", {"budget": "1 per topic per 30 days"})


def test_the_formula_is_that_of_the_paper() -> None:
    here, there = {"fraud": 10, "bank": 10}, {"fraud": 1, "bank": 79}
    found = {odd.word: odd for odd in compare(here, there, prior=50.0)}
    a = 50.0 * 11 / 100
    delta = math.log((10 + a) / (20 + 50 - 10 - a)) - math.log((1 + a) / (80 + 50 - 1 - a))
    assert found["fraud"].log_odds == pytest.approx(delta, abs=1e-3)
    assert found["fraud"].z == pytest.approx(delta / math.sqrt(1 / (10 + a) + 1 / (1 + a)), abs=1e-3)
    assert found["bank"].z < 0 < found["fraud"].z


def test_a_rare_word_is_not_important_and_chance_is_not_clear() -> None:
    draw = random.Random(3)
    words = [f"w{at}" for at in range(200)]
    weights = [1 / (at + 1) for at in range(200)]
    here, there = (counted([" ".join(draw.choices(words, weights, k=n))]) for n in (2_000, 20_000))
    here, there = ({word: count for word, count in one.items() if " " not in word} for one in (here, there))
    clear = [odd for odd in compare(here, there) if odd.z >= 1.96]
    assert len(clear) <= 12
    assert compare({}, {}) == [] and compare({"only": 3}, {}) == []


def test_the_words_and_entities_of_the_surge_come_first() -> None:
    found = evidence(case())
    words = [odd["word"] for odd in found["words"]]
    assert "accounting fraud" in words and "halts trading" in words and "fraud" not in words
    assert "rise" not in words and "bank" not in words
    assert [odd["word"] for odd in found["entities"]] == ["Acme"]
    assert all(odd["z"] >= 1.96 for odd in found["words"])


def test_entities_are_compared_with_those_before() -> None:
    given = case()
    mixed = [
        replace(one, entities=("Acme", "Bolt") if at % 4 == 0 else ("Acme",)) for at, one in enumerate(given.stories)
    ]
    found = evidence(replace(given, stories=mixed))
    assert [(odd["word"], odd["here"], odd["there"]) for odd in found["entities"]] == [("Acme", 20, 0)]


def test_the_counts_the_statistics_and_the_stories_are_there() -> None:
    found = evidence(case(), most=5)
    assert (found["observed"], found["run"], found["stories_in_all"]) == (24, "run-7", 20)
    assert (
        found["counts"][9]["negatives"] == 12 and found["counts"][9]["high"] == 4.0 and not found["counts"][3]["open"]
    )
    cusum = next(one for one in found["detectors"] if one["name"] == "cusum")
    assert (cusum["statistic"], cusum["threshold"], cusum["firing"]) == (4.5, 4.0, True)
    assert not next(one for one in found["detectors"] if one["name"] == "burst")["firing"]
    assert found["stories_by_heat"] == ["s019", "s018", "s017", "s016", "s015"] == found["stories_by_negativity"]
    assert found["stories"]["s019"]["url"] == "https://news.example/19"
    assert found["sources"][0] == {"source": "wire", "stories": 20}
    assert found["settings"] == {"budget": "1 per topic per 30 days"}


def test_the_same_things_give_the_same_evidence_in_whatever_order() -> None:
    given = case()
    once = json.dumps(evidence(given))
    turned = replace(
        given, stories=given.stories[::-1], ticks=given.ticks[::-1],
        baseline=Baseline(dict(reversed(list(given.baseline.words.items()))), given.baseline.entities, 90),
    )  # fmt: skip
    assert json.dumps(evidence(turned)) == once
    assert json.loads(once) == evidence(given)


def test_terms_of_both_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metier.apps.monitor.explain.odds._jieba", lambda: None)
    assert list(terms("The bank's CEO resigns, shares fall")) == [
        "bank's", "ceo", "bank's ceo", "resigns", "ceo resigns", "shares", "fall",
        "shares fall",
    ]  # fmt: skip
    assert list(terms("银行的股价下跌 Acme")) == ["银行", "股价", "价下", "下跌", "acme"]
    monkeypatch.setattr("metier.apps.monitor.explain.odds._jieba", lambda: lambda run: ["股价", "下跌"])
    assert list(terms("股价下跌")) == ["股价", "下跌", "股价下跌"]


def test_an_alert_without_stories_has_evidence_too() -> None:
    found = evidence(replace(case(), stories=(), signals=()))
    assert found["words"] == [] and found["stories"] == {} and found["detectors"][0]["name"] == "burst"


def test_what_is_infinite_is_left_out() -> None:
    given = case()
    signals = [
        replace(one, statistic={"cusum": math.inf, "burst": 1.0}, threshold={"burst": math.inf})
        for one in given.signals
    ]
    alert = Book(Rules()).observe(Seen(SeriesKey("fraud"), signals[-1], 10 * STEP))
    assert alert
    found = evidence(replace(given, alert=alert, signals=signals))
    json.dumps([found, alert.to_json()], allow_nan=False)
    assert found["detectors"] == [{"name": "burst", "statistic": 1.0, "threshold": 0.0, "at": 0.0, "firing": False}]

"""Knowing what a run does not know: CLINC150 with its out-of-scope queries, and Banking77 with intents held out.

Larson et al. (2019): in-scope accuracy is the share of all in-scope queries that are let through with the right intent;
out-of-scope recall the share of all out-of-scope queries that are refused. Everything (the signals and how they are
combined, the number of neighbours, the threshold) is chosen on the validation split, for CLINC150 with its 100 + 100
out-of-scope queries of train and valid, for Banking77 with none. The test split is scored once, after that.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import polars as pl

import metier
from benchmarks.quality import data
from metier.data import read
from metier.evaluate.outside import Outside
from metier.evaluate.refusal import Curve
from metier.evaluate.signals import SIGNALS, Answers
from metier.model import Model, document
from metier.models.table import VECTOR, Table
from metier.progress import Progress

ACCURACY, RECALL, AUROC, AUROC_NEAR = 0.94, 0.75, 0.96, 0.90
PUBLISHED = {"BERT, out-of-scope class": (0.967, 0.592), "BERT, threshold": (0.962, 0.523)}
SURE = 1.64
"""The threshold is the one whose in-scope accuracy on validation lies so many standard errors above the wish."""
HELD_OUT = 27
VALID = 0.1
OUT_OF_SCOPE = "oos"
WAYS = {
    **{name: (name,) for name in SIGNALS},
    "neighbours + odds": ("neighbours", "odds"),
    "neighbours + energy": ("neighbours", "energy"),
    "neighbours + relative + odds": ("neighbours", "relative", "odds"),
    "all without logits": tuple(name for name in SIGNALS if name != "energy"),
    "all": SIGNALS,
}


@dataclass(frozen=True)
class Split:
    """What a run says of some texts, and the labels that they have."""

    answers: Answers
    said: np.ndarray
    gold: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """`(n,)`, whether it is right."""
        found: np.ndarray = self.said == self.gold
        return found

    def where(self, chosen: np.ndarray) -> Split:
        """Some of them."""
        return Split(self.answers.rows(chosen), self.said[chosen], self.gold[chosen])


def run(work: str = "", draws: int = 1, parts: str = "clinc150 banking77", **settings: Any) -> dict[str, Any]:
    """Both measurements.

    Args:
        work: a folder where fitted runs are kept, and taken from where they are there already.
        draws: how many times other intents of Banking77 are held out.
        parts: which of the two.
        settings: of the fits; 4 epochs each, and one thread.
    """
    settings = {"epochs": 4, "threads": 1, **settings}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(work or folder)
        found: dict[str, Any] = {"settings": settings}
        if "clinc150" in parts:
            found["clinc150"] = clinc150(place, settings)
        if "banking77" in parts:
            drawn = [banking77(place, seed, settings) for seed in range(13, 13 + draws)]
            areas = [one["auroc"] for one in drawn]
            found["banking77"] = {"auroc": mean(areas), "bar": AUROC_NEAR, "draws": drawn}
    return found


def clinc150(place: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """150 intents fitted; out-of-scope queries tell how to combine."""
    rows = pl.concat(read.frames(data("support_clinc150/clinc150.csv.gz")))
    model = fitted(place / "run-clinc", rows.filter(pl.col("label") != OUT_OF_SCOPE), settings)
    train, valid, test = (told(model, rows.filter(pl.col("split") == name)) for name in ("train", "valid", "test"))
    known, examples = _parted(train)
    inside, outside = _parted(valid)
    first = np.arange(len(inside.gold)) % 2 == 0
    ways = compare(known, inside.where(first), examples, inside.where(~first), outside)
    chosen = max(ways, key=lambda way: ways[way]["auroc"])
    how, _, signals = chosen.partition(": ")
    every = Answers(
        *(np.concatenate(pair) for pair in zip(_arrays(examples.answers), _arrays(outside.answers), strict=True))
    )
    asked, strange = _parted(test)
    found: dict[str, Any] = {"validation": ways, "chosen": chosen}
    for name, ways_how, names in (("chosen", how, signals), ("without_examples", "ranks", best_ranks(ways))):
        shape = Outside.fit(
            known.answers.vectors,
            known.gold.tolist(),
            inside.answers,
            every if ways_how == "learned" else None,
            names=WAYS[names],
        )
        picked = Curve(score(shape, inside), inside.right, score(shape, outside)).at(ACCURACY, sure=SURE)
        curve = Curve(score(shape, asked), asked.right, score(shape, strange))
        point = curve.point(picked.threshold)
        found[name] = {
            "signals": names,
            "outside": shape.describe(),
            "picked_on_validation": picked.describe(),
            "test": point.describe(),
            "passed": bool(
                point.in_scope_accuracy >= ACCURACY and point.out_of_scope_recall >= RECALL and curve.auroc >= AUROC
            ),
            **curve.describe(),
        }
    found["bars"] = {"in_scope_accuracy": ACCURACY, "out_of_scope_recall": RECALL, "auroc": AUROC}
    found["published"] = PUBLISHED
    return found


def banking77(place: Path, seed: int, settings: dict[str, Any]) -> dict[str, Any]:
    """50 intents fitted, 27 that nobody was told of; nothing of the 27 is used but their test texts, once."""
    rows = pl.concat(read.frames(data("support_banking77/banking77.csv.gz")))
    names = sorted(rows["label"].unique().to_list())
    generator = np.random.default_rng(seed)
    left = generator.choice(names, HELD_OUT, replace=False).tolist()
    drawn = pl.Series(generator.random(len(rows)) < VALID)  # the source has no validation split
    kind = pl.when((pl.col("split") == "train") & drawn).then(pl.lit("valid")).otherwise(pl.col("split"))
    rows = rows.with_columns(kind.alias("split"))
    model = fitted(place / f"run-bank-{seed}", rows.filter(~pl.col("label").is_in(left)), settings)
    parts = {}
    for name in ("train", "valid", "test"):
        own = rows.filter(pl.col("split") == name)
        parts[name] = told(model, own if name == "test" else own.filter(~pl.col("label").is_in(left)))
    known, valid, test = parts["train"], parts["valid"], parts["test"]
    strange = np.isin(test.gold, left)
    asked, outside = test.where(~strange), test.where(strange)
    found: dict[str, Any] = {"seed": seed, "held_out": sorted(left)}
    shape = Outside.fit(known.answers.vectors, known.gold.tolist(), valid.answers)
    curve = Curve(score(shape, asked), asked.right, score(shape, outside))
    picked = Curve(score(shape, valid), valid.right, np.zeros(0)).at(float(valid.right.mean()) - 0.02)
    alone = {
        name: Curve(shape.signal(name, asked.answers), asked.right, shape.signal(name, outside.answers)).auroc
        for name in SIGNALS
    }
    return {
        **found,
        "outside": shape.describe(),
        "each_signal_auroc": alone,
        "two_points_of_accuracy_given": curve.point(picked.threshold).describe(),
        **curve.describe(),
    }


def fitted(run: Path, rows: pl.DataFrame, settings: dict[str, Any]) -> Model:
    """The run, fitted where it is not there yet."""
    if run.is_dir():
        return metier.load(run, threads=1)
    with Progress(sys.stderr) as watch:
        return metier.train(
            rows, label="label", seed=13, out=run, watch=watch, suspects=False, baselines=False, **settings
        )


def told(model: Model, rows: pl.DataFrame) -> Split:
    """What a run says of rows: vectors, calibrated probabilities, logits."""
    documents = [document(text, single=True, pair=False) for text in rows["text"].to_list()]
    table = Table.of(documents, model.runtime.tokeniser, model.heads)
    logits = model.runtime.logits(table, vectors=True)
    vectors = np.stack(logits.pop(VECTOR))
    said = [row["label"] for row in model.runtime.decode(table, logits)]
    shares = np.array([list(one.probabilities.values()) for one in said])
    answers = Answers(vectors, shares, np.stack(logits["label"]))
    return Split(answers, np.array([one.label for one in said]), rows["label"].to_numpy())


def compare(known: Split, fit: Split, examples: Split, judge: Split, outside: Split) -> dict[str, dict[str, Any]]:
    """Every way on the validation split: combined with one half of it, judged by the other."""
    found = {}
    for how, given in (("ranks", None), ("learned", examples.answers)):
        for name, names in WAYS.items():
            if how == "learned" and len(names) == 1:
                continue  # the order is that of the signal itself
            shape = Outside.fit(known.answers.vectors, known.gold.tolist(), fit.answers, given, names=names)
            curve = Curve(score(shape, judge), judge.right, score(shape, outside))
            recall = curve.at(ACCURACY).out_of_scope_recall if judge.right.mean() >= ACCURACY else None
            found[f"{how}: {name}"] = {"auroc": curve.auroc, "recall": recall, "k": shape.k}
    return found


def best_ranks(ways: dict[str, dict[str, Any]]) -> str:
    """Which signals to rank where there are no examples: the best on validation."""
    return max((way for way in ways if way.startswith("ranks")), key=lambda way: ways[way]["auroc"]).partition(": ")[2]


def score(shape: Outside, split: Split) -> np.ndarray:
    """How far outside its texts are, `(n,)`."""
    return shape.score(split.answers.vectors, split.answers.probabilities, split.answers.logits)


def _parted(split: Split) -> tuple[Split, Split]:
    outside = split.gold == OUT_OF_SCOPE
    return split.where(~outside), split.where(outside)


def _arrays(answers: Answers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    assert answers.logits is not None
    return answers.vectors, answers.probabilities, answers.logits

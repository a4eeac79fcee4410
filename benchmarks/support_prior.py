"""How sure an answer is before anything was measured: one regression over small knowledge of three kinds.

Small knowledge is drawn from Banking77's training part (five texts of an intent are one entry), MedQuAD's questions and
CMRC's Chinese ones (one text an entry), and asks itself as `metier support build` does (`metier.apps.support.trials`).
Compared are the prior of `metier.apps.support.answer.sure`, the logistic regression over
all of these (`joint`, each kind weighing the same), and a fit on what the knowledge asks itself. Knowledge of intents
that no draw has (every fourth is kept apart) is asked about itself and as much about others of these intents: shares of
answers given, of these right, and of the right ones found, from a half on. `biases` does that with other questions of
the training part, by which the prior's bias is chosen; `checks` does it with the official test.
"""

from __future__ import annotations

import csv
import gzip
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from benchmarks.quality import data
from benchmarks.support_medquad import rows as medquad
from metier.apps.support import trials
from metier.apps.support.answer.known import NOBODY, Encode, Known, texts_of
from metier.apps.support.answer.sure import Sure, Trial, fitted, regression
from metier.pipeline.encoder import build
from metier.search.index import Index
from metier.store import knowledge, open_store
from metier.store.knowledge import StoredEntry

SIZES = (6, 12, 25, 50)
"""Entries of a drawn knowledge."""
TEXTS = 5
APART = 4
"""Every fourth intent of Banking77 is not in the fit."""
BIASES = (-7.0, -6.5, -6.0, -5.5, -5.0, -4.5)
FLAT = 1e-3
"""Of the penalty where there is no prior yet."""


def run(draws: int = 2, encoder: str = "", seed: int = 13, kept: str = "") -> dict[str, Any]:
    """The prior, and what it and a fit near to it do on knowledge that neither has seen.

    Args:
        draws: of each size and kind.
        encoder: a folder where the encoder is kept; empty: made for this measurement.
        seed: of the draws.
        kept: a file that keeps the trials; empty: none.
    """
    with tempfile.TemporaryDirectory() as folder:
        encode = _remembering(build(encoder or Path(folder) / "encoder"))
        own = {kind: _drawn(pool, draws, encode, seed) for kind, pool in _pools().items()}
        choosing = list(_checks(draws, encode, seed + 1, "train"))
        checks = list(_checks(draws, encode, seed, "test"))
    prior = joint({kind: [one for some in found for one in some] for kind, found in own.items()})
    if kept:
        Path(kept).write_text(json.dumps({"own": _plain(own), "checks": _plain(checks)}), encoding="utf-8")
    return {
        "metric": "answers given that are right, at the prior's threshold, Banking77 test on intents kept apart",
        "mean": _told(_questions(checks), Sure())["right"],
        "bar": 0.9,
        "joint": {
            "bias": round(prior.bias, 3),
            "weights": [round(one, 3) for one in prior.weights],
            "told": _told(_questions(checks), prior),
        },
        "biases": {str(bias): _told(_questions(choosing), Sure(bias=bias)) for bias in BIASES},
        "kinds": {kind: _told([one for some in found for one in some], Sure()) for kind, found in own.items()},
        "checks": [_check(check, prior) for check in checks],
    }


def _remembering(encode: Encode) -> Encode:
    """The same, each text encoded once: it is asked with its answer there and without."""
    known: dict[str, np.ndarray] = {}

    def told(texts: Sequence[str]) -> np.ndarray:
        if fresh := [text for text in dict.fromkeys(texts) if text not in known]:
            known.update(zip(fresh, encode(fresh), strict=True))
        return np.stack([known[text] for text in texts])

    return told


def joint(own: dict[str, Sequence[Trial]]) -> Sure:
    """The regression over the trials of all kinds, each weighing the same, with weights of the features as they are."""
    rows, labels, weights = [], [], []
    for found in own.values():
        part = [(row, at == one.right) for one in found for at, row in enumerate(one.features)]
        rows += [row for row, _ in part]
        labels += [right for _, right in part]
        weights += [1 / len(part)] * len(part)
    nothing = Sure(weights=(0.0,) * len(rows[0]), bias=0.0)
    share = np.array(weights) * len(weights) / len(own)
    found = regression(np.array(rows), np.array(labels), nothing, strength=FLAT, share=share)
    raw = np.array(found.weights) / found.scale
    return Sure(tuple(raw.tolist()), float(found.bias - raw @ np.array(found.mean)))


def _pools() -> dict[str, list[list[str]]]:
    """Of each kind the texts of possible entries."""
    intents = _intents("train")
    names = [name for at, name in enumerate(sorted(intents)) if at % APART]
    with gzip.open(data("qa_cmrc2018_zh/cmrc2018.jsonl.gz"), "rt", encoding="utf-8") as file:
        chinese = dict.fromkeys(json.loads(line)["question"] for line in file)
    return {
        "Banking77": [intents[name] for name in names],
        "MedQuAD": [[text] for text in dict.fromkeys(row["question"] for row in medquad())],
        "CMRC": [[text] for text in chinese],
    }


def _intents(part: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    with gzip.open(data("support_banking77/banking77.csv.gz"), "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["split"] == part:
                found.setdefault(row["label"], []).append(row["text"])
    return found


def _drawn(pool: Sequence[list[str]], draws: int, encode: Encode, seed: int) -> list[list[Trial]]:
    """The trials of knowledge of each size."""
    random = Random(seed)
    found = []
    for size in SIZES:
        for _ in range(draws):
            own = [random.sample(texts, min(len(texts), TEXTS)) for texts in random.sample(pool, size)]
            with _known(own, encode) as (known, entries):
                found.append(_asked(known, entries, encode))
    return found


def _checks(draws: int, encode: Encode, seed: int, part: str) -> Iterator[dict[str, Any]]:
    """Knowledge of intents kept apart: the trials that it makes of itself, and other questions of a part about it and
    about the other half of these intents."""
    random = Random(seed + 1)
    learned, pool = _intents("train"), _intents(part)
    apart = sorted(learned)[::APART]
    for size in (5, 10):
        for _ in range(2 * draws):
            names = random.sample(apart, 2 * size if 2 * size <= len(apart) else len(apart))
            texts = [random.sample(learned[name], TEXTS) for name in names[:size]]
            there = {text for own in texts for text in own}
            asked = {name: [text for text in pool[name] if text not in there] for name in names}
            with _known(texts, encode) as (known, entries):
                own = _asked(known, entries, encode)
                outside = [_trial(known, text, "") for name in names[size:] for text in random.sample(asked[name], 6)]
                inside = [
                    _trial(known, text, str(at)) for at, name in enumerate(names[:size])
                    for text in random.sample(asked[name], 6)
                ]  # fmt: skip
            yield {"entries": size, "own": own, "asked": inside + outside}


def _asked(known: Known, entries: Sequence[StoredEntry], encode: Encode) -> list[Trial]:
    return trials.of_entries(known, trials.asked(entries), encode, lambda text: NOBODY, lambda units: None)


def _trial(known: Known, text: str, entry: str) -> Trial:
    matches = known.find(text)
    right = next((at for at, one in enumerate(matches) if one.entry.id == entry), None)
    return Trial([one.features for one in matches], right, text)


@contextmanager
def _known(texts: Sequence[Sequence[str]], encode: Encode) -> Iterator[tuple[Known, list[StoredEntry]]]:
    """Knowledge of these texts, one list an entry, for as long as the block runs."""
    entries = [StoredEntry(str(at), own[0], f"answer {at}", list(own[1:]), at=1.0) for at, own in enumerate(texts)]
    with tempfile.TemporaryDirectory() as folder, open_store(Path(folder) / "store.db") as store:
        store.run(lambda connection: knowledge.put(connection, entries))
        index = Index.build(Path(folder) / "index", [one for own in entries for one in texts_of(own)], encode)
        yield Known(store, index, Sure(), len(entries)), entries


def _told(found: Sequence[Trial], sure: Sure) -> dict[str, float]:
    """Of questions the share that is answered, that of the answers that is right, and that of the right ones found."""
    best = [(float(scores.max()), int(scores.argmax()) == one.right) for one in found if len(one.features)
            for scores in [sure(np.array(one.features))]]  # fmt: skip
    given = [right for score, right in best if score >= sure.threshold]
    inside = sum(one.right is not None for one in found)
    return {
        "questions": len(found), "answered": round(len(given) / len(found), 3),
        "right": round(sum(given) / max(len(given), 1), 3), "found": round(sum(given) / max(inside, 1), 3),
    }  # fmt: skip


def _check(check: dict[str, Any], prior: Sure) -> dict[str, Any]:
    return {
        "entries": check["entries"], "prior": _told(check["asked"], Sure()), "joint": _told(check["asked"], prior),
        "fitted": _told(check["asked"], fitted(check["own"], 0.9)),
    }  # fmt: skip


def _questions(checks: Sequence[dict[str, Any]]) -> list[Trial]:
    return [one for check in checks for one in check["asked"]]


def _plain(values: Any) -> Any:
    """As JSON values."""
    if isinstance(values, Trial):
        return [[list(row) for row in values.features], values.right, values.group]
    if isinstance(values, dict):
        return {name: _plain(one) for name, one in values.items()}
    return [_plain(one) for one in values] if isinstance(values, list) else values

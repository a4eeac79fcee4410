"""MedQuAD (Ben Abacha & Demner-Fushman 2019): the right question found again for one that was asked in other words.

Each question is rewritten in four ways by rule and seed (`rewriting`): shortened to its content words, reordered, with
typos, with other question words. Many entries share a question (several sites answer it), so entries of one question
are one group, and a rewriting counts as found where its group is. Questions fall into two halves by a hash: settings
were chosen on `tune`, the figures are those of `report`; both halves are in the index.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality import data
from benchmarks.rewriting import KINDS, plain, rewritten
from metier.pipeline.encoder import build
from metier.search import hybrid
from metier.search.index import Index
from metier.search.lexical import Lexical, query, spelled
from metier.search.stored import Entry

BAR = 0.95
SEED = "13"
SHARES = (0.3, 0.4, 0.5, 0.6, 0.7)
Case = tuple[int, str, str]
"""The place of the question, the kind of rewriting, the rewriting."""


def run(questions: int = 1500, encoder: str = "", seed: str = SEED) -> dict[str, Any]:
    """Recall@1, recall@5 and MRR of words, vectors and both, by kind of rewriting.

    Args:
        questions: of each half that are rewritten, drawn by their hash; all are in the index.
        encoder: a folder where the encoder is kept; empty: made for this measurement.
        seed: of the rewriting.
    """
    known = sorted({plain(row["question"]) for row in rows()})
    halves = {name: _drawn(known, at, questions) for at, name in enumerate(("tune", "report"))}
    with tempfile.TemporaryDirectory() as folder:
        encode = build(encoder or Path(folder) / "encoder")
        start = time.process_time()
        entries = [Entry(str(at), text) for at, text in enumerate(known)]
        index = Index.build(Path(folder) / "index", entries, encode, merge=0)
        built = time.process_time() - start
        found = {name: _half(index, known, chosen, encode, seed) for name, chosen in halves.items()}
        seconds = _seconds(index, [text for _, _, text in _cases(known, halves["report"][:50], seed)])
    report = found["report"]
    return {
        "metric": "hybrid recall@5 over rewritten questions, half `report`",
        "mean": report["hybrid"]["all"]["recall@5"],
        "bar": BAR,
        "settings": {"share": hybrid.SHARE, "depth": hybrid.DEPTH, "questions": questions, "seed": seed},
        "entries": {"questions in the index": len(known), "rewritten": {k: len(v) for k, v in halves.items()}},
        "encoder": {"precision": encode.facts.precision, "parity": encode.facts.parity},
        "report": report,
        "tune": found["tune"],
        "costs": {"build_cpu_seconds": round(built, 1), "search_cpu_seconds": seconds},
    }


def rows() -> list[dict[str, Any]]:
    """The questions and answers."""
    with gzip.open(data("support_medquad/qa.jsonl.gz"), "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _drawn(known: Sequence[str], half: int, count: int) -> list[int]:
    """Places of questions of a half, in the order of their hashes."""
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in known]
    own = [at for at, digest in enumerate(digests) if int(digest[-1], 16) % 2 == half]
    return sorted(own, key=lambda at: digests[at])[:count]


def _cases(known: Sequence[str], chosen: Sequence[int], seed: str) -> list[Case]:
    made = [(at, kind, rewritten(known[at], kind, seed)) for at in chosen for kind in KINDS]
    return [(at, kind, text) for at, kind, text in made if text is not None]


def _half(
    index: Index, known: Sequence[str], chosen: Sequence[int], encode: Callable[[Sequence[str]], np.ndarray], seed: str
) -> dict[str, Any]:
    """Figures of every way to search over a half."""
    cases = _cases(known, chosen, seed)
    vectors = encode([text for _, _, text in cases])
    base, dense = index._stored.lexical, index._stored.dense
    ways: dict[str, list[int]] = {}
    for (gold, _, text), vector in zip(cases, vectors, strict=True):
        found = index.search(text, limit=50, vector=vector)
        ways.setdefault("hybrid", []).append(_place([hit.id for hit in found], str(gold)))
        for name, scores in _scores(base, text, np.asarray(dense.vectors @ vector)).items():
            ways.setdefault(name, []).append(_rank(scores, gold))
    kinds = np.array([kind for _, kind, _ in cases])
    return {"cases": len(cases)} | {
        name: {"all": _figures(np.array(ranks))} | {kind: _figures(np.array(ranks)[kinds == kind]) for kind in KINDS}
        for name, ranks in ways.items()
    }


def _scores(base: Lexical, text: str, cosines: np.ndarray) -> dict[str, np.ndarray]:
    """Of every question in the index, by words, by vectors, by both in the ways that were compared."""
    asked, best = spelled(query(text), base)
    plainly = base.scores(query(text))
    words = base.scores(asked)
    rankings = [np.argsort(-own, kind="stable")[: hybrid.DEPTH] for own in (words, cosines)]
    return {
        "lexical": words,
        "lexical without slips": plainly,
        "dense": cosines,
        "reciprocal ranks, 60": hybrid.reciprocal(rankings, len(words)),
        "reciprocal ranks, 10": hybrid.reciprocal(rankings, len(words), 10),
        **{f"share {share}": hybrid.fused(words, best, cosines, share) for share in SHARES},
    }


def _rank(scores: np.ndarray, gold: int) -> int:
    """The rank of a question from 1, the last of its equals."""
    return int((scores >= scores[gold]).sum())


def _place(found: Sequence[str], gold: str) -> int:
    return found.index(gold) + 1 if gold in found else 10**9


def _figures(ranks: np.ndarray) -> dict[str, float]:
    return {
        "recall@1": round(float((ranks <= 1).mean()), 4),
        "recall@5": round(float((ranks <= 5).mean()), 4),
        "mrr": round(float((1 / ranks).mean()), 4),
        "cases": len(ranks),
    }


def _seconds(index: Index, texts: Sequence[str]) -> dict[str, float]:
    """Processor seconds of one search with its vector, median and 95th percentile."""
    took = []
    for text in texts:
        start = time.thread_time()
        index.search(text)
        took.append(time.thread_time() - start)
    return {"median": round(float(np.median(took)), 5), "p95": round(float(np.percentile(took, 95)), 5)}

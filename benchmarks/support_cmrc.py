"""CMRC 2018 (Cui et al. 2019): the passage that answers a Chinese question, found by words and characters alone.

All passages of the set are in the index, in whole; a question counts as found where its passage is. The packaged
encoder reads no Chinese and takes no part.
"""

from __future__ import annotations

import gzip
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality import data
from metier.search import lexical, words


def run(questions: int = 0) -> dict[str, Any]:
    """Recall@1, recall@5 and MRR of pairs of characters, of jieba's words, and of both.

    Args:
        questions: that are asked, of the official dev set; 0: all.
    """
    with gzip.open(data("qa_cmrc2018_zh/cmrc2018.jsonl.gz"), "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    passages = list(dict.fromkeys(row["context"] for row in rows))
    place = {text: at for at, text in enumerate(passages)}
    asked = [(row["question"], place[row["context"]]) for row in rows if row["split"] == "valid"]
    asked = asked[:questions] if questions else asked
    ways = {"both": words.terms, "pairs of characters": _pairs, "words": _words}
    found = {name: _measured(way, passages, asked) for name, way in ways.items()}
    return {
        "metric": "recall@5 of the passage",
        "mean": found["both"]["recall@5"],
        "bar": None,
        "passages": len(passages),
        "questions": len(asked),
        "ways": found,
    }


def _pairs(text: str) -> list[str]:
    """The terms of a text without jieba's words."""
    return [term for term in words.terms(text) if len(term) == 2 or term.isascii()]


def _words(text: str) -> list[str]:
    """jieba's words for search, and what is no Chinese."""
    cut = words.cutter().cut_for_search(words.folded(text), HMM=False)
    return [term for term in cut if any(map(str.isalnum, term)) and term not in words.STOP_ZH]


def _measured(way: Callable[[str], list[str]], passages: list[str], asked: list[tuple[str, int]]) -> dict[str, float]:
    """Figures of one way to cut texts into terms."""
    before, lexical.terms = lexical.terms, way
    try:
        with tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            lexical.write(Path(folder), passages)
            built = time.process_time() - start
            postings = lexical.Lexical(Path(folder))
            ranks, start = [], time.process_time()
            for question, gold in asked:
                scores = postings.scores(lexical.query(question))
                ranks.append(int((scores >= scores[gold]).sum()))
            each = (time.process_time() - start) / len(asked)
    finally:
        lexical.terms = before
    place = np.array(ranks)
    return {
        "recall@1": round(float((place <= 1).mean()), 4),
        "recall@5": round(float((place <= 5).mean()), 4),
        "mrr": round(float((1 / place).mean()), 4),
        "build_cpu_seconds": round(built, 2),
        "query_cpu_milliseconds": round(1000 * each, 3),
    }

"""Answers out of documents, end to end: a folder of texts is built as a company's documents are, and asked.

- CMRC 2018 (Cui et al. 2019), Chinese: questions of the official dev set with the words that answer them. An answer
  counts as right where it holds one of the gold answers. The packaged encoder reads no Chinese and takes no part.
- PubMedQA (Jin et al. 2019), English: the title question of a paper and its abstract. An answer counts as right where
  it cites that abstract.

Of ten documents one is left out: its questions have no answer, and a bot that knows what it does not know refuses them.
The threshold is the one that the build chose, by asking the documents for their own sentences. Beside it stands what
the best sentences hold whether or not the bot was sure enough to say them.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.quality import data
from metier.apps.support import assemble
from metier.apps.support.answer.answerer import Answerer
from metier.apps.support.answer.papers import composed
from metier.apps.support.build import build
from metier.apps.support.item import Context
from metier.apps.support.settings import SupportSettings
from metier.data.private import mask
from metier.store import open_store

LEFT_OUT = 0.1
SENTENCES = 3


@dataclass(frozen=True)
class Question:
    """What is asked, the name of the document that answers it, and the words that do; none: any of the document."""

    text: str
    document: str
    answers: tuple[str, ...] = ()


def run(questions: int = 1000, only: str = "") -> dict[str, Any]:
    """Shares of questions, by data set.

    Args:
        questions: that are asked of each, drawn with a seed.
        only: one of the sets, `cmrc` or `pubmed`.
    """
    sets = {"cmrc": _cmrc, "pubmed": _pubmed}
    found = {name: _measured(*read(), questions) for name, read in sets.items() if only in name}
    return {"metric": "answers that are right", "bar": None, "sets": found}


def _cmrc() -> tuple[dict[str, str], list[Question]]:
    rows = _rows("qa_cmrc2018_zh/cmrc2018.jsonl.gz")
    names = {text: _name(text) for text in dict.fromkeys(row["context"] for row in rows)}
    asked = [
        Question(row["question"], names[row["context"]], tuple(one["text"] for one in row["answers"]))
        for row in rows
        if row["split"] == "valid"
    ]
    return {name: text for text, name in names.items()}, asked


def _pubmed() -> tuple[dict[str, str], list[Question]]:
    rows = _rows("qa_pubmed/pubmed_qa.jsonl.gz")
    return {row["id"]: row["context"] for row in rows}, [Question(row["question"], row["id"]) for row in rows]


def _rows(name: str) -> list[dict[str, Any]]:
    with gzip.open(data(name), "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _name(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _measured(documents: dict[str, str], asked: list[Question], count: int) -> dict[str, Any]:
    rng = random.Random(13)
    out = set(rng.sample(sorted(documents), round(LEFT_OUT * len(documents))))
    asked = rng.sample(asked, min(count, len(asked)))
    with tempfile.TemporaryDirectory() as folder:
        bot = _bot(Path(folder), {name: text for name, text in documents.items() if name not in out})
        known = [_told(bot, one) for one in asked if one.document not in out]
        strange = Counter(_told(bot, one)[0] for one in asked if one.document in out)
    papers = bot.parts.papers
    assert papers is not None  # there are documents
    said = [right for tier, right, _ in known if tier == "search"]
    tiers = Counter(tier for tier, _, _ in known)
    return {
        "documents": len(documents) - len(out),
        "passages": len(papers),
        "threshold": papers.sure.threshold,
        "questions": len(known),
        "answered": round(len(said) / len(known), 4),
        "right_of_answered": round(sum(said) / max(len(said), 1), 4),
        "right_if_all_were_answered": round(sum(best for _, _, best in known) / len(known), 4),
        "tiers": dict(tiers),
        "questions_without_a_document": strange.total(),
        "of_these_refused": round(1 - strange["search"] / max(strange.total(), 1), 4),
    }


def _bot(folder: Path, documents: dict[str, str]) -> Answerer:
    (folder / "docs").mkdir()
    for name, text in documents.items():
        (folder / "docs" / f"{name}.txt").write_text(text, encoding="utf-8")
    settings = SupportSettings(
        store=str(folder / "support.db"), built=str(folder / "built"), documents=str(folder / "docs")
    )
    store = open_store(Path(settings.store))
    build(settings, store, 0.0)
    return assemble.answerer(settings, store)


def _told(bot: Answerer, question: Question) -> tuple[str, bool, bool]:
    """The tier that answered, whether the answer is right, and whether the best sentences are."""
    reply = bot.answer(mask(question.text), question.text, Context()).reply
    right = _right(question, reply.text, [one.link for one in reply.citations])
    assert bot.parts.papers is not None
    quotes = bot.parts.papers.find(question.text, vector=bot.parts.encode([question.text])[0])
    if not quotes:
        return reply.tier, right, False
    text, citations = composed(quotes, SENTENCES)
    return reply.tier, right, _right(question, text, [one.link for one in citations])


def _right(question: Question, text: str, cited: list[str]) -> bool:
    if question.answers:
        return any(answer in text for answer in question.answers)
    return any(Path(one).stem == question.document for one in cited)

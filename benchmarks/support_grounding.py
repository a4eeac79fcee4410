"""Which sentences of a written answer are kept: those that a passage bears out, or those that only sound like it?

Passages are stretches of MedQuAD's answers (Ben Abacha & Demner-Fushman 2019) and of CMRC 2018's contexts (Cui et al.
2019). Out of one sentence of a passage rules and a seed make sentences that it bears out (as it stands; its clauses in
another order; words exchanged for others of a short list of synonyms; shortened by a clause or brackets) and some that
it does not (a sentence on the same topic from elsewhere; one number, one name changed; a negation put in or taken out).
Passages fall into two halves by a hash: the bars were chosen on `tune`, the figures are those of `report`. A last kind,
two words exchanged, is reported beside them and decides nothing: no check of words can tell it.
"""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import random
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality import data
from metier.apps.grounding import weighed
from metier.apps.support.answer.known import Encode
from metier.apps.support.answer.written import BARS, nearness
from metier.data.sentences import sentences
from metier.pipeline.encoder import build

SEED = "13"
HALVES = ("tune", "report")
PIECES = 6
"""Sentences of a passage."""
PRECISION = 0.99
"""That a pair of bars must reach on `tune`; of those the one with the highest recall is chosen."""
OVERLAPS = tuple(round(0.3 + 0.05 * at, 2) for at in range(15))
COSINES = (-1.0, 0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
GOOD = ("verbatim", "reordered", "synonyms", "shortened")
BAD = ("elsewhere", "number", "name", "negation")
_english = """
usually/typically often/frequently doctor/physician doctors/physicians symptoms/signs begin/start begins/starts help/aid
people/individuals severe/serious illness/disease show/reveal causes/triggers rare/uncommon many/numerous large/big
children/youngsters called/named affects/hits problems/troubles occurs/happens occur/happen need/require
"""
_chinese = """
因为/由于 但是/然而 使用/采用 成为/变成 位于/坐落于 并且/而且 建立/创立 包括/涵盖 认为/觉得 目前/现时
发表/发布 进行/展开
获得/取得 非常/十分 许多/很多 大约/约 开始/着手 主要/首要 曾经/一度 由于/因为 拥有/具有 担任/出任
"""
SYNONYMS = {language: dict(pair.split("/") for pair in pairs.split())
            for language, pairs in (("en", _english), ("zh", _chinese))}  # fmt: skip
NUMBER = re.compile(r"\d+")
WORD = re.compile(r"[^\W\d_]{2,}")
VERB = re.compile(r"\b(?:is|are|was|were|can|may|will|should|must|could|does|do)\b")
VERB_ZH = re.compile(r"是|可以|能够|位于|属于|具有|会")


@dataclass(frozen=True, slots=True)
class Ground:
    """A passage as its sentences, its title, sentences on its topic from elsewhere, and names of other passages."""

    id: str
    pieces: Sequence[str]
    title: str
    elsewhere: Sequence[str]
    names: Sequence[str]
    own: Sequence[str] = ()
    """Names in it, where the set marks them."""


@dataclass(frozen=True, slots=True)
class Case:
    """A sentence: its half, its kind, and what was measured of it."""

    half: str
    kind: str
    wrong: str
    share: float
    cosine: float

    def kept(self, overlap: float, cosine: float) -> bool:
        """Whether it passes these bars."""
        return not self.wrong and self.share >= overlap and self.cosine >= cosine


def run(passages: int = 60, encoder: str = "", seed: str = SEED) -> dict[str, Any]:
    """Precision and recall of what is kept, by language and by kind.

    Args:
        passages: of each half and language.
        encoder: a folder where the encoder is kept; empty: made for this measurement.
        seed: of the rules.
    """
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        encode = build(encoder or Path(folder) / "encoder")
        for language, grounds in (("en", _medquad()), ("zh", _cmrc())):
            drawn = list(_drawn(grounds, passages))
            cases = list(_cases(drawn, language, encode, seed))
            chosen = _chosen([case for case in cases if case.half == "tune"])
            used = (BARS[language].overlap, BARS[language].cosine)
            found[language] = {
                "chosen on tune": dict(zip(("overlap", "cosine"), chosen, strict=True)),
                "in use": dict(zip(("overlap", "cosine"), used, strict=True)),
                **{half: _figures([case for case in cases if case.half == half], *used) for half in HALVES},
                "report, as chosen": _figures([case for case in cases if case.half == "report"], *chosen),
                "report, words alone": _figures([case for case in cases if case.half == "report"], used[0], -1.0),
                "read by the encoder": float(encode([one.pieces[0] for one in drawn[:40]]).any(axis=1).mean()),
            }
    return {
        "metric": "precision of kept sentences, half `report`, mean of both languages",
        "mean": round(float(np.mean([one["report"]["precision"] for one in found.values()])), 4),
        "bar": None,
        "settings": {"passages of a half": passages, "seed": seed, "precision wanted on tune": PRECISION},
        "languages": found,
    }


def _cases(grounds: Sequence[Ground], language: str, encode: Encode, seed: str) -> Iterator[Case]:
    made = [(one, kind, text) for one in grounds for kind, text in _made(one, language, random.Random(seed + one.id))]
    weights = [weighed(text, one.pieces, one.title) for one, _, text in made]
    rests = [[one.pieces[at] for at in found.pieces] for (one, _, _), found in zip(made, weights, strict=True)]
    passed = [(text, own) for (_, _, text), own, found in zip(made, rests, weights, strict=True) if not found.wrong]
    texts = list(dict.fromkeys(one for text, own in passed for one in (text, *own)))
    vectors = dict(zip(texts, encode(texts), strict=True))
    for (one, kind, text), own, found in zip(made, rests, weights, strict=True):
        cosine = -1.0 if found.wrong else nearness(text, own, vectors)
        yield Case(_half(one.id), kind, found.wrong, found.share, cosine)


def _chosen(cases: Sequence[Case]) -> tuple[float, float]:
    """The bars with the highest recall among those with the precision wanted; the most precise where none has it."""
    pairs = list(itertools.product(OVERLAPS, COSINES))
    figures = [_figures(cases, *pair) for pair in pairs]
    enough = [at for at, one in enumerate(figures) if one["precision"] >= PRECISION]
    if enough:
        return pairs[max(enough, key=lambda at: (figures[at]["recall"], figures[at]["precision"]))]
    return pairs[max(range(len(pairs)), key=lambda at: (figures[at]["precision"], figures[at]["recall"]))]


def _figures(cases: Sequence[Case], overlap: float, cosine: float) -> dict[str, Any]:
    kept = defaultdict[str, list[bool]](list)
    for case in cases:
        kept[case.kind].append(case.kept(overlap, cosine))
    good, bad = ([one for kind in kinds for one in kept[kind]] for kinds in (GOOD, BAD))
    right, wrong = sum(good), sum(bad)
    kinds = (*GOOD, *BAD, "exchanged")
    return {
        "precision": round(right / max(right + wrong, 1), 4),
        "recall": round(right / max(len(good), 1), 4),
        "kept by kind": {kind: {"kept": round(float(np.mean(kept[kind])), 4), "cases": len(kept[kind])}
                         for kind in kinds if kept[kind]},
    }  # fmt: skip


# -- passages ------------------------------------------------------------------------------------------------------
def _half(id: str) -> str:
    return HALVES[int(hashlib.sha256(id.encode()).hexdigest()[-1], 16) % 2]


def _drawn(grounds: Sequence[Ground], count: int) -> Iterator[Ground]:
    order = sorted(grounds, key=lambda one: hashlib.sha256(one.id.encode()).hexdigest())
    for half in HALVES:
        yield from [one for one in order if _half(one.id) == half][:count]


def _rows(name: str) -> list[dict[str, Any]]:
    with gzip.open(data(name), "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _medquad() -> list[Ground]:
    """The first sentences of each answer; elsewhere is what other answers say of the same disease."""
    by_focus = defaultdict[str, list[dict[str, Any]]](list)
    for row in _rows("support_medquad/qa.jsonl.gz"):
        if row["answer"]:
            by_focus[row["focus"]].append(row)
    names = sorted({word for focus in by_focus for word in re.findall(r"\b[A-Z][a-z]{4,}\b", focus)})
    found = []
    for focus, rows in by_focus.items():
        cut = [sentences(row["answer"][:4_000]) for row in rows[:6]]
        first = {id(row): own for row, own in zip(rows, cut, strict=False)}
        row = rows[0]
        others = [one for other in rows[1:6] for one in first[id(other)] if one not in first[id(row)]]
        found.append(Ground(row["id"], first[id(row)][:PIECES], focus, others, names))
    return found


def _cmrc() -> list[Ground]:
    """The first half of each context; elsewhere is its second half, and names are short answers."""
    by_context = defaultdict[str, list[str]](list)
    for row in _rows("qa_cmrc2018_zh/cmrc2018.jsonl.gz"):
        by_context[row["context"]] += [one for one in _answers(row) if re.fullmatch(r"[\u4e00-\u9fff]{2,5}", one)]
    names = sorted({one for own in by_context.values() for one in own})
    found = []
    for context, own in by_context.items():
        cut = sentences(context)
        middle = min(len(cut) // 2, PIECES)
        if middle:
            id = hashlib.sha256(context.encode()).hexdigest()[:16]
            found.append(Ground(id, cut[:middle], "", cut[middle:], names, own))
    return found


def _answers(row: Mapping[str, Any]) -> list[str]:
    value = row.get("answers", row.get("answer", []))
    value = value.get("text", []) if isinstance(value, dict) else value
    value = [value] if isinstance(value, str) else value
    return [one["text"] if isinstance(one, dict) else str(one) for one in value]


# -- sentences -----------------------------------------------------------------------------------------------------
def _made(ground: Ground, language: str, draw: random.Random) -> Iterator[tuple[str, str]]:
    """Sentences that were made of one sentence of a passage, each with its kind."""
    low, high = (40, 260) if language == "en" else (12, 120)
    able = [one for one in ground.pieces if low <= len(one) <= high]
    if not able:
        return
    for kind, rule in RULES.items():
        for piece in draw.sample(able, len(able)):  # the first sentence that the rule can change
            text = rule(piece, ground, language, draw)
            if text and (text != piece) == (kind != "verbatim"):
                yield kind, text
                break


def _verbatim(text: str, ground: Ground, language: str, draw: random.Random) -> str:
    return text


def _reordered(text: str, ground: Ground, language: str, draw: random.Random) -> str:
    """`When A, B.` is `B when A.`; `A, and B.` is `B, and A.`; of Chinese, two clauses next to each other."""
    body, stop = text.rstrip(".。"), text[len(text.rstrip(".。")) :]
    if language == "zh":
        parts = body.split("，")
        if len(parts) < 2:
            return ""
        at = draw.randrange(len(parts) - 1)
        parts[at], parts[at + 1] = parts[at + 1], parts[at]
        return "，".join(parts) + stop
    if found := re.fullmatch(r"(When|If|Although|Because|After|Before|While|In|As) ([^,]+), (.+)", body):
        return f"{found[3][0].upper()}{found[3][1:]} {found[1].lower()} {found[2]}{stop}"
    if found := re.fullmatch(r"([^,]{20,}), (and|but|or|so) ([^,]{20,})", body):
        return f"{found[3][0].upper()}{found[3][1:]}, {found[2]} {found[1]}{stop}"
    return ""


def _synonyms(text: str, ground: Ground, language: str, draw: random.Random) -> str:
    """Up to two words for others of the list."""
    known = SYNONYMS[language]
    pattern = "|".join(rf"\b{word}\b" if language == "en" else word for word in known)
    return re.sub(pattern, lambda found: known[found[0]], text, count=2)


def _shortened(text: str, ground: Ground, language: str, draw: random.Random) -> str:
    """Without its brackets; where it has none without its last clause."""
    without = re.sub(r"\s*[(（][^()（）]*[)）]", "", text)
    if without != text:
        return without
    comma = "，" if language == "zh" else ", "
    head, _, tail = text.rstrip(".。").rpartition(comma)
    enough = len(head) >= (10 if language == "zh" else 40)
    return head + ("。" if language == "zh" else ".") if enough and tail else ""


def _elsewhere(text: str, ground: Ground, language: str, draw: random.Random) -> str:
    """One that is no part of what the passage says, letter by letter."""
    low, high = (40, 260) if language == "en" else (12, 120)
    here = "".join(ground.pieces)
    able = [one for one in ground.elsewhere if low <= len(one) <= high and one.rstrip(".。") not in here]
    return draw.choice(able) if able else ""


def _changed_number(text: str, ground: Ground, language: str, draw: random.Random) -> str:
    places = list(NUMBER.finditer(text))
    if not places:
        return ""
    place, here = draw.choice(places), set(NUMBER.findall(" ".join(ground.pieces)))
    tries = (str(max(1, int(place[0][:9]) + draw.choice((-3, -2, -1, 1, 2, 3, 10)))) for _ in range(20))
    other = next((one for one in tries if one not in here), "")
    return text[: place.start()] + other + text[place.end() :] if other else ""


def _changed_name(text: str, ground: Ground, language: str, draw: random.Random) -> str:
    here = " ".join((ground.title, *ground.pieces))
    other = next((one for one in draw.sample(ground.names, 20) if one.lower() not in here.lower()), "")
    if language == "zh":
        own = [one for one in ground.own if one in text]
    else:
        own = re.findall(r"(?<=[a-z,] )[A-Z][A-Za-z]{3,}\b", text)
    return text.replace(draw.choice(own), other, 1) if own and other else ""


def _negated(text: str, ground: Ground, language: str, draw: random.Random) -> str:
    """Without the negation that it has, or with one that it has not."""
    if language == "zh":
        if re.search(r"不是|没有|不能|不会", text):
            return re.sub(
                r"不是|没有|不能|不会", lambda found: {"没有": "有"}.get(found[0], found[0][1]), text, count=1
            )
        return VERB_ZH.sub(lambda found: "不" + found[0], text, count=1)
    if re.search(r" not\b", text) and "not only" not in text:
        return re.sub(r" not\b", "", text, count=1)
    return VERB.sub(lambda found: found[0] + " not", text, count=1)


def _exchanged(text: str, ground: Ground, language: str, draw: random.Random) -> str:
    """The first and the last of its long words, or of its numbers, in each other's place."""
    pattern = r"\b[a-z]{6,}\b" if language == "en" else r"\d{2,}"
    places = list(re.finditer(pattern, text))
    if len(places) < 2 or places[0][0] == places[-1][0]:
        return ""
    first, last = places[0], places[-1]
    return text[: first.start()] + last[0] + text[first.end() : last.start()] + first[0] + text[last.end() :]


RULES: dict[str, Callable[[str, Ground, str, random.Random], str]] = {
    "verbatim": _verbatim, "reordered": _reordered, "synonyms": _synonyms, "shortened": _shortened,
    "elsewhere": _elsewhere, "number": _changed_number, "name": _changed_name, "negation": _negated,
    "exchanged": _exchanged,
}  # fmt: skip

"""What conversations of the past teach: more wordings of known questions, new entries where people gave the same answer
several times, and candidates for review where they gave it once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from metier.apps.support.answer.known import Encode
from metier.apps.support.answer.talk import talk_of
from metier.apps.support.reading import Exchange, identity
from metier.data.languages import language
from metier.store import knowledge
from metier.store.knowledge import Candidate, StoredEntry
from metier.store.store import Store

SAME_ANSWER, SAME_QUESTION = 0.85, 0.9
"""Cosines from which two answers say the same, and from which a wording adds nothing."""
OFTEN = 2
"""Conversations in which people gave the same answer that make it an entry without a review."""
WORDINGS = 20
"""Of one entry."""
BLOCK = 512


@dataclass(frozen=True, slots=True)
class Past:
    """How many exchanges were read, wordings added, entries made, and candidates left for review."""

    exchanges: int = 0
    wordings: int = 0
    entries: int = 0
    candidates: int = 0


def learned(store: Store, past: Sequence[Exchange], encode: Encode, now: float) -> Past:
    """Writes what the exchanges teach into the store; the same exchanges teach nothing twice.

    Args:
        store: with the entries of the table.
        past: masked. Small talk teaches nothing.
        encode: texts to unit vectors; a text that it cannot read has none, and is compared by its words alone.
        now: seconds since 1970.
    """
    if not past:
        return Past()
    with store.read() as connection:
        entries = [one for one in knowledge.changed(connection) if one.active]
    own = [one for one in dict.fromkeys(past) if talk_of(one.question) is None]
    answers = _vectors(encode, [one.answer for one in own])
    known = _vectors(encode, [one.answer for one in entries])
    groups = _groups(own, answers)
    changed, made, candidates = [], [], []
    for group in groups:
        exchange = own[group[0]]
        there = _same(exchange.answer, answers[group[0]], entries, known)
        asked = list(dict.fromkeys(own[at].question for at in group))
        if there is not None:
            changed.append(_reworded(there, asked, encode, now))
        elif len(group) >= OFTEN:
            made.append(_entry(exchange, asked[1:], now))
        else:
            id = identity(exchange.question, exchange.answer)
            candidates.append(
                Candidate("answer", exchange.question, exchange.answer, "history", now, id=f"history-{id}")
            )
    wordings = sum(len(one.others) for one in changed) - sum(
        len(one.others) for one in entries if one.id in {other.id for other in changed}
    )

    def work(connection: Any) -> None:
        knowledge.put(connection, [*{one.id: one for one in changed}.values(), *made])
        for one in candidates:
            knowledge.propose(connection, one)

    store.run(work)
    return Past(len(past), wordings, len(made), len(candidates))


def _vectors(encode: Encode, texts: Sequence[str]) -> np.ndarray:
    parts = [encode(texts[at : at + 64]) for at in range(0, len(texts), 64)]
    return np.concatenate(parts) if parts else np.zeros((0, encode(["a"]).shape[1]), dtype=np.float32)


def _groups(own: Sequence[Exchange], answers: np.ndarray) -> list[list[int]]:
    """Exchanges whose answers say the same: each joins the first group whose first answer is near, or the same text."""
    firsts: list[int] = []
    members: dict[int, list[int]] = {}
    texts: dict[str, int] = {}
    for at, one in enumerate(own):
        near = texts.get(one.answer)
        if near is None and firsts and answers[at].any():
            cosines = answers[firsts] @ answers[at]
            best = int(cosines.argmax())
            near = firsts[best] if cosines[best] >= SAME_ANSWER else None
        if near is None:
            firsts.append(at)
            members[at] = []
            texts[one.answer] = near = at
        members[near].append(at)
    return list(members.values())


def _same(answer: str, vector: np.ndarray, entries: Sequence[StoredEntry], known: np.ndarray) -> StoredEntry | None:
    """The entry whose answer says the same."""
    for one in entries:
        if one.answer == answer:
            return one
    if not len(entries) or not vector.any():
        return None
    cosines = known @ vector
    best = int(cosines.argmax())
    return entries[best] if cosines[best] >= SAME_ANSWER else None


def _reworded(entry: StoredEntry, asked: Sequence[str], encode: Encode, now: float) -> StoredEntry:
    """An entry with wordings that it did not have, none of them nearly one that it has."""
    texts = [entry.question, *entry.others]
    for question in asked:
        if question in texts or len(texts) > WORDINGS:
            continue
        vectors = encode([*texts, question])
        if not vectors[-1].any() or float((vectors[:-1] @ vectors[-1]).max()) < SAME_QUESTION:
            texts.append(question)
    same = len(texts) == 1 + len(entry.others)
    return entry if same else replace(entry, others=texts[1:], at=now, by="build")


def _entry(exchange: Exchange, others: Sequence[str], now: float) -> StoredEntry:
    spoken = "zh" if language(exchange.question) == "zh" else "en"
    id = f"history-{identity(exchange.question, exchange.answer)}"
    return StoredEntry(
        id, exchange.question, exchange.answer, list(others)[:WORDINGS], language=spoken, source="history", at=now,
        by="build",
    )  # fmt: skip

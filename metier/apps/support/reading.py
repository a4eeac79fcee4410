"""What a company has: questions with answers, and conversations of the past. Everything is masked on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metier.apps.support.item import Entry
from metier.data.languages import language
from metier.data.private.found import Rules
from metier.data.private.mask import mask
from metier.errors import DataError, nearest

QUESTIONS = ("question", "questions", "q", "title", "问题", "提问")
ANSWERS = ("answer", "answers", "a", "reply", "response", "答案", "回答", "回复")
OPTIONAL = ("id", "intent", "category", "language")
BETWEEN = "||"
"""Between several wordings of one question in a cell."""
CUSTOMERS = frozenset({"visitor", "customer", "user", "client", "human_customer", "顾客", "客户", "用户"})
PEOPLE = frozenset({"agent", "human", "operator", "staff", "assistant", "support", "客服", "坐席", "人工"})
LONGEST_QUESTION = 600
"""Characters of a customer's message that may be a question to learn from."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question of the past with what a person answered; both masked."""

    question: str
    answer: str


def entries(path: str | Path, rules: Rules | None = None) -> list[Entry]:
    """The entries of a table: `question` and `answer`, and where there are any `id`, `intent`, `category`, `language`.

    Rows with the same answer and the same intent are one entry with several questions; so are the parts of a cell of
    questions between `||`. Answers are not masked: they are what the company publishes.

    Raises:
        DataError: where a column is missing, or no row has both a question and an answer.
    """
    from metier.data.rows import columns, frames, strings

    names = columns(str(path))
    question, answer = _column(names, QUESTIONS, path), _column(names, ANSWERS, path)
    there = [name for name in OPTIONAL if name in names]
    rows = [
        dict(zip((question, answer, *there), cells, strict=True))
        for frame in frames(str(path))
        for cells in zip(*(strings(frame, name).to_list() for name in (question, answer, *there)), strict=True)
    ]
    found = [one for row in rows if (one := _entry(row, question, answer, rules or Rules()))]
    if not found:
        raise DataError(f"{path} has no row with a question and an answer.", expected="at least one")
    return list(_joined(found))


def _column(names: Sequence[str], known: Sequence[str], path: str | Path) -> str:
    lower = {name.strip().lower(): name for name in names}
    for name in known:
        if name in lower:
            return lower[name]
    raise DataError(f"{path} has no column {known[0]!r}.{nearest(known[0], names)}", expected=f"a column {known[0]}")


def _entry(row: Mapping[str, str | None], question: str, answer: str, rules: Rules) -> Entry | None:
    wordings = [part.strip() for part in (row[question] or "").split(BETWEEN) if part.strip()]
    told = (row[answer] or "").strip()
    if not wordings or not told:
        return None
    asked = [mask(one, rules=rules).text for one in wordings]
    said = {name: (row.get(name) or "").strip() for name in OPTIONAL}
    spoken = said["language"] or ("zh" if language(asked[0]) == "zh" else "en")
    return Entry(
        said["id"] or identity(asked[0], told), asked[0], told, asked[1:], said["intent"], said["category"], spoken
    )


def identity(question: str, answer: str) -> str:
    """The id of an entry that has none: the same for the same answer to the same question."""
    return hashlib.blake2b(f"{question}\x1f{answer}".encode("utf-8", "replace"), digest_size=8).hexdigest()


def _joined(found: Sequence[Entry]) -> Iterator[Entry]:
    """Entries whose answer, intent and language are the same as one."""
    same: dict[tuple[str, ...], list[Entry]] = {}
    for one in found:
        same.setdefault((one.answer, one.intent, one.language, one.category), []).append(one)
    for group in same.values():
        first = group[0]
        others = dict.fromkeys(text for one in group for text in (one.question, *one.others))
        others.pop(first.question)
        yield Entry(first.id, first.question, first.answer, tuple(others), first.intent, first.category, first.language)


def strange(path: str | Path, rules: Rules | None = None) -> list[str]:
    """The questions of a table, masked, each once: what customers ask and nobody here answers.

    Raises:
        DataError: where it has no such column, or no row.
    """
    from metier.data.rows import columns, frames, strings

    name = _column(columns(str(path)), QUESTIONS, path)
    cells = [text for frame in frames(str(path)) for text in strings(frame, name).to_list()]
    found = list(dict.fromkeys(mask(text, rules=rules or Rules()).text.strip() for text in cells if text))
    if not any(found):
        raise DataError(f"{path} has no question.", expected="questions that nobody here answers")
    return [text for text in found if text]


def history(path: str | Path, rules: Rules | None = None) -> list[Exchange]:
    """The questions of past conversations with the person's reply to each, masked.

    A row is a conversation, `{"messages": [{"author": "customer", "text": ...}, {"author": "agent", "text": ...}]}`, or
    one exchange, `{"question": ..., "answer": ...}`.

    Raises:
        DataError: for a line that is neither.
    """
    from metier.data.rows import frames

    found: list[Exchange] = []
    for frame in frames(str(path)):
        for number, row in enumerate(frame.iter_rows(named=True), 1):
            for question, answer in _exchanges(row, f"{path}, row {number}"):
                asked = mask(question, rules=rules or Rules()).text.strip()
                told = mask(answer, rules=rules or Rules()).text.strip()
                if asked and told and len(asked) <= LONGEST_QUESTION:
                    found.append(Exchange(asked, told))
    return found


def _exchanges(row: Mapping[str, Any], place: str) -> Iterator[tuple[str, str]]:
    if isinstance(row.get("question"), str):
        yield row["question"], str(row.get("answer") or "")
        return
    messages = row.get("messages")
    if not isinstance(messages, list):
        raise DataError(f"{place} is no conversation.", expected="messages, a list of {author, text}")
    asked: list[str] = []
    for message in messages:
        author = str((message or {}).get("author") or (message or {}).get("role") or "").lower()
        text = str((message or {}).get("text") or (message or {}).get("content") or "")
        if author in CUSTOMERS:
            asked.append(text)
        elif author in PEOPLE and asked:
            yield asked[-1], text
            asked.clear()

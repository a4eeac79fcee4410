"""What a person who answers is offered: the entries and the sentences nearest to the customer's last question."""

from __future__ import annotations

from typing import Any

from metier.apps.support.answer.known import NOBODY
from metier.apps.support.support import Support
from metier.store import conversations

MOST = 3
LOOKED = 20
"""Messages in which the last question is looked for."""


def of(support: Support, id: str) -> dict[str, Any]:
    """The question, the surest entries with their answers, the surest quotes of documents."""
    with support.store.read() as connection:
        latest = conversations.latest(connection, id, LOOKED)
    asked = [one for one in latest if one.author == "visitor" and one.text.strip() and not one.text.startswith("/")]
    if not asked:
        return {"question": "", "number": None, "entries": [], "quotes": []}
    parts, question = support.answerer.parts, asked[-1].text
    vector = parts.encode([question])[0]
    intent = NOBODY if parts.understand is None else parts.understand(question)
    entries = [
        {"entry": one.entry.id, "question": one.entry.question, "answer": one.entry.answer, "score": one.score}
        for one in parts.known.find(question, intent, vector=vector)[:MOST]
    ]
    quotes = parts.papers.find(question, vector=vector)[:MOST] if parts.papers is not None else []
    cited = [(one, one.citation()) for one in quotes]
    rows = [
        {"id": cite.id, "title": cite.title, "text": one.sentence, "link": cite.link, "page": cite.page,
         "score": one.score}
        for one, cite in cited
    ]  # fmt: skip
    return {"question": question, "number": asked[-1].number, "entries": entries, "quotes": rows}

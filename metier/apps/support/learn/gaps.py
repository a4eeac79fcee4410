"""What customers ask and nobody has written down: questions without an answer, those that ask the same together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from metier.apps.support.answer.known import Encode
from metier.apps.support.answer.talk import talk_of
from metier.store.support_tables import messages

UNANSWERED = ("unknown", "handover")
ALIKE = 0.75
"""The cosine from which two questions ask the same."""
MOST = 2_000
"""Questions that are looked at, the latest."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Questions that ask the same: how many, the one that is most like the others, some of them, the latest time."""

    count: int
    question: str
    examples: tuple[str, ...]
    last: float


def gaps(connection: Connection, encode: Encode, since: float, limit: int = 20) -> list[Gap]:
    """The gaps since a time, the largest first.

    Args:
        connection: of `Store.read`.
        encode: texts to unit vectors; what it cannot read is alone unless it is the same text.
        since: seconds since 1970.
        limit: gaps at most.
    """
    said = messages.alias()
    statement = (
        select(said.c.text, said.c.at)
        .join(messages, messages.c.answers == said.c.number)
        .where(messages.c.tier.in_(UNANSWERED), said.c.at >= since, said.c.text != "", said.c.author == "visitor")
        .order_by(said.c.number.desc())
        .limit(MOST)
    )
    rows = [(row.text, row.at) for row in connection.execute(statement) if talk_of(row.text) is None]
    return _grouped([text for text, _ in rows], [at for _, at in rows], encode)[:limit]


def _grouped(texts: Sequence[str], times: Sequence[float], encode: Encode) -> list[Gap]:
    """Leader clustering: the question that was asked most often first; each joins the first leader that is near."""
    counts: dict[str, int] = {}
    last: dict[str, float] = {}
    for text, at in zip(texts, times, strict=True):
        counts[text] = counts.get(text, 0) + 1
        last[text] = max(last.get(text, 0.0), at)
    order = sorted(counts, key=lambda text: (-counts[text], text))
    if not order:
        return []
    vectors = encode(order)
    leaders: list[int] = []
    members: dict[int, list[int]] = {}
    for at in range(len(order)):
        cosines = vectors[leaders] @ vectors[at]
        near = bool(leaders) and float(cosines.max()) >= ALIKE
        leader = leaders[int(cosines.argmax())] if near else at
        members.setdefault(leader, []).append(at)
        if not near:
            leaders.append(at)
    found = [
        Gap(
            sum(counts[order[at]] for at in own), order[leader], tuple(order[at] for at in own[:5]),
            max(last[order[at]] for at in own),
        )
        for leader, own in members.items()
    ]  # fmt: skip
    return sorted(found, key=lambda one: (-one.count, -one.last))

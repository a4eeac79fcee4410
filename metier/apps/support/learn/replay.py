"""Whether a new entry makes the bot better: asked against a frozen set of questions and the traffic of the last weeks,
before anybody sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from metier.apps.support.answer.known import NOBODY, Encode, Intent, Known, Match, Proposed
from metier.apps.support.learn.reasons import reason
from metier.store import conversations, interactions, knowledge

WEEKS = 3 * 7 * 86_400.0
"""Seconds of traffic that a candidate is replayed on."""
TRAFFIC = 500
"""Questions of it at most, the latest."""
FROZEN = 500
"""Questions of the frozen set at most: of each entry in turn."""
BLOCK = 64
"""Questions that are encoded together."""
SHOWN = 10
"""Changes of each kind that a report lists."""
SHARE = 0.01
"""Of the traffic that was answered, the share whose answer a candidate may take away without anybody having said that
the old one was wrong."""
VOTES = ("right", "wrong", "corrected")
Understand = Callable[[str], Intent]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of a replay, and the entry that is right for it; empty: nobody has said."""

    question: str
    right: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """A question whose answer changes: the entries before and after; empty: none was sure enough."""

    question: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a replay found.

    Args:
        asked: questions of the frozen set; `right`, those answered right before, `right_after`, after.
        broken: of these, what was right and is not any more.
        traffic: questions of the last weeks; `taken`, those whose answer changes, none of which was said to be wrong.
        own: whether the candidate's own question is answered by it now.
        reasons: why it may not be promoted, see `reasons.because`; none: it may.
    """

    asked: int
    right: int
    right_after: int
    broken: tuple[Change, ...]
    traffic: int
    taken: tuple[Change, ...]
    own: bool
    reasons: tuple[Mapping[str, Any], ...]

    def shown(self) -> dict[str, Any]:
        """As JSON values, with what customers asked."""
        return {**self.kept(), "taken": [[one.question, one.before, one.after] for one in self.taken[:SHOWN]]}

    def kept(self) -> dict[str, Any]:
        """As JSON values, without what customers asked: where it is kept nobody would find it to erase it."""
        lists = {"broken": [[one.question, one.before, one.after] for one in self.broken[:SHOWN]],
                 "taken": [["", one.before, one.after] for one in self.taken[:SHOWN]]}  # fmt: skip
        numbers = {name: getattr(self, name) for name in ("asked", "right", "right_after", "traffic", "own")}
        return {**numbers, **lists, "broken_count": len(self.broken), "taken_count": len(self.taken),
                "reasons": [dict(one) for one in self.reasons]}  # fmt: skip


def frozen(connection: Connection, without: Sequence[str] = ()) -> list[Asked]:
    """The regression set: the first wordings of entries of the company's own table, each with its entry.

    It changes only with the table. Entries named in `without` (the one that the candidate rewrites) are left out.
    """
    found = [
        Asked(text, one.id)
        for one in sorted(knowledge.changed(connection), key=lambda one: one.id)
        if one.active and one.source == "faq" and one.id not in without
        for text in (one.question, *list(one.others)[:1])
    ]
    step = max(len(found) // FROZEN, 1)
    return found[::step][:FROZEN]


def traffic(connection: Connection, now: float) -> list[Asked]:
    """The questions of the last weeks; of those that more people called answered right than wrong, by which entry."""
    said = list(conversations.questions(connection, now - WEEKS, now + 1))[-TRAFFIC:]
    votes: dict[tuple[str, str], dict[tuple[str, str], bool]] = {}
    for _, one in interactions.since(connection, app="support"):
        shown = one.prediction if isinstance(one.prediction, dict) else {}
        if one.at >= now - WEEKS and one.verdict in VOTES and shown.get("entry"):
            voter = (str(shown.get("conversation", "")), one.who)  # a conversation has one vote, its last
            about = (str(shown.get("question", "")), str(shown["entry"]))
            votes.setdefault(about, {})[voter] = one.verdict == "right"
    right = {question: entry for (question, entry), told in votes.items() if 2 * sum(told.values()) > len(told)}
    texts = dict.fromkeys(one.text for one in said if not one.text.startswith("/"))
    return [Asked(text, right.get(text, "")) for text in texts]


def replay(
    known: Known, encode: Encode, proposed: Proposed, own: str, sets: tuple[Sequence[Asked], Sequence[Asked]],
    understand: Understand | None = None,
) -> Report:  # fmt: skip
    """Asks everything with the candidate and without.

    Args:
        known: the knowledge.
        encode: texts to unit vectors.
        proposed: the entry as it would be.
        own: the question that brought it.
        sets: the frozen set, and the traffic.
        understand: the run; none: there is none.
    """
    old, recent = sets

    def told(asked: Sequence[Asked]) -> Iterator[tuple[Asked, str, str]]:
        for at in range(0, len(asked), BLOCK):
            block = asked[at : at + BLOCK]
            for one, vector in zip(block, encode([one.question for one in block]), strict=True):
                intent = understand(one.question) if understand is not None else NOBODY
                before, after = known.compare(one.question, vector, proposed, intent)
                yield one, _answer(known, before), _answer(known, after)

    tested = list(told(old))
    broken = [Change(one.question, was, now) for one, was, now in tested if was == one.right != now]
    lately = list(told(recent))
    taken = [
        Change(one.question, was, now)
        for one, was, now in lately
        if was and was != now and was != proposed.entry.id and one.question != own
    ]
    judged = [
        Change(one.question, was, now)
        for one, was, now in lately
        if was and was == one.right != now and one.question != own
    ]
    answered = [now for _, _, now in told([Asked(own)])] == [proposed.entry.id]
    reasons = _reasons(answered, broken, taken, judged, sum(bool(was) for _, was, _ in lately))
    right = sum(was == one.right for one, was, _ in tested)
    right_after = sum(now == one.right for one, _, now in tested)
    return Report(len(old), right, right_after, tuple(broken), len(recent), tuple(taken), answered, tuple(reasons))


def _answer(known: Known, matches: Sequence[Match]) -> str:
    """The entry that would answer; empty: none is sure enough."""
    return matches[0].entry.id if matches and matches[0].score >= known.sure.threshold else ""


def _reasons(
    answered: bool, broken: Sequence[Change], taken: Sequence[Change], judged: Sequence[Change], before: int
) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    if not answered:
        found.append(reason("own"))
    if broken:
        found.append(reason("frozen", count=len(broken), question=broken[0].question))
    if judged:
        found.append(reason("right", count=len(judged)))
    if len(taken) > max(1, SHARE * before):
        found.append(reason("traffic", count=len(taken), of=before))
    return found

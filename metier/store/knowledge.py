"""What customer service knows: entries with all their revisions, candidates that wait for review, promotions.

Every change of an entry takes the next `turn` of the whole knowledge: an index that has seen turn n asks for what
changed since. Revisions are kept, so that a promotion can be rolled back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, case, func, insert, select, text, update

from metier.errors import DataError
from metier.store import bulk
from metier.store.columns import clean
from metier.store.support_tables import candidates, entries, entry_revisions, promotions
from metier.types import new_id

LOCK = 0x4D65746965720003
"""On PostgreSQL those who change the knowledge take turns, each until its transaction ends."""
VISITOR = "visitor"
"""Who a candidate of a customer is from."""
TEXTS = ("kind", "question", "answer", "who", "entry", "conversation", "message", "near")
"""Columns of a candidate that say what it is."""


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry as it is kept: see `metier.apps.support.item.Entry`.

    Args:
        others: the same question in other words.
        source: `faq`, `history`, `review`, `person`.
        active: whether it answers; what was taken away is kept.
        revision: of this entry, from 1; `turn`, of the whole knowledge; both given by the store.
        at, by: when and by whom it was last changed.
    """

    id: str
    question: str
    answer: str
    others: Sequence[str] = ()
    intent: str = ""
    category: str = ""
    language: str = ""
    source: str = "faq"
    active: bool = True
    revision: int = 0
    turn: int = 0
    at: float = 0.0
    by: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What might become knowledge, once a person has looked at it and the replay has passed it.

    Args:
        kind: `correction`, `answer` (an agent's own), `thumb`, `gap`.
        state: `waiting`, `approved`, `promoted`, `refused`.
        question, answer: as they would stand; masked.
        entry: the entry that it would change; none: a new one.
        conversation, message: where it comes from.
        near: entries that are nearly the same, as JSON has them.
        reasons: why it was refused or promoted, with the figures.
        repeated: in how many other conversations the same was said.
        who, at: from whom, when; `decided_by`, `decided_at` likewise.
    """

    kind: str
    question: str
    answer: str
    who: str
    at: float
    state: str = "waiting"
    entry: str | None = None
    conversation: str | None = None
    message: int | None = None
    near: Any = None
    reasons: Any = None
    decided_by: str | None = None
    decided_at: float | None = None
    repeated: int = 0
    id: str = ""


@dataclass(frozen=True, slots=True)
class Promotion:
    """Candidates that were tried together, and what came of it: `promoted`, `refused`, `rolled_back`."""

    verdict: str
    candidates: Sequence[str]
    at: float
    by: str
    report: Any = None
    rolled_back_at: float | None = None
    rolled_back_by: str | None = None
    id: str = ""


# -- entries -----------------------------------------------------------------------------------------------------
def put(connection: Connection, found: Iterable[StoredEntry], promotion: str | None = None) -> int:
    """Writes entries, over those that are there; what is equal to what is there is left alone.

    Returns:
        The turn of the knowledge afterwards.
    """
    found = list(found)
    turn = _turn(connection)
    before = get(connection, [one.id for one in found])
    rows, history = [], []
    for one in {one.id: one for one in found}.values():
        there = before.get(one.id)
        if there is not None and _same(there, one):
            continue
        if there is None:  # what rolling back leads to
            history.append(_revision(one, 0, None, promotion))
        revision = (0 if there is None else there.revision) + 1
        kept = replace(one, revision=revision, turn=turn + 1, others=[clean(other) for other in one.others])
        rows.append(kept)
        history.append(_revision(kept, revision, _content(kept), promotion))
    if not rows:
        return turn
    bulk.put(connection, entries, bulk.columns_of(rows))
    bulk.add_all(connection, entry_revisions, history)
    return turn + 1


def get(connection: Connection, ids: Iterable[str]) -> dict[str, StoredEntry]:
    """Entries by their ids, whether active or not."""
    found: dict[str, StoredEntry] = {}
    for part in bulk.parts(sorted({clean(id) for id in ids})):
        for one in bulk.read_each(StoredEntry, connection, select(entries).where(entries.c.id.in_(part))):
            found[one.id] = one
    return found


def changed(connection: Connection, after: int = 0) -> list[StoredEntry]:
    """Entries that changed after a turn, in the order of the turns; from 0: all."""
    statement = select(entries).where(entries.c.turn > after).order_by(entries.c.turn, entries.c.id)
    return list(bulk.read_each(StoredEntry, connection, statement))


def intents(connection: Connection) -> list[str]:
    """The intents of entries that are in use, in order."""
    statement = select(entries.c.intent).where(entries.c.active, entries.c.intent != "").distinct()
    return list(connection.execute(statement.order_by(entries.c.intent)).scalars())


def turn_of(connection: Connection) -> int:
    """The turn of the last change."""
    return int(connection.execute(select(func.coalesce(func.max(entries.c.turn), 0))).scalar_one())


def revisions(connection: Connection, entry: str) -> list[dict[str, Any]]:
    """What became of an entry: content, promotion, when, by whom; the latest first."""
    statement = select(entry_revisions).where(entry_revisions.c.entry == clean(entry))
    rows = connection.execute(statement.order_by(entry_revisions.c.revision.desc()))
    return [dict(row._mapping) for row in rows]


def _turn(connection: Connection) -> int:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
    return turn_of(connection)


def _content(one: StoredEntry) -> dict[str, Any]:
    return {
        "question": one.question, "answer": one.answer, "others": list(one.others), "intent": one.intent,
        "category": one.category, "language": one.language, "source": one.source, "active": one.active,
    }  # fmt: skip


def _same(first: StoredEntry, second: StoredEntry) -> bool:
    cleaned = {name: _cleaned(value) for name, value in _content(second).items()}
    return _content(first) == cleaned


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    return [clean(one) for one in value] if isinstance(value, list) else value


def _revision(one: StoredEntry, revision: int, content: Any, promotion: str | None) -> dict[str, Any]:
    return {
        "entry": one.id, "revision": revision, "content": content, "promotion": promotion, "at": one.at, "by": one.by,
    }  # fmt: skip


# -- candidates --------------------------------------------------------------------------------------------------
def propose(connection: Connection, candidate: Candidate) -> Candidate:
    """Keeps a candidate, once; as it is kept."""
    kept = candidate if candidate.id else replace(candidate, id=new_id())
    bulk.add(connection, candidates, bulk.columns_of([kept]))
    return candidate_of(connection, kept.id)


def repeat(
    connection: Connection, id: str, *, count: bool = True, instead: Candidate | None = None
) -> Candidate | None:
    """What waits was said again; `None` where it waits no longer.

    Args:
        connection: of `Store.write`.
        id: of the candidate.
        count: whether somebody else said it.
        instead: takes its place under the same id: a thumb down for which somebody gave the answer that is right.
    """
    values: dict[str, Any] = {"repeated": candidates.c.repeated + int(count)}
    if instead is not None:
        row = next(bulk.columns_of([instead]))
        values |= {name: row[name] for name in TEXTS}
    waits = (candidates.c.id == clean(id)) & (candidates.c.state == "waiting")
    done = connection.execute(update(candidates).where(waits).values(values)).rowcount
    return candidate_of(connection, id) if done else None


def candidate_of(connection: Connection, id: str) -> Candidate:
    """One candidate. Raises `DataError` where there is none."""
    row = connection.execute(select(candidates).where(candidates.c.id == clean(id))).first()
    if row is None:
        raise DataError(f"There is no candidate {id!r}.", expected="the id of one in the review queue")
    return bulk.read_as(Candidate, row)


def waiting(connection: Connection, states: Sequence[str] = ("waiting",), limit: int = 200) -> list[Candidate]:
    """Candidates in one of these states: of people first, then of customers; what most say, then the oldest first."""
    statement = select(candidates).where(candidates.c.state.in_(states))
    of_customer = case((candidates.c.who == VISITOR, 1), else_=0)
    ordered = statement.order_by(of_customer, candidates.c.repeated.desc(), candidates.c.at, candidates.c.id).limit(
        limit
    )
    return list(bulk.read_each(Candidate, connection, ordered))


def decide(connection: Connection, id: str, state: str, who: str, at: float, **values: Any) -> Candidate:
    """Sets what became of a candidate that nobody has decided yet, or that was approved.

    Raises:
        DataError: where there is none, or it is promoted or refused already.
    """
    statement = (
        update(candidates)
        .where(candidates.c.id == clean(id), candidates.c.state.in_(("waiting", "approved")))
        .values(state=state, decided_by=who, decided_at=at, **values)
    )
    if not connection.execute(statement).rowcount:
        there = candidate_of(connection, id)
        raise DataError(f"The candidate {id!r} is {there.state} already.", expected="one that waits")
    return candidate_of(connection, id)


# -- promotions --------------------------------------------------------------------------------------------------
def record(connection: Connection, promotion: Promotion) -> Promotion:
    """Keeps what came of a trial."""
    kept = promotion if promotion.id else replace(promotion, id=new_id())
    connection.execute(insert(promotions).values(next(bulk.columns_of([kept]))))
    return kept


def promoted(connection: Connection, limit: int = 50) -> list[Promotion]:
    """Trials, the latest first."""
    statement = select(promotions).order_by(promotions.c.at.desc(), promotions.c.id.desc()).limit(limit)
    return list(bulk.read_each(Promotion, connection, statement))


def roll_back(connection: Connection, id: str, who: str, at: float) -> int:
    """Sets the entries that a promotion changed to what they were before it; how many.

    Raises:
        DataError: where there is no such promotion, it was refused or is rolled back, or a later change stands on it.
    """
    row = connection.execute(select(promotions).where(promotions.c.id == clean(id))).first()
    if row is None or row.verdict != "promoted":
        found = f"There is no promotion {id!r}" if row is None else f"The promotion {id!r} is {row.verdict}"
        raise DataError(f"{found}.", expected="one that was promoted and is not rolled back")
    own = entry_revisions.c
    first = select(own.entry, func.min(own.revision).label("revision")).where(own.promotion == row.id)
    turns = [_before(connection, one.entry, one.revision, row.id) for one in
             connection.execute(first.group_by(own.entry))]  # fmt: skip
    put(connection, [replace(one, at=at, by=who) for one in turns])
    values = {"verdict": "rolled_back", "rolled_back_at": at, "rolled_back_by": who}
    connection.execute(update(promotions).where(promotions.c.id == row.id).values(values))
    return len(turns)


def _before(connection: Connection, entry: str, first: int, promotion: str) -> StoredEntry:
    """An entry as it was before a promotion wrote its `first` revision of it."""
    there = get(connection, [entry])[entry]
    history = {row["revision"]: row for row in revisions(connection, entry)}
    if history[there.revision]["promotion"] != promotion:
        raise DataError(
            f"The entry {entry!r} was changed again after the promotion {promotion!r}.",
            hint="roll the later change back first, or edit the entry",
        )
    content = history.get(first if first == 0 else first - 1, {"content": None})["content"]
    if content is None:  # it was new: it goes out of use
        return replace(there, active=False)
    return replace(there, **content)

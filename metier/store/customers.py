"""What a customer is owed: that texts and identifiers go when asked for. Counts stay, and the fact that it was done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, select, update

from metier.store import audit, bulk
from metier.store.retention import ERASED
from metier.store.store import Store
from metier.store.support_tables import candidates, conversations, deliveries, erasures, messages
from metier.store.tables import interactions
from metier.types import new_id

APP = "support"


@dataclass(frozen=True, slots=True)
class ErasedCustomer:
    """What was erased: its own id, and how many conversations and messages."""

    id: str
    conversations: int
    messages: int


def erase_customer(store: Store, ids: Sequence[str], *, who: str, now: float) -> ErasedCustomer:
    """Erases what was said in these conversations, and who said it, for good.

    Of each message the text, the name and the quotes go; its time, tier and intent stay, for counts are made of them.
    Of the conversation the customer's digest, the memory and the remark go; a candidate that waits is refused, and its
    texts go, as do those of interactions about the messages. Entries that were promoted stay: a person has read them
    and their texts are masked. Backups are not reached: those from before have to be let go of.

    Args:
        store: an open store.
        ids: of conversations.
        who: asked for it.
        now: seconds since 1970, UTC.
    """
    done = store.run(lambda connection: _erase(connection, ids, who, now))
    store.vacuum()  # what SQLite has overwritten in the file may be in its log still
    return done


def _erase(connection: Connection, ids: Sequence[str], who: str, now: float) -> ErasedCustomer:
    count = said = 0
    for part in bulk.parts(sorted(set(ids)), 100):
        own = messages.c.conversation.in_(part)
        _erase_said(connection, list(connection.execute(select(messages.c.number).where(own)).scalars()), part)
        blank = {"text": "", "name": "", "reply": None}
        said += connection.execute(update(messages).where(own).values(blank)).rowcount
        connection.execute(delete(deliveries).where(deliveries.c.conversation.in_(part)))
        gone = {"visitor": "", "context": None, "remark": "", "erased": now, "state": "resolved", "queued": None}
        there = and_(conversations.c.id.in_(part), conversations.c.erased.is_(None))
        changed = {**gone, "version": conversations.c.version + 1}
        count += connection.execute(update(conversations).where(there).values(changed)).rowcount
        decided = {"state": "refused", "decided_by": who, "decided_at": now}
        waits = and_(candidates.c.conversation.in_(part), candidates.c.state.in_(("waiting", "approved")))
        connection.execute(update(candidates).where(waits).values(decided))
        texts = {"question": "", "answer": "", "near": None, "who": ""}
        connection.execute(update(candidates).where(candidates.c.conversation.in_(part)).values(texts))
    done = ErasedCustomer(new_id(), count, said)
    row = {"id": done.id, "at": now, "by": who, "conversations": count, "messages": said}
    connection.execute(erasures.insert().values(row))
    details = {"conversations": count, "messages": said}
    audit.append(connection, audit.Entry(who, "erase", now, "customer", done.id, details))
    return done


def _erase_said(connection: Connection, numbers: Sequence[int], ids: Sequence[str]) -> None:
    """What interactions about these messages and conversations quote."""
    subjects = [*ids, *(str(number) for number in numbers)]
    for part in bulk.parts(subjects):
        about = and_(interactions.c.app == APP, interactions.c.subject.in_(part))
        blank = {"prediction": None, "comment": "", "who": ""}
        connection.execute(update(interactions).where(about).values(blank))
        corrected = and_(about, interactions.c.correction.is_not(None))
        connection.execute(update(interactions).where(corrected).values(correction=ERASED))

"""What is let go: documents that are old, and at once the texts of somebody who asks for it.

The counts of the ticks stay in both cases, and so do the alerts and what they rest on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Delete, and_, delete, exists, func, or_, select, update

from metier.store import audit, bulk
from metier.store.store import Store
from metier.store.tables import (
    alerts,
    documents,
    interactions,
    mentions,
    notices,
    pins,
    quarantine,
    stages,
    stories,
    unlinked,
)

BATCH = 2_000
"""Documents that are removed in one transaction: who writes meanwhile waits for no more."""
ERASED = "[erased]"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many were removed, and how many that are as old stay because somebody holds them."""

    documents: int = 0
    stories: int = 0
    quarantined: int = 0
    held: int = 0


def forget(store: Store, before: float, *, now: float, who: str = "retention", batch: int = BATCH) -> Forgotten:
    """Removes documents, stories, mentions, quarantined lines and notices that were sent, all from before a time, a
    batch at a time, and gives their room back.

    What stays: counts; alerts; interactions; documents and stories that an alert, an interaction, a missed event or a
    person holds (see `documents.pin`), of a held story all documents; a story that has a document left.

    Args:
        store: an open store.
        before: seconds since 1970, UTC; a document of exactly that time stays.
        now: when this happens, for the audit log.
        who: asked for it.
        batch: documents of one transaction.
    """
    texts = _drop(store, documents, documents.c.id, and_(documents.c.time < before, ~_held_document()), batch)
    empty = ~exists().where(documents.c.story == stories.c.id)
    told = _drop(store, stories, stories.c.id, and_(stories.c.last < before, ~_held_story(), empty), batch)
    told_of = and_(notices.c.at < before, notices.c.state != "waiting")
    _drop(store, notices, notices.c.id, told_of, batch)
    lines = _drop(store, quarantine, quarantine.c.number, quarantine.c.at < before, batch)
    _drop(store, unlinked, unlinked.c.surface, unlinked.c.last < before, batch)
    with store.read() as connection:
        old = select(func.count()).select_from(documents).where(documents.c.time < before)
        held = int(connection.execute(old).scalar_one())
    done = Forgotten(texts, told, lines, held)
    details = {"before": before, "documents": texts, "stories": told, "quarantined": lines, "held": held}
    store.run(lambda connection: audit.append(connection, audit.Entry(who, "forget", now, details=details)))
    store.vacuum()
    return done


def _held_document() -> ColumnElement[bool]:
    """Whether a document, or its story, is held."""
    itself = and_(pins.c.kind == "document", pins.c.subject == documents.c.id)
    its_story = and_(pins.c.kind == "story", pins.c.subject == documents.c.story)
    return exists().where(itself) | exists().where(its_story)


def _held_story() -> ColumnElement[bool]:
    return exists().where(pins.c.kind == "story", pins.c.subject == stories.c.id)


def _drop(store: Store, table: Any, key: Any, condition: ColumnElement[bool], batch: int) -> int:
    """Removes the rows of a condition, a batch at a time; how many there were."""
    some = select(key).where(condition).limit(batch)
    statement: Delete = delete(table).where(key.in_(some))
    total = 0
    while removed := store.run(lambda connection: int(connection.execute(statement).rowcount)):
        total += removed
    return total


# -- erasure -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Erased:
    """How many documents, interactions and alerts had something erased."""

    documents: int = 0
    interactions: int = 0
    alerts: int = 0


def erase(store: Store, subject: str, *, who: str, now: float, also: Sequence[str] = ()) -> Erased:
    """Erases the texts of a person or customer for good. Counts stay, and that it was done.

    Of each document the text, the address, the metadata, the vector and the words of its mentions go; of interactions
    about it, about its mentions (`DOCUMENT:...`) or about the subject itself, what was shown, corrected and said; in
    alerts and their notices every string that quotes the text or the address. Times, topics and sentiments stay: the
    ticks were made of them. Backups are not reached: those from before have to be let go of. Lines in quarantine name
    no subject, and go by age. The audit log names the subject by SHA-256 alone.

    Args:
        store: an open store.
        subject: as in `StoredDocument.subject`.
        who: asked for it.
        now: seconds since 1970, UTC.
        also: ids of further documents whose texts go.
    """
    done = store.run(lambda connection: _erase(connection, subject, who, now, also))
    store.vacuum()  # what SQLite has overwritten in the file may be in its log still
    return done


def _erase(connection: Connection, subject: str, who: str, now: float, also: Sequence[str]) -> Erased:
    found = _texts_of(connection, subject, also)
    about: list[ColumnElement[bool]] = [interactions.c.subject == subject]
    for part in bulk.parts([*found], 100):
        connection.execute(
            update(documents)
            .where(documents.c.id.in_(part))
            .values(text="", url="", meta=None, vector=None, erased=now)
        )
        connection.execute(update(mentions).where(mentions.c.document.in_(part)).values(surface=""))
        at_place = [interactions.c.subject.startswith(f"{id}:", autoescape=True) for id in part]
        about.append(and_(interactions.c.kind == "document", interactions.c.subject.in_(part)))
        about.append(and_(interactions.c.kind == "mention", or_(*at_place)))
    said = sum(_erase_said(connection, condition) for condition in about)
    quoted = _erase_quotes(connection, found)
    done = Erased(len(found), said, quoted)
    details = {"subject_sha256": hashlib.sha256(subject.encode("utf-8", "replace")).hexdigest(),
               "documents": done.documents, "interactions": done.interactions, "alerts": done.alerts}  # fmt: skip
    audit.append(connection, audit.Entry(who, "erase", now, "subject", "", details))
    return done


def _erase_said(connection: Connection, condition: ColumnElement[bool]) -> int:
    corrected = and_(condition, interactions.c.correction.is_not(None))
    connection.execute(update(interactions).where(corrected).values(correction=ERASED))
    return connection.execute(update(interactions).where(condition).values(prediction=None, comment="")).rowcount


def _texts_of(connection: Connection, subject: str, also: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """What nobody may read any more, by the id of the document."""
    columns = select(documents.c.id, documents.c.text, documents.c.url).where(documents.c.erased.is_(None))
    found = list(connection.execute(columns.where(documents.c.subject == subject)))
    for part in bulk.parts(also):
        found += connection.execute(columns.where(documents.c.id.in_(part)))
    return {row.id: tuple(filter(None, (row.text.strip(), row.url))) for row in found}


def _erase_quotes(connection: Connection, found: Mapping[str, tuple[str, ...]]) -> int:
    """Takes the texts out of the alerts that rest on them, and out of their notices; how many alerts had any."""
    of_alert = _by_alert(connection, found)
    changed = 0
    for id, secrets in of_alert.items():
        # What a stage keeps of an alert may tell it in other words.
        connection.execute(delete(stages).where(stages.c.name.startswith(f"alert:{id}:", autoescape=True)))
        columns = select(alerts.c.evidence, alerts.c.details).where(alerts.c.id == id)
        for row in connection.execute(columns).all():
            before = {"evidence": row.evidence, "details": row.details}
            after = {name: without(value, secrets) for name, value in before.items()}
            if after != before:
                connection.execute(update(alerts).where(alerts.c.id == id).values(after))
                changed += 1
    bodies: dict[str, Any] = {}
    told = connection.execute(select(notices.c.id, notices.c.alerts, notices.c.body)) if of_alert else ()
    for notice, about, body in told:
        bare = without(body, [secret for id in about or () for secret in of_alert.get(id, ())])
        if bare != body:
            bodies[notice] = bare
    for id, body in bodies.items():
        connection.execute(update(notices).where(notices.c.id == id).values(body=body))
    return changed


def _by_alert(connection: Connection, found: Mapping[str, tuple[str, ...]]) -> dict[str, list[str]]:
    """What nobody may read any more, by the id of the alert that rests on it."""
    of_story = and_(pins.c.kind == "story", pins.c.subject == documents.c.story)
    of_text = and_(pins.c.kind == "document", pins.c.subject == documents.c.id)
    joined = select(pins.c.by, documents.c.id).join_from(documents, pins, or_(of_story, of_text)).distinct()
    secrets: dict[str, list[str]] = {}
    for part in bulk.parts([*found]):
        for by, id in connection.execute(joined.where(documents.c.id.in_(part), pins.c.by.startswith("alert:"))):
            secrets.setdefault(by.removeprefix("alert:"), []).extend(found[id])
    return secrets


QUOTE, OPENING, PART = 12, 60, 40
"""Characters from which on a text, its opening, and any part of it, give away what was erased; shorter ones are words
that anybody uses."""


def without(value: Any, secrets: Iterable[str]) -> Any:
    """A JSON value in which every string that quotes one of the secrets is replaced by `ERASED`."""
    secrets = list(secrets)
    if isinstance(value, str):
        return ERASED if any(_quotes(value, secret) for secret in secrets) else value
    if isinstance(value, list):
        return [without(item, secrets) for item in value]
    if isinstance(value, dict):
        return {key: without(item, secrets) for key, item in value.items()}
    return value


def _quotes(text: str, secret: str) -> bool:
    """Whether a text is the secret, holds it or its opening, or is a part of it (a headline, one that was cut)."""
    plain = text.strip().rstrip(".\u2026 ")
    if not plain or len(secret) < QUOTE:
        return plain == secret
    if len(plain) >= PART and plain in secret:
        return True
    return secret[:OPENING] in text or (len(plain) >= QUOTE and secret.startswith(plain))

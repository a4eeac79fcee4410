"""What people do to alerts. Each act and its entry in the audit log are written together, or neither.

What a person writes in their own words is kept beside their verdicts (`interactions`), where it can be erased; the log,
of which nothing can be, names it by its id.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from metier.apps.monitor.alerts import life
from metier.apps.monitor.alerts.life import Alert
from metier.errors import DataError
from metier.serve.doors.hand import Hand, Missing
from metier.store import alerts, interactions
from metier.store.alerts import StoredAlert
from metier.types import Interaction

APP = "monitor"
SAID = {"true": "right", "false": "wrong", "unclear": "unsure"}
"""What a verdict on an alert is to training."""
LONGEST = 2_000
"""Characters of a comment."""


def current(stored: StoredAlert) -> Alert:
    """A stored alert with what people said of it since it was written.

    Raises `DataError` for one that no monitor wrote.
    """
    if not stored.details:
        raise DataError(f"The alert {stored.id} was written by something else than this monitor.")
    return life.heard(Alert.from_json(stored.details), stored.acknowledged_at, stored.snoozed_until, stored.verdict)


def found(connection: Connection, id: str) -> StoredAlert:
    """A stored alert. Raises `Missing` where there is none."""
    stored = alerts.get(connection, id)
    if stored is None:
        raise Missing(f"There is no alert {id!r:.100}.", hint="the list of alerts")
    return stored


def acknowledge(hand: Hand, id: str, comment: str = "") -> None:
    """Somebody takes care of an alert that is firing. Raises `MetierError`."""

    def work(connection: Connection) -> None:
        life.acknowledge(current(found(connection, id)), hand.who, hand.now)
        alerts.acknowledge(connection, id, hand.who, hand.now)
        interactions.add(connection, note)

    note = _note(hand, id, comment)
    hand.do("acknowledge", "alert", id, work, _named(note))


def snooze(hand: Hand, id: str, until: float | None, comment: str = "") -> None:
    """No notices of an alert until a time; `None`: at once again. Raises `MetierError`."""

    def work(connection: Connection) -> None:
        stored = found(connection, id)
        if until is not None:
            life.snooze(current(stored), until, hand.who, hand.now)
        alerts.snooze(connection, id, until)
        interactions.add(connection, note)

    note = _note(hand, id, comment)
    hand.do("snooze" if until is not None else "wake", "alert", id, work, {"until": until, **_named(note)})


def judge(hand: Hand, id: str, verdict: str, comment: str = "") -> None:
    """An alert was right (`true`), wrong (`false`), or nobody can tell (`unclear`). Raises `MetierError`.

    Besides the alert, the table of interactions is told, which training and evaluation read.
    """
    id_of = Interaction(APP, "alert", id, "unsure", hand.who, hand.now).id

    def work(connection: Connection) -> None:
        stored = found(connection, id)
        alert = life.judge(current(stored), verdict, hand.who, hand.now, _checked(comment))
        alerts.judge(connection, id, verdict, hand.who, hand.now)
        interactions.add(connection, [replace(_judged(hand, stored, alert, comment), id=id_of)])

    hand.do("judge", "alert", id, work, {"verdict": verdict, "interaction": id_of})


def remark(hand: Hand, id: str, comment: str) -> None:
    """A comment on an alert. Raises `DataError` for an empty one."""
    note = _note(hand, id, comment)
    if not note:
        raise DataError("The comment is empty.", expected="some words")

    def work(connection: Connection) -> None:
        found(connection, id)
        interactions.add(connection, note)

    hand.do("comment", "alert", id, work, _named(note))


def own(hand: Hand, id: str, owner: str | None) -> None:
    """Whose an alert is; `None`: nobody's. Raises `DataError`."""
    if owner is not None and not 0 < len(owner.strip()) <= 200:
        raise DataError("An owner has a name.", expected="1 to 200 characters")

    def work(connection: Connection) -> None:
        found(connection, id)
        alerts.own(connection, id, owner)

    hand.do("assign", "alert", id, work, {"owner": owner})


def _judged(hand: Hand, stored: StoredAlert, alert: Alert, comment: str) -> Interaction:
    evidence = stored.evidence or {}
    shown = {
        "topic": stored.topic, "company": stored.company, "severity": stored.severity, "since": stored.since,
        "last": stored.last, "detector": alert.detector, "observed": alert.observed, "expected": alert.expected,
    }  # fmt: skip
    return Interaction(
        APP, "alert", stored.id, SAID[alert.verdict], hand.who, hand.now, prediction=shown, shown=stored.fired,
        version=str(evidence.get("run", "")), comment=comment.strip(),
    )  # fmt: skip


def _note(hand: Hand, id: str, comment: str) -> list[Interaction]:
    """A comment as it is kept; nothing where it is empty."""
    words = _checked(comment)
    return [Interaction(APP, "alert", id, "noted", hand.who, hand.now, comment=words)] if words else []


def _named(note: list[Interaction]) -> dict[str, str]:
    return {"interaction": note[0].id} if note else {}


def _checked(comment: str) -> str:
    words = comment.strip()
    if len(words) > LONGEST:
        raise DataError(f"The comment has {len(words)} characters.", expected=f"at most {LONGEST}")
    return words

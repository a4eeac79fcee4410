"""What people do besides judging alerts: silences, watchlists, missed events, corrections, the quarantine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Connection

from metier.apps.monitor.alerts import matchers
from metier.errors import DataError
from metier.serve.doors.hand import Hand, Missing
from metier.serve.monitor.acts import APP, LONGEST
from metier.store import alerts, documents, interactions, quarantine
from metier.store.alerts import Missed, Silence, Watchlist
from metier.types import Interaction

if TYPE_CHECKING:
    from metier.apps.monitor.sources.inbox import Inbox

LONGEST_SILENCE = 366 * 86_400.0
HEADS = ("topic", "sentiment", "company")
NAMES, NAME = 200, 200
"""Names on a list, and characters of one."""


# -- silences and watchlists -------------------------------------------------------------------------------------------
def silence(hand: Hand, text: str, starts: float | None, ends: float, comment: str = "") -> Silence:
    """No notices of alerts that matchers such as `topic="fraud", severity!="critical"` meet.

    Raises:
        MetierError: for what is no matcher, for none at all, and for a time that is over, turned round or too long.
    """
    wanted = matchers.parse(text)
    if not wanted:
        raise DataError("A silence without matchers would silence nothing.", expected='such as topic="fraud"')
    begin = hand.now if starts is None else starts
    if not (begin < ends <= begin + LONGEST_SILENCE and ends > hand.now):
        raise DataError("A silence ends after it starts, in a time to come.", expected="366 days at most")
    made = Silence(matchers.as_json(wanted), begin, ends, hand.who, _short(comment))
    details = {"matchers": matchers.as_json(wanted), "starts": begin, "ends": ends}
    hand.do("silence", "silence", made.id, lambda connection: alerts.silence(connection, made), details)
    return made


def unsilence(hand: Hand, id: str) -> None:
    """Ends a silence. Raises `DataError`."""
    hand.do("end", "silence", id, lambda connection: alerts.unsilence(connection, id, hand.now))


def watch(hand: Hand, name: str, topics: Sequence[str], companies: Sequence[str], id: str = "") -> Watchlist:
    """Follows topics and companies; with an id, changes a list of one's own. Raises `DataError`."""
    if not 0 < len(name.strip()) <= NAME or not (topics or companies):
        raise DataError("A watchlist has a name, and topics or companies.")
    if max(len(topics), len(companies)) > NAMES or any(len(one) > NAME for one in (*topics, *companies)):
        raise DataError("The watchlist is too long.", expected=f"at most {NAMES} names of {NAME} characters")
    fresh = Watchlist(name.strip(), hand.who, tuple(topics), tuple(companies), hand.now)
    made = Watchlist(name.strip(), hand.who, tuple(topics), tuple(companies), hand.now, id) if id else fresh

    def work(connection: Connection) -> None:
        if id:
            _own_list(connection, hand, id)
        alerts.watch(connection, made)

    hand.do("watch", "watchlist", made.id, work, {"topics": list(topics), "companies": list(companies)})
    return made


def unwatch(hand: Hand, id: str, *, anyones: bool = False) -> None:
    """Removes a watchlist of one's own, or `anyones`. Raises `DataError`."""

    def work(connection: Connection) -> None:
        if not anyones:
            _own_list(connection, hand, id)
        alerts.unwatch(connection, id)

    hand.do("remove", "watchlist", id, work)


def _own_list(connection: Connection, hand: Hand, id: str) -> None:
    if id not in {one.id for one in alerts.watched(connection, hand.who)}:
        raise Missing(f"You have no watchlist {id!r:.100}.")


# -- what was missed or is wrong ---------------------------------------------------------------------------------------
def miss(hand: Hand, event: Missed) -> None:
    """An event that no alert told of: an example for the detectors. Raises `DataError`."""
    shown = {"topic": event.topic, "company": event.company, "starts": event.starts, "ends": event.ends}
    said = Interaction(
        APP, "series", f"{event.topic}/{event.company}", "missed", hand.who, hand.now, correction=shown,
        comment=_short(event.comment),
    )  # fmt: skip

    def work(connection: Connection) -> None:
        known = documents.known(connection, event.documents)
        strangers = [id for id in event.documents if id not in known]
        if strangers:
            raise DataError(f"There is no document {strangers[0]!r:.100}.", expected="ids of stored documents")
        alerts.miss(connection, event)
        interactions.add(connection, [said])

    hand.do("report", "missed", event.id, work, shown | {"interaction": said.id})


def withdraw(hand: Hand, id: str) -> None:
    """Takes back that an event was missed. Raises `DataError`."""
    hand.do("withdraw", "missed", id, lambda connection: alerts.withdraw(connection, id))


def correct(hand: Hand, document: str, head: str, correction: Any, comment: str = "") -> Interaction:
    """What a document says was read wrongly; without a correction it is only known to be wrong.

    Args:
        hand: who says so.
        document: its id.
        head: `topic`, `sentiment` or `company`.
        correction: a list of topics, a sentiment, a list of ids of companies; `None`: not said.
        comment: in their words.

    Raises:
        DataError: where there is no such document, or the correction has not the form of the head's.
    """
    if head not in HEADS:
        raise DataError(f"There is no head {head!r:.100} to correct.", expected=", ".join(HEADS))
    if correction is not None:
        _require_form(head, correction)
    verdict = "wrong" if correction is None else "corrected"
    made: list[Interaction] = []

    def work(connection: Connection) -> None:
        stored = documents.get(connection, document)
        if stored is None:
            raise Missing(f"There is no document {document!r:.100}.")
        named = [one.company for one in documents.mentions_of(connection, [document]).get(document, ())]
        shown = {"topic": stored.topics, "sentiment": stored.sentiment, "company": named}[head]
        made[:] = [
            Interaction(
                APP,
                "document",
                document,
                verdict,
                hand.who,
                hand.now,
                head,
                shown,
                correction,
                stored.received,
                stored.version,
                _short(comment),
                said,
            )  # fmt: skip
        ]
        interactions.add(connection, made)

    said = Interaction(APP, "document", document, "wrong", hand.who, hand.now).id
    hand.do("correct", "document", document, work, {"head": head, "verdict": verdict, "interaction": said})
    return made[0]


def _require_form(head: str, correction: Any) -> None:
    one = isinstance(correction, str) and 0 < len(correction) <= NAME
    several = (
        isinstance(correction, list)
        and len(correction) <= NAMES
        and all(isinstance(name, str) and 0 < len(name) <= NAME for name in correction)
    )
    if not (one if head == "sentiment" else several):
        expected = "one label" if head == "sentiment" else "a list of names, which may be empty"
        raise DataError(f"The correction of {head} has another form.", expected=expected)


# -- review ------------------------------------------------------------------------------------------------------------
def replay(hand: Hand, inbox: Inbox | None, numbers: Sequence[int], contents: Mapping[int, str]) -> int:
    """Sends what was set aside through again, as it came or as it was mended.

    Args:
        hand: who does it.
        inbox: where documents are pushed to.
        numbers: of what was set aside.
        contents: mended JSON, by number.

    Returns how many.

    Raises:
        DataError: where one is not there or is still no JSON object; then none is sent.
        SpoolFull: where the inbox takes no more.
    """
    if inbox is None:
        raise DataError("This monitor takes no pushed documents.", hint="a source of the kind push")
    with hand.store.read() as connection:
        kept = {one.number: one for number in numbers for one in quarantine.waiting(connection, number - 1, 1)}
    rows = []
    for number in dict.fromkeys(numbers):
        if number not in kept:
            raise DataError(f"Nothing that waits has the number {number}.", hint="the list of what was set aside")
        rows.append(_document(number, contents.get(number, kept[number].raw)))
    inbox.put(rows)
    done = list(dict.fromkeys(numbers))
    hand.do(
        "replay", "quarantine", "", lambda connection: quarantine.replayed(connection, done, hand.now),
        {"numbers": done},
    )  # fmt: skip
    return len(done)


def _document(number: int, text: str) -> Mapping[str, Any]:
    try:
        row = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise DataError(f"Number {number} is no JSON ({error}).", hint="mend it, then replay it") from None
    if not isinstance(row, dict):
        raise DataError(f"Number {number} is no JSON object.", expected='such as {"text": "..."}')
    return row


def link(hand: Hand, surfaces: Iterable[str]) -> None:
    """Takes names off the list of those that belong to no known company."""
    names = list(surfaces)
    hand.do("settle", "unlinked", "", lambda connection: documents.link(connection, names), {"names": names})


def _short(comment: str) -> str:
    words = comment.strip()
    if len(words) > LONGEST:
        raise DataError(f"The comment has {len(words)} characters.", expected=f"at most {LONGEST}")
    return words

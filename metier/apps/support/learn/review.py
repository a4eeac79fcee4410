"""From what people say to knowledge: verdicts become candidates, a person looks at them, a replay tries them, and what
holds is promoted, in one transaction; a promotion is rolled back with one command."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from metier.apps.support.answer.known import Encode, Known, Proposed
from metier.apps.support.learn.doubles import double
from metier.apps.support.learn.reasons import reason as reason_of
from metier.apps.support.learn.replay import Report, Understand, frozen, replay, traffic
from metier.apps.support.reading import identity
from metier.data.languages import language
from metier.data.private.mask import mask
from metier.errors import DataError, nearest
from metier.store import audit, conversations, interactions, knowledge
from metier.store.conversations import Message
from metier.store.knowledge import Candidate, Promotion, StoredEntry
from metier.store.store import Store
from metier.types import Interaction, new_id

logger = logging.getLogger(__name__)
APP = "support"
NEAR = 3
"""Entries that are shown beside a candidate."""
OF_CONVERSATION, OF_CUSTOMERS = 3, 200
"""Candidates of one conversation, and of all customers, that wait at a time; what else customers say is kept as an
interaction, and proposes nothing."""
LOOKED = 2_000
"""Candidates among which the same one is looked for."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What somebody says of an answer.

    Args:
        verdict: `right`, `wrong` or `corrected`.
        who: the name of a person; `visitor` for customers.
        correction: what would have been right; with `corrected` and with nothing else.
        comment: in their own words.
    """

    verdict: str
    who: str
    correction: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """The id under which an opinion is kept, and what waits for review because of it."""

    id: str
    candidate: Candidate | None = None


class Review:
    """The review queue over a store.

    Args:
        store: an open store.
        known: the knowledge as the bot finds it; what is promoted is found as soon as `promote` returns.
        encode: texts to unit vectors.
        understand: the run that tells intents; none: there is none.
        clock: seconds since 1970.
    """

    def __init__(
        self, store: Store, known: Known, encode: Encode, understand: Understand | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.store, self.known, self._encode, self._understand, self._clock = store, known, encode, understand, clock

    # -- what people say -----------------------------------------------------------------------------------------
    def judge(self, conversation: str, number: int, said: Opinion) -> Judged:
        """Keeps what somebody says of an answer, once however often it is sent; a correction, or a thumb down, waits
        for review.

        A thumb down with nothing to it is kept and no more where a person answered, or the bot made small talk. What
        waits already is counted, and takes no second place.

        Args:
            conversation: where.
            number: of the message that answered.
            said: masked here once more; private data goes before it is given.

        Raises:
            DataError: where there is no such answer, the verdict is none, or has a correction that has no place.
        """
        question, answer = self._exchange(conversation, number)
        told, comment, reply = mask(said.correction).text.strip(), mask(said.comment).text, answer.reply or {}
        asked = str(reply.get("question") or question.text)
        same = "\x1f".join((conversation, str(number), said.who, said.verdict, told, comment))
        kept = Interaction(
            APP, "message", str(number), said.verdict, said.who, self._clock(), head="answer",
            prediction={"question": asked, "answer": answer.text, "entry": reply.get("entry", ""),
                        "tier": answer.tier, "conversation": conversation},
            correction=told or None, shown=answer.at, version=str(reply.get("version", "")), comment=comment,
            id=hashlib.blake2b(same.encode("utf-8", "replace"), digest_size=16).hexdigest(),
        )  # fmt: skip
        of_bot = answer.author == "bot" and answer.tier != "talk"
        if said.verdict == "right" or not (told or of_bot) or not _is_question(asked):
            self.store.run(lambda connection: interactions.add(connection, [kept]))
            return Judged(kept.id)
        interactions.require(kept)
        kind = "correction" if told else "thumb"
        candidate = self._candidate(kind, replace(question, text=asked), told, said.who, reply.get("entry") or None)
        return Judged(kept.id, self._keep(kept, candidate))

    def learn_from(self, said: Message) -> Candidate | None:
        """An agent's own answer to a question that the bot did not answer waits for review."""
        if said.author != "agent" or said.answers is None:
            return None
        with self.store.read() as connection:
            question = _numbered(connection, said.conversation, said.answers)
        if question is None or not _is_question(question.text):
            return None
        shown = Interaction(
            APP, "message", str(question.number), "answered", said.name, said.at, head="answer",
            correction=said.text, id=f"{said.conversation}:{said.number}:answered",
        )  # fmt: skip
        return self._keep(shown, self._candidate("answer", question, said.text, said.name, None))

    def _exchange(self, conversation: str, number: int) -> tuple[Message, Message]:
        with self.store.read() as connection:
            answer = _numbered(connection, conversation, number)
            question = None if answer is None else _numbered(connection, conversation, answer.answers or 0)
        if answer is None or question is None or answer.author not in ("bot", "agent"):
            raise DataError(f"Message {number} of this conversation answers nothing.", expected="an answer")
        return question, answer

    def _candidate(self, kind: str, question: Message, answer: str, who: str, entry: str | None) -> Candidate:
        matches = self.known.find(question.text, vector=self._encode([question.text])[0])[:NEAR]
        near = [{"id": one.entry.id, "question": one.entry.question, "score": one.score} for one in matches]
        id = f"{kind}-{identity(question.text, answer)}"
        return Candidate(
            kind, question.text, answer, who, self._clock(), entry=entry, conversation=question.conversation,
            message=question.number, near=near, id=id,
        )  # fmt: skip

    def _keep(self, said: Interaction, candidate: Candidate) -> Candidate | None:
        """Keeps what was said; what waits for review because of it, where something does."""
        with self.store.read() as connection:
            waiting = knowledge.waiting(connection, limit=LOOKED)
        there = double(candidate, waiting, self._encode)

        def work(connection: Connection) -> Candidate | None:
            before = [one.who for one in interactions.of(connection, "message", said.subject) if one.verdict != "right"]
            if not interactions.add(connection, [said]):
                return None
            if there is not None:
                other = there.conversation != candidate.conversation and said.who not in before
                instead = candidate if candidate.answer and not there.answer else None
                if kept := knowledge.repeat(connection, there.id, count=other, instead=instead):
                    return kept
            return None if _is_too_much(candidate, waiting) else _proposed(connection, candidate)

        return self.store.run(work)

    # -- what a reviewer does ------------------------------------------------------------------------------------
    def refuse(self, id: str, who: str, reason: str = "") -> Candidate:
        """Puts a candidate away."""
        now = self._clock()
        reasons = {"reasons": [reason or reason_of("reviewer")]}
        return self.store.run(lambda connection: knowledge.decide(connection, id, "refused", who, now, reasons=reasons))

    def proposed(self, candidate: Candidate, merge: str = "", answer: str = "", intent: str = "") -> Proposed:
        """The entry that a candidate would make.

        Args:
            candidate: as it waits.
            merge: the id of an entry whose question in other words it is; empty: a new entry.
            answer: as the reviewer wrote it; empty: the candidate's, or that of the entry which it is merged with.
            intent: of a new entry; with one its question is fitted with the others of that intent. Empty: none.

        Raises:
            DataError: where there is no answer, no such entry, or no such intent.
        """
        now = self._clock()
        self._require_intent(intent)
        if merge:
            with self.store.read() as connection:
                there = knowledge.get(connection, [merge]).get(merge)
            if there is None:
                raise DataError(f"There is no entry {merge!r}.", expected="the id of one")
            texts = [there.question, *there.others]
            others = texts[1:] if candidate.question in texts else [*texts[1:], candidate.question]
            changed = replace(there, others=others, answer=answer or there.answer, source="review", active=True, at=now)
            return Proposed.of(changed, self._encode)
        told = (answer or candidate.answer).strip()
        if not told:
            raise DataError("The candidate has no answer.", expected="the answer that is right")
        spoken = "zh" if language(candidate.question) == "zh" else "en"
        entry = StoredEntry(
            f"review-{candidate.id}", candidate.question, told, intent=intent, language=spoken, source="review", at=now
        )
        return Proposed.of(entry, self._encode)

    def intents(self) -> list[str]:
        """The intents of entries that are in use."""
        with self.store.read() as connection:
            return knowledge.intents(connection)

    def _require_intent(self, intent: str) -> None:
        """An intent of a single question would keep all of them from being fitted."""
        known = self.intents() if intent else []
        if intent and intent not in known:
            raise DataError(
                f"There is no intent {intent!r}.{nearest(intent, known)}", expected="one that entries have, or none"
            )

    def tried(self, proposed: Proposed, own: str) -> Report:
        """What would change if this entry were known: see `replay`."""
        with self.store.read() as connection:
            sets = (frozen(connection, [proposed.entry.id]), traffic(connection, self._clock()))
        return replay(self.known, self._encode, proposed, own, sets, self._understand)

    def promote(self, id: str, who: str, *, merge: str = "", answer: str = "", intent: str = "") -> Promotion:
        """Replays a candidate, and makes it knowledge, or refuses it with the reasons.

        Raises:
            DataError: where there is no such candidate, it was decided already, or it has no answer.
        """
        with self.store.read() as connection:
            candidate = knowledge.candidate_of(connection, id)
        proposed = self.proposed(candidate, merge, answer, intent)
        report = self.tried(proposed, candidate.question)
        now = self._clock()
        verdict = "refused" if report.reasons else "promoted"
        done = Promotion(verdict, [id], now, who, report.kept(), id=new_id())

        def work(connection: Connection) -> None:
            knowledge.decide(connection, id, verdict, who, now, reasons=report.kept(), entry=proposed.entry.id)
            knowledge.record(connection, done)
            if verdict == "promoted":
                knowledge.put(connection, [replace(proposed.entry, by=who)], done.id)
            audit.append(connection, audit.Entry(who, verdict, now, "candidate", id, {"promotion": done.id}))

        self.store.run(work)
        self.known.follow()
        return done

    def roll_back(self, id: str, who: str) -> int:
        """Takes a promotion back: see `store.knowledge.roll_back`."""
        now = self._clock()

        def work(connection: Connection) -> int:
            count = knowledge.roll_back(connection, id, who, now)
            audit.append(connection, audit.Entry(who, "roll back", now, "promotion", id))
            return count

        count = self.store.run(work)
        self.known.follow()
        return count

    def edit(self, entry: StoredEntry, who: str) -> None:
        """What a person writes into the knowledge by hand."""
        kept = replace(entry, source="person", at=self._clock(), by=who)

        def work(connection: Connection) -> None:
            knowledge.put(connection, [kept])
            audit.append(connection, audit.Entry(who, "edit", self._clock(), "entry", entry.id))

        self.store.run(work)
        self.known.follow()


def _numbered(connection: Connection, conversation: str, number: int) -> Message | None:
    """A message of a conversation; `None`: there is none of that number."""
    found = conversations.transcript(connection, conversation, number - 1, 1)
    return found[0] if found and found[0].number == number else None


def _is_question(text: str) -> bool:
    """Whether a message asks something: a command does not."""
    return bool(text.strip()) and not text.startswith("/")


def _is_too_much(candidate: Candidate, waiting: Sequence[Candidate]) -> bool:
    """Whether customers have enough in the queue already."""
    if candidate.who != knowledge.VISITOR:
        return False
    own = [one for one in waiting if one.who == knowledge.VISITOR]
    here = sum(one.conversation == candidate.conversation for one in own)
    if len(own) >= OF_CUSTOMERS:
        logger.info("%d candidates of customers wait for review; what they say proposes nothing more", len(own))
    return here >= OF_CONVERSATION or len(own) >= OF_CUSTOMERS


def _proposed(connection: Connection, candidate: Candidate) -> Candidate:
    """A candidate as it is kept; one that was promoted once, and was taken back or did not help, waits anew."""
    kept = knowledge.propose(connection, candidate)
    return kept if kept.state != "promoted" else knowledge.propose(connection, replace(candidate, id=""))

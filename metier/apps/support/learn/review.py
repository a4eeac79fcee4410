"""From what people say to knowledge: verdicts become candidates, a person looks at them, a replay tries them, and what
holds is promoted, in one transaction; a promotion is rolled back with one command."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import Connection

from metier.apps.support.answer.known import Encode, Known, Proposed
from metier.apps.support.learn.replay import Report, Understand, frozen, replay, traffic
from metier.apps.support.reading import identity
from metier.data.languages import language
from metier.data.private.mask import mask
from metier.errors import DataError
from metier.store import audit, conversations, interactions, knowledge
from metier.store.conversations import Message
from metier.store.knowledge import Candidate, Promotion, StoredEntry
from metier.store.store import Store
from metier.types import Interaction, new_id

APP = "support"
NEAR = 3
"""Entries that are shown beside a candidate."""


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
    def judge(self, conversation: str, number: int, verdict: str, who: str, correction: str = "") -> Candidate | None:
        """Keeps what somebody says of an answer; a correction, or a thumb down, waits for review.

        Args:
            conversation: where.
            number: of the message that answered.
            verdict: `right`, `wrong` or `corrected`.
            who: the name of a person; `visitor` for customers.
            correction: what would have been right.

        Raises:
            DataError: where there is no such answer, or the verdict is none.
        """
        question, answer = self._exchange(conversation, number)
        told = mask(correction).text.strip()
        reply = answer.reply or {}
        said = Interaction(
            APP, "message", str(number), verdict, who, self._clock(), head="answer",
            prediction={"question": question.text, "answer": answer.text, "entry": reply.get("entry", ""),
                        "tier": answer.tier},
            correction=told or None, shown=answer.at, version=str(reply.get("version", "")),
            id=f"{conversation}:{number}:{who}:{verdict}",
        )  # fmt: skip
        candidate = None
        if verdict in ("wrong", "corrected"):
            kind = "correction" if told else "thumb"
            candidate = self._candidate(kind, question, told, who, reply.get("entry") or None)

        def work(connection: Connection) -> None:
            interactions.add(connection, [said])
            if candidate is not None:
                knowledge.propose(connection, candidate)

        self.store.run(work)
        return candidate

    def learn_from(self, said: Message) -> Candidate | None:
        """An agent's own answer to a question that the bot did not answer waits for review."""
        if said.author != "agent" or said.answers is None:
            return None
        with self.store.read() as connection:
            before = {one.number: one for one in conversations.transcript(connection, said.conversation)}
        question = before.get(said.answers)
        if question is None or not question.text.strip():
            return None
        candidate = self._candidate("answer", question, said.text, said.name, None)
        shown = Interaction(
            APP, "message", str(question.number), "answered", said.name, said.at, head="answer",
            correction=said.text, id=f"{said.conversation}:{said.number}:answered",
        )  # fmt: skip

        def work(connection: Connection) -> None:
            interactions.add(connection, [shown])
            knowledge.propose(connection, candidate)

        self.store.run(work)
        return candidate

    def _exchange(self, conversation: str, number: int) -> tuple[Message, Message]:
        with self.store.read() as connection:
            found = {one.number: one for one in conversations.transcript(connection, conversation)}
        answer = found.get(number)
        question = found.get(answer.answers or 0) if answer is not None else None
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

    # -- what a reviewer does ------------------------------------------------------------------------------------
    def refuse(self, id: str, who: str, reason: str = "") -> Candidate:
        """Puts a candidate away."""
        now = self._clock()
        reasons = {"reasons": [reason or "a reviewer refused it"]}
        return self.store.run(lambda connection: knowledge.decide(connection, id, "refused", who, now, reasons=reasons))

    def proposed(self, candidate: Candidate, merge: str = "", answer: str = "") -> Proposed:
        """The entry that a candidate would make.

        Args:
            candidate: as it waits.
            merge: the id of an entry whose question in other words it is; empty: a new entry.
            answer: as the reviewer wrote it; empty: the candidate's, or that of the entry which it is merged with.

        Raises:
            DataError: where there is no answer, or no such entry.
        """
        now = self._clock()
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
            f"review-{candidate.id}", candidate.question, told, language=spoken, source="review", at=now
        )
        return Proposed.of(entry, self._encode)

    def tried(self, proposed: Proposed, own: str) -> Report:
        """What would change if this entry were known: see `replay`."""
        with self.store.read() as connection:
            sets = (frozen(connection, [proposed.entry.id]), traffic(connection, self._clock()))
        return replay(self.known, self._encode, proposed, own, sets, self._understand)

    def promote(self, id: str, who: str, *, merge: str = "", answer: str = "") -> Promotion:
        """Replays a candidate, and makes it knowledge, or refuses it with the reasons.

        Raises:
            DataError: where there is no such candidate, it was decided already, or it has no answer.
        """
        with self.store.read() as connection:
            candidate = knowledge.candidate_of(connection, id)
        proposed = self.proposed(candidate, merge, answer)
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

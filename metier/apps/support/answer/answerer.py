"""The way of a message through the tiers, the cheapest one first, until one answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import numpy as np

from metier.apps.support.answer import follow, slots
from metier.apps.support.answer.known import NO_MATCH, NOBODY, Encode, Intent, Known, Match, texts_of
from metier.apps.support.answer.papers import Papers, Quote, composed
from metier.apps.support.answer.talk import Kind, language_told, talk_of
from metier.apps.support.answer.words import say, slot_name
from metier.apps.support.item import Asked, Button, Citation, Context, Reply
from metier.apps.support.settings import AnswersPart, SlotPart
from metier.data.private.found import Masked
from metier.types import NOTHING

Understand = Callable[[str], Intent]
"""What the run says of a masked text."""
Write = Callable[[str, Sequence[Quote], str], tuple[str, Sequence[Citation]] | None]
"""`(question, quotes, language)` to a written answer with what it cites; `None`: there is none that holds."""
SURE_OUTSIDE = 0.5
"""How far outside a message lies where the operator's threshold is: from there on it counts as outside."""
WORDS = 2
"""Of a match's features, the one that says whether the message has the very words of the question."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What an answer is made with.

    Args:
        known: the questions that have an answer.
        encode: texts to unit vectors.
        papers: the documents; none: there are none.
        understand: the run; none: there is none.
        write: the generator; none: sentences are cited as they are.
        slots: what answers may need.
        rules: how sure an answer must be.
        today: the day, for words such as `yesterday`.
        version: of run and knowledge.
    """

    known: Known
    encode: Encode
    papers: Papers | None = None
    understand: Understand | None = None
    write: Write | None = None
    slots: Mapping[str, SlotPart] = field(default_factory=lambda: NOTHING)
    rules: AnswersPart = field(default_factory=AnswersPart)
    today: Callable[[], date] = lambda: datetime.now().astimezone().date()
    version: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """A reply, what the conversation remembers now, and the text as its customer alone may see it."""

    reply: Reply
    context: Context
    shown: str
    calls: bool = False
    """Whether a person has to be called."""


class Answerer:
    """Answers messages, one at a time or from many threads."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    def answer(self, masked: Masked, original: str, context: Context) -> Answered:
        """The answer to a message.

        Args:
            masked: the message with its private data masked.
            original: as it was written; slots are filled from it, and nothing else is done with it.
            context: what the conversation remembers.
        """
        begun = time.perf_counter()
        language = language_told(original, context.language)
        asked = Asked(original, masked.text, language, replace(context, language=language))
        done = self._talk(asked) or self._slot(asked) or self._question(asked)
        shown = masked.fill(done.shown)
        seconds = time.perf_counter() - begun
        reply = replace(done.reply, language=language, version=self.parts.version, seconds=seconds)
        return replace(done, reply=reply, shown=shown)

    # -- without knowledge ---------------------------------------------------------------------------------------
    def _talk(self, asked: Asked) -> Answered | None:
        kind = talk_of(asked.text)
        if kind is None or (kind == "empty" and asked.context.waiting):
            return None
        if kind == "person":
            return self._call(asked)
        if kind == "none":
            return self._unknown(asked, None, NOBODY)
        own = self.parts.rules.greeting if kind == "greeting" else None
        text = say(kind, asked.language, own)
        buttons = (_person(asked.language),) if kind in ("abuse", "bot", "help") else ()
        return Answered(Reply(text, "talk", buttons=buttons, intent=_talked(kind)), asked.context, text)

    def _call(self, asked: Asked) -> Answered:
        return Answered(Reply("", "handover"), replace(asked.context, unsure=0, waiting="", pending=""), "", calls=True)

    # -- a slot that was asked for -------------------------------------------------------------------------------
    def _slot(self, asked: Asked) -> Answered | None:
        """The answer that waited for a value; none where the message is no value but something else."""
        context = asked.context
        if not context.waiting or not context.pending:
            return None
        value = slots.told(asked.text, context.waiting, self.parts.slots, self.parts.today())
        bare = replace(asked, context=replace(context, waiting="", pending=""))
        if not value:
            return None if self._is_another(bare, context.pending) else self._again(asked)
        entry = self.parts.known.entry(context.pending)
        on = bare.standing_for(context.question)
        return None if entry is None else self._told(on, entry.id, entry.answer, {context.waiting: value}, NO_MATCH)

    def _is_another(self, asked: Asked, pending: str) -> bool:
        """Whether a message asks for something else than the entry whose answer waits for a value."""
        _, matches, _, _ = self._read(asked)
        return bool(matches) and matches[0].score >= self.parts.rules.offer and matches[0].entry.id != pending

    def _again(self, asked: Asked) -> Answered:
        """The value is asked for once more; where it was asked for often enough, nobody knows."""
        context = replace(asked.context, unsure=asked.context.unsure + 1)
        if context.unsure >= self.parts.rules.patience:
            return self._unknown(asked, None, NOBODY)
        text = say("ask_again", asked.language, slot=slot_name(context.waiting, asked.language))
        again = Reply(text, "template", entry=context.pending, waiting=context.waiting, question=context.question)
        return Answered(again, context, text)

    def _told(self, asked: Asked, entry: str, template: str, more: Mapping[str, str], match: Match) -> Answered:
        """An answer with its slots filled, or a question for the first one that is missing."""
        names = slots.needed(template)
        values = {
            **dict(asked.context.slots),
            **slots.found(asked.text, names, self.parts.slots, self.parts.today()),
            **more,
        }
        missing = [name for name in names if name not in values]
        public = {name: value for name, value in values.items() if not self._private(name)}
        question = asked.standing or asked.masked
        context = replace(
            asked.context, question=question, entry=entry, slots=public, unsure=0, offered=(), waiting="", pending=""
        )
        about = Reply(
            "", "template", entry=entry, intent=match.entry.intent, score=match.score, question=_read_as(asked)
        )
        if missing:
            asks = self.parts.slots.get(missing[0], SlotPart()).ask
            text = say("ask_slot", asked.language, asks, slot=slot_name(missing[0], asked.language))
            waits = replace(context, waiting=missing[0], pending=entry)
            return Answered(replace(about, text=text, waiting=missing[0]), waits, text)
        hidden = {name: f"[{name}]" if self._private(name) else value for name, value in values.items()}
        cited = (Citation(entry, match.question, template),) if match.question else ()
        reply = replace(about, text=slots.filled(template, hidden), citations=cited)
        return Answered(reply, context, slots.filled(template, values))

    def _private(self, name: str) -> bool:
        return slots.part_of(name, self.parts.slots).kind in ("email", "phone", "card", "text")

    # -- a question ----------------------------------------------------------------------------------------------
    def _question(self, asked: Asked) -> Answered:
        asked, matches, intent, vector = self._read(asked)
        best = matches[0] if matches else None
        if best is not None and best.score >= self.parts.known.sure.threshold and not _strange(best, intent):
            told = self._told(asked, best.entry.id, best.entry.answer, {}, best)
            again = best.entry.id == asked.context.entry and asked.standing != asked.masked
            return _the_same(told, asked.language) if again and not told.reply.waiting else told
        return (
            self._from_papers(asked, intent, vector) or self._clarify(asked, matches, intent)
            or self._unknown(asked, best, intent)
        )  # fmt: skip

    def _read(self, asked: Asked) -> tuple[Asked, list[Match], Intent, np.ndarray | None]:
        """The message as what it most surely means: a question of its own, or one that goes on from the last."""
        alone = asked.standing_for(asked.masked)
        first = self._matches(alone.standing)
        if not follow.follows(asked):
            return alone, *first
        on = asked.standing_for(follow.joined(asked))
        further, intent, vector = self._matches(on.standing)
        before = self.parts.known.entry(asked.context.entry) if asked.context.entry else None
        own = [] if before is None else [text.id for text in texts_of(before)]
        text = slots.bare(on.standing, self.parts.slots)
        rest = self.parts.known.find(text, intent, vector=vector, without=own) if own else further
        match follow.chosen(asked, first[0], further, rest, self.parts.known.sure.threshold, self._offer(asked)):
            case "alone":
                return alone, *first
            case "both":
                return on, further, intent, vector
            case "rest":
                return on, rest, intent, vector

    def _offer(self, asked: Asked) -> float:
        """The score from which an entry is offered. Half a question scores less: it says half of what is meant."""
        return self.parts.rules.offer / (2 if follow.leans(asked) else 1)

    def _matches(self, text: str) -> tuple[list[Match], Intent, np.ndarray | None]:
        text = slots.bare(text, self.parts.slots)
        vector = self.parts.encode([text])[0]
        intent = self.parts.understand(text) if self.parts.understand is not None else NOBODY
        return self.parts.known.find(text, intent, vector=vector), intent, vector

    def _from_papers(self, asked: Asked, intent: Intent, vector: np.ndarray | None) -> Answered | None:
        papers = self.parts.papers
        quotes = papers.find(asked.standing, vector=vector) if papers is not None else []
        if papers is None or not quotes or quotes[0].score < papers.sure.threshold:
            return None
        context = replace(asked.context, question=asked.standing, entry="", unsure=0, offered=())
        about = Reply(
            "", "search", intent=intent.label, score=quotes[0].score, outside=intent.outside, question=_read_as(asked)
        )
        written = self.parts.write(asked.standing, quotes, asked.language) if self.parts.write else None
        if written is not None:
            return Answered(replace(about, text=written[0], tier="written", citations=written[1]), context, written[0])
        text, citations = composed(quotes, self.parts.rules.sentences)
        return Answered(replace(about, text=text, citations=citations), context, text)

    def _clarify(self, asked: Asked, matches: Sequence[Match], intent: Intent) -> Answered | None:
        close = [one for one in matches if one.score >= self._offer(asked)][: self.parts.rules.choices]
        close = [one for one in close if one.entry.id not in asked.context.offered]
        if not close:
            return None
        text = say("clarify" if len(close) > 1 else "clarify_one", asked.language)
        buttons = [Button(one.entry.question, one.entry.question) for one in close]
        buttons.append(Button(say("none", asked.language), "/none"))
        context = replace(asked.context, offered=tuple(one.entry.id for one in close), waiting="", pending="")
        reply = Reply(
            text, "clarify", buttons=buttons, intent=intent.label, score=close[0].score, outside=intent.outside,
            question=_read_as(asked),
        )  # fmt: skip
        return Answered(reply, context, text)

    def _unknown(self, asked: Asked, best: Match | None, intent: Intent) -> Answered:
        """Nobody knows: a person is offered; after some messages in a row one is called."""
        unsure = asked.context.unsure + 1
        if unsure >= self.parts.rules.patience:
            return self._call(asked)
        text = say("unknown", asked.language, self.parts.rules.unknown)
        context = replace(asked.context, unsure=unsure, offered=(), waiting="", pending="")
        score = best.score if best is not None else 0.0
        reply = Reply(
            text, "unknown", buttons=(_person(asked.language),), intent=intent.label, score=score,
            outside=max(intent.outside, 1 - score), question=_read_as(asked),
        )  # fmt: skip
        return Answered(reply, context, text)


def _strange(match: Match, intent: Intent) -> bool:
    """Whether a message lies outside of all intents, so that no match of theirs answers it but its very words."""
    return intent.outside_of(match.entry) > SURE_OUTSIDE and match.features[WORDS] < 1


def _the_same(told: Answered, language: str) -> Answered:
    """An answer that is given once more to a question that went on from it: it may not be what was asked for."""
    lead = say("same", language)
    reply = replace(told.reply, text=f"{lead}\n{told.reply.text}", buttons=(_person(language),))
    return replace(told, reply=reply, shown=f"{lead}\n{told.shown}")


def _person(language: str) -> Button:
    return Button(say("person", language), "/person")


def _read_as(asked: Asked) -> str:
    """As which question a message was read, where that is not its own words."""
    return asked.standing if asked.standing != asked.masked else ""


def _talked(kind: Kind) -> str:
    return f"talk:{kind}"

"""The values that travel through customer service: a question, its answer, and what that rests on. All frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from metier.types import NOTHING

Tier = Literal["talk", "template", "search", "written", "clarify", "unknown", "handover", "person"]
"""Which tier answered: light rules, a known answer, sentences of documents, a generator, a question back, nobody (the
message lies outside of what is known), a person who was called, or a person's own words."""
TIERS: tuple[Tier, ...] = ("talk", "template", "search", "written", "clarify", "unknown", "handover", "person")


@dataclass(frozen=True, slots=True)
class Citation:
    """What a sentence of an answer rests on.

    Args:
        id: of the entry or the passage.
        title: as people see it: the question of an entry; the title and heading of a document.
        quote: the words that it rests on.
        link: where the whole can be read; empty where nowhere.
        page: of a document that has pages, from 1; 0 where it has none.
    """

    id: str
    title: str
    quote: str
    link: str = ""
    page: int = 0


@dataclass(frozen=True, slots=True)
class Button:
    """An answer that a customer can tap instead of typing: what it shows, and the message that it sends."""

    label: str
    message: str


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer.

    Args:
        text: plain text; `[1]` refers to the first of `citations`.
        tier: which tier answered.
        citations: what it rests on.
        buttons: what may be tapped.
        entry: the id of the knowledge entry that answered, where one did.
        intent: of the message, where one was told.
        score: the calibrated probability that the answer is right; 1 where nothing was in doubt.
        outside: the probability that the message lies outside of what is known.
        waiting: the slot that is asked for, where the reply asks for one.
        language: `en` or `zh`.
        version: of what answered: the fingerprint of run and knowledge.
        seconds: that it took.
        question: as which the message was read, masked, where that is more than its own words: a follow-up, the value
            of a slot; else empty.
    """

    text: str
    tier: Tier
    citations: Sequence[Citation] = ()
    buttons: Sequence[Button] = ()
    entry: str = ""
    intent: str = ""
    score: float = 1.0
    outside: float = 0.0
    waiting: str = ""
    language: str = "en"
    version: str = ""
    seconds: float = 0.0
    question: str = ""

    def kept(self) -> dict[str, Any]:
        """As JSON values, without the text, which its message has."""
        return {
            "tier": self.tier,
            "citations": [
                {"id": one.id, "title": one.title, "quote": one.quote, "link": one.link, "page": one.page}
                for one in self.citations
            ],
            "buttons": [{"label": one.label, "message": one.message} for one in self.buttons],
            "entry": self.entry, "intent": self.intent, "score": self.score, "outside": self.outside,
            "waiting": self.waiting, "language": self.language, "version": self.version, "seconds": self.seconds,
            "question": self.question,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """A question that has an answer: one line of the knowledge.

    Args:
        id: stays the same while the entry is edited.
        question: as it is shown.
        answer: a template: `{order}` is a slot.
        others: the same question in other words.
        intent, category: where they are known.
        language: `en`, `zh`, or empty: found from the text.
    """

    id: str
    question: str
    answer: str
    others: Sequence[str] = ()
    intent: str = ""
    category: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """What a conversation remembers for the next message; texts in it are masked.

    Args:
        question: the last question that stood for itself.
        entry: the entry that answered it; empty where none did.
        waiting: the slot that was asked for, and `pending` the entry whose answer needs it.
        slots: what was filled, by the names of the slots; private values are not kept here.
        offered: the entries that a question back offered.
        unsure: messages in a row that were not answered.
        language: that the customer writes.
    """

    question: str = ""
    entry: str = ""
    waiting: str = ""
    pending: str = ""
    slots: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    offered: Sequence[str] = ()
    unsure: int = 0
    language: str = ""

    def kept(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "question": self.question, "entry": self.entry, "waiting": self.waiting, "pending": self.pending,
            "slots": dict(self.slots), "offered": list(self.offered), "unsure": self.unsure, "language": self.language,
        }  # fmt: skip

    @classmethod
    def of(cls, kept: Mapping[str, Any] | None) -> Context:
        """What `kept` gave; fields that it lacks have their defaults."""
        return cls(**{name: value for name, value in (kept or {}).items() if name in cls.__dataclass_fields__})


@dataclass(frozen=True, slots=True)
class Asked:
    """A message as the tiers see it.

    Args:
        text: as the customer wrote it; never stored, never sent on.
        masked: the same with private data masked.
        language: `en` or `zh`.
        context: what came before.
        standing: the question as it stands for itself: a follow-up joined with what it follows; masked.
    """

    text: str
    masked: str
    language: str
    context: Context = field(default_factory=Context)
    standing: str = ""

    def standing_for(self, question: str) -> Asked:
        """The same message, read as another question."""
        return replace(self, standing=question)

"""What waits for review once, however many people say it."""

from __future__ import annotations

from collections.abc import Sequence

from metier.apps.support.answer.known import Encode
from metier.search.words import terms
from metier.store.knowledge import VISITOR, Candidate

SAME = 0.9
"""The cosine from which two questions are one."""
COMPARED = 32
"""Questions that vectors are made of: those with most terms in common."""


def double(new: Candidate, waiting: Sequence[Candidate], encode: Encode) -> Candidate | None:
    """The candidate that says already what a new one says, or to which it adds an answer.

    Their questions are the same, or nearly; their answers have the same words in the same order, or one of both has
    none. Answers that are merely alike are two: "5 euros" is not "50 euros". No customer's answer goes to a thumb down
    of a person.

    Args:
        new: with or without an answer.
        waiting: what nobody has decided yet.
        encode: texts to unit vectors; what it cannot read is compared by its terms alone.
    """
    fits = [one for one in waiting if _fits(new, one)]
    own = set(terms(new.question))
    shared = [(len(own & set(terms(one.question))), at) for at, one in enumerate(fits)]
    near = [fits[at] for count, at in sorted(shared, key=lambda one: (-one[0], one[1])) if count][:COMPARED]
    if not near:
        return None
    vectors = encode([new.question, *(one.question for one in near)])
    cosines = (vectors[1:] @ vectors[0]).tolist()
    found = [
        one for one, cosine in zip(near, cosines, strict=True) if cosine >= SAME or _same(one.question, new.question)
    ]
    return next((one for one in found if one.answer), found[0] if found else None)


def _fits(new: Candidate, there: Candidate) -> bool:
    """Whether an answer is no obstacle to two candidates being one."""
    if new.answer and not there.answer:
        return new.who != VISITOR or there.who == VISITOR
    return not new.answer or _same(new.answer, there.answer)


def _same(first: str, second: str) -> bool:
    return terms(first) == terms(second)

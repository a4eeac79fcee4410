"""What a conversation that was resolved leaves for review."""

from __future__ import annotations

from metier.serve.support.learning import taught
from metier.store.conversations import Message


def said(*lines):
    """Messages of `(author, text, tier)`; bot and people answer what the customer said last."""
    found, last = [], None
    for number, (author, text, tier) in enumerate(lines, 1):
        answers = None if author == "visitor" else last
        last = number if author == "visitor" else last
        found.append(Message(f"m{number}", "c", author, text, 0.0, answers=answers, tier=tier, number=number))
    return found


OPEN = (("visitor", "Do you sell vouchers", None), ("bot", "I do not know.", "unknown"))
CALL = (("visitor", "/person", None), ("system", "You are number 1.", "handover"))


def test_the_open_question_and_the_longest_of_what_was_said_to_it():
    found = said(*OPEN, *CALL, ("agent", "Hello!", "person"), ("visitor", "Hi", None),
                 ("agent", "Yes, at every till.", "person"), ("visitor", "Thanks", None))  # fmt: skip
    question, answer = taught(found)
    assert (question.text, answer.text) == ("Do you sell vouchers", "Yes, at every till.")


def test_a_question_that_nobody_answered_leaves_the_one_before():
    found = said(
        *OPEN, ("agent", "Yes.", "person"), ("visitor", "And maps", None), ("bot", "I do not know.", "unknown")
    )
    question, answer = taught(found)
    assert (question.text, answer.text) == ("Do you sell vouchers", "Yes.")


def test_nothing_is_learned_where_the_bot_knew_or_nobody_spoke():
    known = (("visitor", "I lost my card", None), ("bot", "Lock it.", "template"))
    assert taught(said(*known, *CALL, ("agent", "Done.", "person"))) is None
    assert taught(said(*OPEN, *CALL)) is None

"""The names of labels as words: what methods that read them, instead of learning them, have to go by."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from metier.errors import RecipeError
from metier.types import Target

_SEAMS = (
    re.compile(r"(?<=[a-z\d])(?=[A-Z])"),  # cardArrival
    re.compile(r"(?<=[A-Z])(?=[A-Z][a-z])"),  # HTTPServer
)
_BETWEEN = re.compile(r"[_\-/.:|+\\\s]+")
_ROLES = re.compile(r"\(e[12],\s*e[12]\)")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
SHOWN = 4


def words(label: str) -> str:
    """A label as a reader would say it: `card_arrival` and `CardArrival` are "card arrival".

    Words of capitals alone stay as they are (`HTTPServer` is "HTTP server"), and so does whatever has no case
    (Chinese). A label of nothing but signs is itself.
    """
    text = _ROLES.sub("", label)
    for seam in _SEAMS:
        text = seam.sub(" ", text)
    parts = [part for part in _BETWEEN.split(text) if part]
    return " ".join(_plain(part) for part in parts) or label


def _plain(word: str) -> str:
    return word if word.isupper() and len(word) > 1 else word.lower()


def described(head: str, labels: Sequence[str], names: Mapping[str, str]) -> dict[str, str]:
    """What each label of a head means in words: its description in `names`, else its own words.

    Raises:
        RecipeError: labels that are numbers and have no description, for those say nothing.
    """
    mute = [label for label in labels if label not in names and _NUMBER.fullmatch(label)]
    if mute:
        shown = ", ".join(map(repr, mute[:SHOWN])) + (", ..." if len(mute) > SHOWN else "")
        raise RecipeError(
            f"The labels {shown} of {head!r} are numbers, which do not say what they mean.",
            expected=f'heads.{head}.names, such as {{"{mute[0]}" = "in words"}}',
        )
    return {label: names[label].strip() or words(label) if label in names else words(label) for label in labels}


def as_targets(head: str, kind: str, known: Sequence[Target], names: Mapping[str, str]) -> list[Target]:
    """The labels of `names` as targets of a kind of task, beside the `known` ones.

    Raises:
        RecipeError: there is neither a labelled text nor a name.
    """
    if not known and not names and kind != "embed":
        raise RecipeError(
            f"No training text has a label of {head!r}, and heads.{head}.names says none.",
            expected=f'heads.{head}.names, such as {{"refund" = "the customer wants money back"}}',
        )
    if kind == "multilabel":
        return [tuple(names)] if names else []
    return list(names) if kind in ("classify", "relate") else []

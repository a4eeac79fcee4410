"""What is found, what is looked for, and a text without it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

KINDS = ("card", "iban", "account", "id", "phone", "email", "ip")
"""Payment cards, international and other bank accounts, numbers of persons (identity cards, social security,
passports), telephone numbers, e-mail addresses, public internet addresses. The token of a kind is its name in
brackets."""
REGIONS = ("US", "GB", "DE", "FR", "NL", "ES", "IT", "CN")
TOKEN = re.compile(rf"\[(?:{'|'.join(KINDS)})(?: [0-9]{{1,6}})?\]")


@dataclass(frozen=True, slots=True)
class Rules:
    """What is looked for.

    Args:
        kinds: of `KINDS`; others stay in the text.
        regions: countries (ISO 3166, two letters) whose way of writing a telephone number without its country code is
            known again. Numbers with a country code are found whatever their country.
    """

    kinds: Sequence[str] = KINDS
    regions: Sequence[str] = REGIONS


@dataclass(frozen=True, slots=True)
class Found:
    """Something private: `text[start:end]`, its kind, and the value without blanks and dashes.

    The value is left out of the representation, so that no log shows it by mistake.
    """

    start: int
    end: int
    kind: str
    value_normalised: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Masked:
    """A text with tokens such as `[card]` and `[card 2]` in place of what was found.

    Args:
        text: the text with the tokens; it may be stored and sent on.
        found: what was found, in the order of the original text.
        tokens: the token of each; equal values have equal tokens.
        originals: what stood there. Kept in memory alone, and never shown by `repr`.
    """

    text: str
    found: tuple[Found, ...]
    tokens: tuple[str, ...]
    originals: tuple[str, ...] = field(repr=False)

    def fill(self, text: str) -> str:
        """Another text with tokens of this one, such as an answer, with the originals in their places."""
        slots: dict[str, str] = {}
        for token, original in zip(self.tokens, self.originals, strict=True):
            slots.setdefault(token, original)
        return TOKEN.sub(lambda match: slots.get(match[0], match[0]), text) if slots else text

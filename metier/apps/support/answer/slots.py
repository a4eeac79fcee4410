"""What an answer needs of a message: order numbers, dates, amounts, currencies. Found in it, or asked for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

from metier.apps.support.settings import KINDS, SlotPart
from metier.data.private.mask import find

SLOT = re.compile(r"\{([a-z][a-z0-9_]{0,31})\}")
LONGEST_CODE = 64
"""Characters of a piece of a text that a pattern of a slot is tried on."""
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_month = "|".join(f"{name[:3]}(?:{name[3:]})?" if name != "may" else "may" for name in _MONTHS)
_DATES = (
    (re.compile(r"\b(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})(?:日|\b)"), "ymd"),
    (re.compile(r"(?<!\d)(\d{1,2})月(\d{1,2})[日号]"), "md"),
    (re.compile(rf"\b(\d{{1,2}})(?:st|nd|rd|th)? (?:of )?({_month})\b(?:,? (\d{{4}}))?", re.IGNORECASE), "dmy"),
    (re.compile(rf"\b({_month}) (\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? (\d{{4}}))?", re.IGNORECASE), "mdy"),
)
_DAYS = {"today": 0, "yesterday": -1, "tomorrow": 1, "今天": 0, "昨天": -1, "前天": -2, "明天": 1}
_CURRENCIES = {
    "EUR": "eur euro euros € 欧元", "USD": "usd dollar dollars us$ $ bucks 美元 美金",
    "GBP": "gbp pound pounds £ quid 英镑",
    "CNY": "cny rmb yuan renminbi 元 块 块钱 人民币 ¥", "JPY": "jpy yen 日元", "CHF": "chf franc francs 瑞士法郎",
    "HKD": "hkd hk$ 港币 港元", "AUD": "aud a$ 澳元", "CAD": "cad c$ 加元", "SGD": "sgd s$ 新加坡元",
}  # fmt: skip
_signs = {sign: code for code, signs in _CURRENCIES.items() for sign in signs.split()}
_sign = "|".join(
    re.escape(one) if not one.isascii() or not one.isalpha() else rf"\b{one}\b" for one in sorted(_signs, key=len)[::-1]
)
_currency = re.compile(_sign, re.IGNORECASE)
_number = re.compile(r"(?<![\w.,])-?\d{1,3}(?:[,\u00a0 ]\d{3})+(?:\.\d+)?|(?<![\w.])-?\d+(?:[.,]\d+)?(?![\w]*\d)")
_amount = re.compile(rf"({_sign})\s?({_number.pattern})|({_number.pattern})\s?({_sign})", re.IGNORECASE)
_code = re.compile(r"[^\s,;，。；、!?！？()（）\"'“”\u3400-\u9fff]+")


def needed(template: str) -> list[str]:
    """The names of the slots of an answer, in order, each once."""
    return list(dict.fromkeys(SLOT.findall(template)))


def filled(template: str, values: Mapping[str, str]) -> str:
    """An answer with its slots filled; one without a value stays as it is."""
    return SLOT.sub(lambda match: values.get(match[1], match[0]), template)


def found(text: str, names: Sequence[str], slots: Mapping[str, SlotPart], today: date) -> dict[str, str]:
    """The values of these slots in a text.

    Args:
        text: as the customer wrote it; values may be private.
        names: of the slots that are looked for.
        slots: of the settings; one that they do not name is of the kind of its own name, if there is such a kind.
        today: of the customer, for words such as `yesterday`.
    """
    plain = unicodedata.normalize("NFKC", text)
    values = {name: next(_values(plain, part_of(name, slots), today), "") for name in names}
    return {name: value for name, value in values.items() if value}


def bare(text: str, slots: Mapping[str, SlotPart]) -> str:
    """A text without the codes in it: no question is known by the number of somebody's order."""
    rules = [re.compile(part.pattern) for name in slots if (part := part_of(name, slots)).kind == "code"]

    def kept(one: re.Match[str]) -> str:
        piece = _piece(one[0])
        return "" if piece and any(rule.fullmatch(piece) for rule in rules) else one[0]

    without = _code.sub(kept, text) if rules else text
    return without if without.strip() else text


def _piece(word: str) -> str:
    """A word as a pattern sees it; empty where it is too long for one."""
    return word.strip("#:：.") if len(word) <= LONGEST_CODE else ""


def told(text: str, name: str, slots: Mapping[str, SlotPart], today: date) -> str:
    """The value of a slot that was just asked for, where the whole message may be one; empty: it is none."""
    part = part_of(name, slots)
    if part.kind == "text":
        return text.strip()[:200]
    return next(_values(unicodedata.normalize("NFKC", text), part, today), "")


def part_of(name: str, slots: Mapping[str, SlotPart]) -> SlotPart:
    """How a slot is found."""
    if name in slots:
        return slots[name]
    if name in KINDS and name != "code":
        return SlotPart.model_validate({"kind": name})
    if name == "order":
        return SlotPart(kind="code", pattern=r"(?=[A-Za-z-]*\d)[A-Za-z]{0,4}-?\d[\dA-Za-z-]{4,19}")
    return SlotPart()


def _values(text: str, part: SlotPart, today: date) -> Iterator[str]:
    match part.kind:
        case "code":
            rule = re.compile(part.pattern)
            pieces = (_piece(one[0]) for one in _code.finditer(text))
            yield from (piece for piece in pieces if piece and rule.fullmatch(piece))
        case "date":
            yield from _dates(text, today)
        case "amount":
            for one in _amount.finditer(text):
                yield (one[2] or one[3]).strip()
            yield from (one[0] for one in _number.finditer(text))
        case "currency":
            yield from (_signs[one[0].lower()] for one in _currency.finditer(text))
        case "number":
            yield from (one[0] for one in _number.finditer(text))
        case "email" | "phone" | "card":
            yield from (text[one.start : one.end] for one in find(text) if one.kind == part.kind)


def _dates(text: str, today: date) -> Iterator[str]:
    for rule, order in _DATES:
        for match in rule.finditer(text):
            if found := _date(match, order, today):
                yield found.isoformat()
    lower = text.lower()
    for word, shift in _DAYS.items():
        if re.search(rf"\b{word}\b" if word.isascii() else word, lower):
            yield (today + timedelta(days=shift)).isoformat()


def _date(match: re.Match[str], order: str, today: date) -> date | None:
    """The day that a match names; where it says no year the nearest one, customers speaking rather of what was than
    of what comes. `None`: there is no such day."""
    parts = dict(zip(order, match.groups(), strict=True))
    month = parts["m"]
    number = int(month) if month.isdigit() else 1 + [name[:3] for name in _MONTHS].index(month[:3].lower())
    years = [int(parts["y"])] if parts.get("y") else [today.year, today.year - 1, today.year + 1]
    days = []
    for year in years:
        try:
            days.append(date(year, number, int(parts["d"])))
        except ValueError:
            continue
    return min(days, key=lambda day: max((today - day).days, 3 * (day - today).days), default=None)

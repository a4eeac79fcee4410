"""Numbers that carry a proof of what they are: payment cards, bank accounts, identity and social security numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Any

from metier.data.private.cues import Cues
from metier.data.private.runs import Run
from metier.errors import MissingExtra

ISSUERS = (
    (re.compile("4"), (16, 19)),  # Visa
    (re.compile("5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)"), (16,)),  # Mastercard
    (re.compile("3[47]"), (15,)),  # American Express
    (re.compile("6011|64[4-9]|65"), (16, 17, 18, 19)),  # Discover
    (re.compile("62|81"), (16, 17, 18, 19)),  # UnionPay
    (re.compile("35(?:2[89]|[3-8])"), (16, 17, 18, 19)),  # JCB
    (re.compile("3(?:0[0-5]|[689])"), (14,)),  # Diners Club
)
"""With which digits the numbers of an issuer begin (ISO/IEC 7812), and how many they have."""
CARD_SHAPES = {
    (16,), (15,), (14,), (17,), (18,), (19,), (4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (6, 13), (8, 8), (6, 10),
    (4, 4, 4, 4, 1), (4, 4, 4, 4, 2), (4, 4, 4, 4, 3),
}  # fmt: skip
SOCIAL_SHAPES = {(3, 2, 4), (9,)}
_lengths = """
AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20
EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30
KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23
PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26
UA29 VA22 VG24 XK20 YE30
"""
IBAN_LENGTHS = {code[:2]: int(code[2:]) for code in _lengths.split()}
"""Characters of an IBAN (ISO 13616), by country."""
PROVINCES = frozenset(
    [
        "11",
        "12",
        "13",
        "14",
        "15",
        "21",
        "22",
        "23",
        "31",
        "32",
        "33",
        "34",
        "35",
        "36",
        "37",
        "41",
        "42",
        "43",
        "44",
        "45",
        "46",
        "50",
        "51",
        "52",
        "53",
        "54",
        "61",
        "62",
        "63",
        "64",
        "65",
        "71",
        "81",
        "82",
        "83",
    ]
)
"""With which digits a Chinese resident identity number begins (GB/T 2260)."""
_iban = re.compile("(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?=[ -]?[A-Za-z0-9]{2})")
_part = re.compile("[ -]?([A-Za-z0-9]+)")
_nino = re.compile(
    "(?<![A-Za-z0-9-])(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]"
    "(?![A-Za-z0-9-])"
)
_passport = re.compile("(?<![A-Za-z0-9])(?:[A-Za-z]{1,2} ?[0-9]{6,8}|[0-9]{8,9}|[A-Z0-9]{9})(?![A-Za-z0-9])")
Span = tuple[int, int, str, str]
"""`(start, end, kind, value)`."""


def ibans(text: str) -> Iterator[Span]:
    """Bank accounts whose country, length and check digits (ISO 7064, MOD 97-10) are right."""
    iso7064 = _checks("stdnum.iso7064.mod_97_10")
    done = 0
    for match in _iban.finditer(text):
        length = IBAN_LENGTHS.get(match[0][:2].upper())
        if length is None or match.start() < done:
            continue
        value, end = match[0], match.end()
        while len(value) < length and (part := _part.match(text, end)):
            value, end = value + part[1], part.end()
        if len(value) == length and iso7064.is_valid(value[4:] + value[:4]):
            done = end
            yield match.start(), end, "iban", value.upper()


def insurance_numbers(text: str, cues: Cues) -> Iterator[Span]:
    """British National Insurance numbers, where no word says that it is a product code."""
    for match in _nino.finditer(text):
        if cues.before(match.start())[0] != "code":
            yield match.start(), match.end(), "id", match[0].replace(" ", "")


def passports(text: str, cues: Cues) -> Iterator[Span]:
    """Numbers of passports, only directly behind the word."""
    for end, kind in zip(cues.ends, cues.kinds, strict=True):
        match = _passport.search(text, end, end + 40) if kind == "passport" else None
        if match and any(one.isdigit() for one in match[0]) and cues.before(match.start()) == ("passport", True):
            yield match.start(), match.end(), "id", match[0].replace(" ", "").upper()


def checked(run: Run, cues: Cues) -> Iterator[tuple[int, int, Span]]:
    """`(first, last, span)`: groups of a run that are a card, an identity or a social security number."""
    sizes = run.sizes(0, len(run.groups))
    first, count = 0, len(run.groups)
    while first < count:
        found = None
        for last in range(min(count, first + 6), first, -1):
            shape = sizes[first:last]
            if shape in CARD_SHAPES or shape in SOCIAL_SHAPES or (len(shape) < 4 and sum(shape) in (15, 17, 18)):
                found = _card(run, first, last, cues) or _resident(run, first, last, cues)
                found = found or _social_security(run, first, last, cues)
            if found:
                yield first, last, found
                break
        first = last if found else first + 1


def _card(run: Run, first: int, last: int, cues: Cues) -> Span | None:
    shape = run.sizes(first, last)
    if shape not in CARD_SHAPES or len(signs := run.signs(first, last)) > 1 or not signs <= {" ", "-", "."}:
        return None
    digits, start, end = run.digits(first, last), run.groups[first][0], run.groups[last - 1][1]
    issued = any(len(digits) in lengths and prefix.match(digits) for prefix, lengths in ISSUERS)
    label, glued = cues.before(start)
    label = label or cues.after(end)
    named = label == "card" and glued and len(digits) != 14  # with a digit mistyped it is still somebody's card
    plain = last - first == 1
    if named and not run.coded or (issued and luhn(digits) and not (plain and (label == "code" or run.coded))):
        return start, end, "card", digits
    return None


def _resident(run: Run, first: int, last: int, cues: Cues) -> Span | None:
    """A Chinese resident identity number: GB 11643-1999, with its check character, or one of 15 digits before 1999."""
    start, end = run.groups[first][0], run.groups[last - 1][1]
    digits = run.digits(first, last)
    if len(digits) not in (15, 17, 18) or last - first > 3 or not run.signs(first, last) <= {" ", "-"}:
        return None
    if len(digits) == 17:
        crossed = re.compile("[ -]?[xX](?![A-Za-z0-9])").match(run.text, end)
        if not crossed:
            return None
        digits, end = digits + "X", crossed.end()
    label, glued = cues.before(start)
    if digits[:2] in PROVINCES and _born(digits):
        if len(digits) == 15:
            right = label == "id" or (last - first == 1 and label != "code" and not run.coded and not run.priced)
        else:
            right = digits[-1] == _checks("stdnum.cn.ric").calc_check_digit(digits)
        if right:
            return start, end, "id", digits
    return (start, end, "id", digits) if label == "id" and glued and not run.coded else None


def _born(digits: str) -> bool:
    """Whether the date of birth in an identity number is one."""
    birth = digits[6:14] if len(digits) == 18 else f"19{digits[6:12]}"
    try:
        return 1880 <= date(int(birth[:4]), int(birth[4:6]), int(birth[6:])).year <= 2100
    except ValueError:
        return False


def _social_security(run: Run, first: int, last: int, cues: Cues) -> Span | None:
    """A number of the American Social Security Administration or, for who has none, of the tax office."""
    if run.sizes(first, last) not in SOCIAL_SHAPES or run.coded:
        return None
    digits, start, end = run.digits(first, last), run.groups[first][0], run.groups[last - 1][1]
    label = cues.before(start)[0] or cues.after(end)
    written = run.signs(first, last) in ({"-"}, {" "}) and label != "code"
    if label != "id" and not written:
        return None
    dashed = f"{digits[:3]}-{digits[3:5]}-{digits[5:]}"
    right = label == "id" or _checks("stdnum.us.ssn").is_valid(dashed) or _checks("stdnum.us.itin").is_valid(dashed)
    return (start, end, "id", digits) if right else None


def luhn(digits: str) -> bool:
    """Whether the last digit is right (Luhn 1960), and not all are the same."""
    total = sum(map(int, digits[-1::-2])) + sum(sum(divmod(2 * int(one), 10)) for one in digits[-2::-2])
    return total % 10 == 0 and len(set(digits)) > 1


def _checks(module: str) -> Any:
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError:
        raise MissingExtra("python-stdnum", "apps") from None

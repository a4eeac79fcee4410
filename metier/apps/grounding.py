"""Whether a sentence that a generator wrote says what its source says, as far as words can tell.

Numbers and names of a sentence must be those of the source, most of its words too, what it denies must be denied there,
and what is denied there must not be asserted. The check is one of words: a sentence that keeps them all and turns them
round passes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from metier.apps.stopwords import STOP, STOP_HAN
from metier.data.sentences import sentences
from metier.errors import MissingExtra
from metier.search.names import names as chinese_names

HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
CITED = re.compile(r"\[([^\[\]]{1,200})\]")
_brackets = str.maketrans("【】［］〔〕", "[][][]")
OVERLAP = 0.6
"""The share of the words of a sentence that its source must have, where nobody measured another one."""
STEM = 4
"""Letters at the end in which two forms of a word may differ, and letters at its beginning that both must have."""
DENIED, DENIED_HAN = 3, 4
"""Words behind a negation, up to the end of the clause, that it is taken to deny; of Chinese, characters."""
UNKNOWN = 3
"""Chinese characters in a row that the source does not have so from which on they count as a name: many are in no
dictionary, and another word for the same thing has mostly two."""
_after_stop = re.compile(r"([.!?。！？]+)((?:[ \t]*\[[^\[\]]{1,200}\])+)")
_item = re.compile(r"^[-*•#>\s]*(?:\d{1,2}[.)、]\s+)?")
_before_mark = re.compile(r"\s+([.,;:!?。，；：！？])")
_unfit = re.compile(
    r"[a-z][a-z0-9+.-]*://|\b(?:https?|javascript|data|mailto|vbscript):|www\.|[<>{}`|\\\[\]*@~^]|__|##"
    r"|[a-z0-9][a-z0-9-]+\.[a-z]{2,24}(?![a-z])",
    re.IGNORECASE,
)
_number = re.compile(r"\d+(?:[.,]\d+)*")
_unit = re.compile(
    r"(\d+(?:[.,]\d+)*)[\s-]*(%|percent|per cent|mcg|mg|kg|g|ml|l|km|cm|mm|m|days?|weeks?|months?|years?|hours?|"
    r"minutes?|seconds?|天|日|周|个月|月|年|小时|分钟|秒|元|万|亿|公里|公斤|米|克|毫克|毫升)(?![a-z])",
    re.IGNORECASE,
)
_name = re.compile(r"[^\W\d_][^\W_]*")
_titled = re.compile(r"《([^《》]{1,60})》")
_clause = re.compile(r"[,;:.!?，；：。！？、()（）\n]|\b(?:if|when|because|although|unless|while|but|whether)\b")
_negation = re.compile(
    r"\b(?:no|not|never|none|neither|nor|without|cannot|nobody|nothing|hardly|rarely|seldom)\b|n['’]t\b"
)
_not_only = re.compile(r"\bnot only\b|\bno\.\s*(?=\d)")
_negation_han = re.compile(r"[不没未无勿]|[并绝而]非|禁止")
_no_negation_han = re.compile(r"不[过仅但断同少久管论只止]|无[论数线锡]|未来|沉没|没落|淹没|没收|埋没|是不是|差不多")
_han_digits = {sign: value for value, sign in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_han_tens = {"十": 10, "百": 100, "千": 1000, "万": 10_000, "亿": 100_000_000}
_han_number = re.compile(f"[{''.join(_han_digits)}{''.join(_han_tens)}]+")
_english = """
two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen
"""
_words_for = {word: value for value, word in enumerate(_english.split(), 2)} | {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
    "hundred": 100, "thousand": 1000, "million": 1_000_000, "billion": 10**9,
}  # fmt: skip
_opposites = """
increase/decrease increases/decreases increased/decreased higher/lower high/low more/less before/after above/below
always/never all/some safe/unsafe legal/illegal possible/impossible likely/unlikely included/excluded open/closed
minimum/maximum best/worst early/late first/last inside/outside buy/sell win/lose accept/reject allowed/forbidden
增加/减少 上升/下降 提高/降低 高于/低于 大于/小于 以上/以下 之前/之后 以前/以后 最大/最小 最高/最低
最早/最晚 允许/禁止 可以/不可
"""
_turned = [tuple(pair.split("/")) for pair in _opposites.split()]


@dataclass(frozen=True, slots=True)
class Weighed:
    """A sentence against its source.

    Args:
        share: of its words that carry content, those that the source has; 0 where it has no such words.
        wrong: the first thing that it says and the source does not: `number`, `name`, `negation`, `opposite`; empty:
            none of them.
        pieces: places of the pieces that it was compared with, the nearest first.
    """

    share: float
    wrong: str
    pieces: tuple[int, ...]


def weighed(sentence: str, pieces: Sequence[str], about: str = "", most: int = 2) -> Weighed:
    """Compares a sentence with those pieces of a source that have most of its words.

    Args:
        sentence: without citations.
        pieces: of the source: sentences, or whole short texts.
        about: names that the source is known to speak of, such as its title.
        most: pieces that the sentence may draw on.
    """
    said = set(content(sentence))
    # Numbers count for the choice of pieces: a list has many lines that differ in nothing else.
    chosen, left = _nearest(said | numbers(sentence), [set(content(one)) | numbers(one) for one in pieces], most)
    share = 1 - len(said & left) / len(said) if said else 0.0
    source = "\n".join(pieces[at] for at in chosen)
    whole = "\n".join([about, *pieces])
    wrong = (
        "number" if not _numbers_there(sentence, source)
        else "name" if not _names_there(sentence, whole)
        else "negation" if not _denied_alike(sentence, source)
        else "opposite" if _turned_round(sentence, source)
        else ""
    )  # fmt: skip
    return Weighed(share, wrong, tuple(chosen))


def supported(sentence: str, pieces: Sequence[str], overlap: float = OVERLAP) -> bool:
    """Whether pieces of a source, all of them together, bear a sentence out by its words."""
    found = weighed(sentence, pieces, most=len(pieces))
    return not found.wrong and found.share >= overlap


def cited_sentences(answer: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each sentence of an answer without its citations, and what it cites; a line ends a sentence, too."""
    # Citations that follow a full stop belong to the sentence before it.
    drawn = _after_stop.sub(r"\2\1 ", answer.translate(_brackets))
    for piece in (one for line in drawn.splitlines() for one in sentences(line)):
        cited = [name.strip() for group in CITED.findall(piece) for name in re.split(r"[,，;；、]", group)]
        plain = _item.sub("", " ".join(CITED.sub(" ", piece).replace("**", "").split()))
        plain = _before_mark.sub(r"\1", plain).strip()
        if any(map(str.isalnum, plain)):
            yield plain, tuple(dict.fromkeys(cited))


def fit(sentence: str) -> bool:
    """Whether a sentence is plain text: no link, address, markup, code, or character that steers what is shown."""
    steers = any(unicodedata.category(sign) in ("Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp") for sign in sentence)
    return not steers and not _unfit.search(sentence)


def content(text: str) -> Iterator[str]:
    """Words that carry content, in small letters; Chinese in pairs of characters."""
    for word in _name.findall(HAN.sub(" ", text.lower())):
        if word not in STOP and len(word) > 1:
            yield word
    for run in HAN.findall(text):
        yield from (run[at : at + 2] for at in range(len(run) - 1) if not STOP_HAN & set(run[at : at + 2]))


def alike(one: str, other: str) -> bool:
    """Whether two words are forms of one, by their beginning: `resigned` and `resigns`, `halt` and `halted`."""
    if one == other:
        return True
    needed = max(STEM, max(len(one), len(other)) - STEM)
    return min(len(one), len(other)) >= needed and one[:needed] == other[:needed]


def numbers(text: str) -> set[str]:
    """The numbers of a text as they are compared: 1,200 is 1200, 5.0 is 5, twelve and 十二 are 12.

    One that is written as a word says little (`one of them`, 一个) and is no number here.
    """
    found = {_plain_number(one) for one in _number.findall(text)}
    found |= {str(_words_for[word]) for word in re.findall(r"[a-z]+", text.lower()) if word in _words_for}
    return found | {str(value) for run in _han_number.findall(text) for value in _of_han(run)}


def _nearest(said: set[str], pieces: Sequence[set[str]], most: int) -> tuple[list[int], set[str]]:
    """The pieces that have most of the words, each next one most of what is left, and what no piece has."""
    left, chosen = set(said), list[int]()
    had = [{word for word in said if _has(piece, word)} for piece in pieces]
    while len(chosen) < min(most, len(pieces)):
        best = max((at for at in range(len(pieces)) if at not in chosen), key=lambda at: (len(had[at] & left), -at))
        if chosen and not had[best] & left:
            break
        chosen.append(best)
        left -= had[best]
    return chosen, left


def _has(words: set[str], word: str) -> bool:
    return word in words or (word.isascii() and any(alike(word, other) for other in words))


def _numbers_there(sentence: str, source: str) -> bool:
    if not numbers(sentence) <= numbers(source):
        return False
    there = _measures(source)
    counted = {value for value, _ in there}
    return all(value not in counted for value, _ in _measures(sentence) - there)


def _measures(text: str) -> set[tuple[str, str]]:
    """Numbers in digits with what they count, where that stands right behind them."""
    found = ((_plain_number(value), unit.lower()) for value, unit in _unit.findall(text))
    same = {"percent": "%", "per cent": "%"}
    return {(value, same.get(unit, unit if len(unit) <= 3 else unit.rstrip("s"))) for value, unit in found}


def _plain_number(text: str) -> str:
    plain = re.sub(r",(?=\d{3}(?:\D|$))", "", text)
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _of_han(run: str) -> Iterator[int]:
    """A number of Chinese characters: 二〇〇八 digit by digit, 三百二十 by its places; a lone one is none."""
    if run in ("一", "十", "百", "千", "万", "亿") or not set(run) & {*_han_digits, "十"}:
        return
    if not set(run) & set(_han_tens):
        yield int("".join(str(_han_digits[sign]) for sign in run))
        return
    total = part = digit = 0
    for sign in run:
        if sign in _han_digits:
            digit = _han_digits[sign]
        elif _han_tens[sign] >= 10_000:
            total, part, digit = (total + part + digit) * _han_tens[sign], 0, 0
        else:
            part, digit = part + (digit or 1) * _han_tens[sign], 0
    yield total + part + digit


def _names_there(sentence: str, source: str) -> bool:
    """Whether the source has all names: words written large, or in Latin letters inside of Chinese; titles; names of
    jieba's dictionary where jieba is there."""
    there = {word.lower() for word in _name.findall(HAN.sub(" ", source))}
    if any(not _same_name(name.lower(), there) for name in _large(sentence)):
        return False
    if any(title not in source for title in _titled.findall(sentence)):
        return False
    try:
        new = [run for run in HAN.findall(sentence) if run not in source]
        if any(_stretch(run, source) >= UNKNOWN for run in new):
            return False
        return all(name in source for run in new for name in chinese_names(run))
    except MissingExtra:
        return True


def _stretch(run: str, source: str) -> int:
    """The most characters in a row of which none stands in the source beside the same neighbour."""
    there = [run[at : at + 2] in source or not STOP_HAN.isdisjoint(run[at : at + 2]) for at in range(len(run) - 1)]
    known = [any(there[max(at - 1, 0) : at + 1]) or bool(_han_number.match(run[at])) for at in range(len(run))]
    return max((len(list(own)) for seen, own in groupby(known) if not seen), default=0)


def _large(sentence: str) -> Iterator[str]:
    found = list(_name.finditer(HAN.sub(" ", sentence)))
    chinese = bool(HAN.search(sentence))
    for at, one in enumerate(found):
        word, following = one[0], found[at + 1][0] if at + 1 < len(found) else ""
        # The first word of a sentence is written large whatever it is.
        first = at == 0 and not (following[:1].isupper() or (word.isupper() and len(word) > 1))
        large = chinese or (word[0].isupper() and len(word) > 1 and not first)
        if large and (at > 0 or word.lower() not in STOP):
            yield word


def _same_name(name: str, there: set[str]) -> bool:
    return name in there or name.removesuffix("s") in there or f"{name}s" in there


def _denied_alike(sentence: str, source: str) -> bool:
    """Whether what is denied on one side is not asserted on the other.

    Words behind a negation are marked up to the end of their clause, in the way of Das & Chen (2001); a word that both
    have must be marked on both sides, or stand both ways in the source. Words before it in its clause may be either.
    """
    plain, denied, many = _marked(sentence)
    plain_there, denied_there, many_there = _marked(source)
    both = plain_there & denied_there
    return not (
        (denied & (plain_there - denied_there)) or ((plain - denied) & (denied_there - both))
        or (many and not many_there)
    )  # fmt: skip


def _marked(text: str) -> tuple[set[str], set[str], int]:
    """Words that are asserted, words that are denied, and how many negations there are."""
    plain, denied, many = set[str](), set[str](), 0
    for clause in _clause.split(_no_negation_han.sub("，", _not_only.sub("", text.lower()))):
        places = [one.end() for one in (*_negation.finditer(clause), *_negation_han.finditer(clause))]
        many += len(places)
        behind = set[str]()
        for place in places:
            rest = clause[place:]
            behind |= set(list(content(HAN.sub(" ", rest)))[:DENIED])
            behind |= set(content(rest[:DENIED_HAN])) if HAN.match(rest) else set()
        denied |= behind
        plain |= set() if places else set(content(clause))
    return plain, denied, many


def _turned_round(sentence: str, source: str) -> bool:
    """Whether a sentence has a word whose opposite the source has in its place, of a small table of such pairs."""
    said, there = _with_stops(sentence), _with_stops(source)
    for pair in _turned:
        for one, other in (pair, pair[::-1]):
            mine = one in said if one.isascii() else one in sentence
            its = one in there if one.isascii() else one in source
            turned = other in there if other.isascii() else other in source
            if mine and not its and turned:
                return True
    return False


def _with_stops(text: str) -> set[str]:
    return set(_name.findall(text.lower()))

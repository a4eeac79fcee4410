"""What a text is compared by: its wording, free of what a wire or a web site hangs on it, and how alike two wordings are.

Made for headlines in English and Chinese, where one number or one name makes another story.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from rapidfuzz.distance import OSA

from metier.data.dedup import HAN

LONGEST = 2_000
"""Texts are compared by so many characters from the beginning."""
ALPHA, BETA = 0.85, 1.3
"""How much what only one text has counts against what both have; see `alike`. Chosen in `benchmarks/monitor_stories.py`."""
SUBSTITUTED = 0.7
"""What is left of the similarity of texts of which one has other words in the place of some."""
ALLOWED = 0.025
"""The share of words that an edited article may have other ones for."""
CONTRADICTED = 0.12
"""The share of the numbers (or of the directions) of a text that another one may have differently."""
LEAD = 4
"""So many words that say something are the beginning that a text is known by, whatever comes after it."""
COMMON = 0.25
"""The weight of a word such as `the`."""

_HAN = "".join(f"{chr(low)}-{chr(high)}" for low, high in HAN)
_PARTS = re.compile(rf"[{_HAN}]+|[^\W\d_{_HAN}]*\d(?:[.,:]?\d)*|[^\W\d_{_HAN}]+(?:'[^\W\d_{_HAN}]+)?|%")
_HAN_GAP = re.compile(f"(?<=[{_HAN}]) (?=[{_HAN}])")
_IS_HAN = re.compile(f"[{_HAN}]")
_INITIALS = re.compile(r"\b(?:[a-z]\.){2,}(?![a-z])")
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "`": "'"})

_WIRE = re.compile(
    r"""^[\s*>]*(?:
    (?:update|wrapup|refile|rpt|repeat|corrected|correction|brief|exclusive|breaking(?:\ news)?|analysis|factbox
       |insight|alert|flash|just\ in|watch|live|urgent|text|timeline|advisory|recast|new)
    (?:\s*\d+)?\s*(?:[-\u2010-\u2015:|\uff1a]+\s*|(?<=\d)\s+)
    |\((?:adds?|updates?|recasts?|corrects?|refiles?|repeats?|writes?through)\b[^)]{0,120}\)\s*
    |[a-z][a-z\ .,/]{1,40}\((?:reuters|ap|afp|bloomberg|dow\ jones|xinhua)\)\s*[-\u2010-\u2015:]+\s*
    |[\[\u3010(]?(?:快讯|突发|最新|更新|独家|重磅|图文|组图|滚动|速递|简讯|快报|要闻)(?:消息)?[\])\u3011:|\uff1a]+\s*
    |(?:[^\s\d,.\u3002\uff0c]{2,8})?\d{1,2}月\d{1,2}日(?:电|讯|消息)[,:|\uff0c\uff1a\s]*
    )+""",
    re.IGNORECASE | re.VERBOSE,
)
_SOURCES = (
    r"(?:thomson )?reuters|bloomberg(?: news)?|cnbc|ap(?: news)?|associated press|afp|dow jones(?: newswires)?|wsj"
    r"|(?:the )?wall street journal|ft(?:\.com)?|financial times|(?:the )?guardian|bbc(?: news)?|cnn(?: business)?"
    r"|market ?watch|yahoo(?: finance)?|forbes|barron's|business insider|(?:the )?new york times|nyt|fox business|xinhua"
    r"|(?:the )?economic times|moneycontrol|livemint|business standard|seeking alpha|nikkei|sky news|(?:the )?telegraph"
    r"|(?:the )?times|(?:the )?independent|usa today|zerohedge|benzinga|pr newswire|business wire|globe ?newswire"
    r"|新浪财经|新浪网?|东方财富(?:网)?|财联社|新华社|新华网|人民网|路透社?|彭博社?|澎湃(?:新闻)?|第一财经|证券时报(?:网)?"
    r"|中国证券报|上海证券报|证券日报|每日经济新闻|华尔街见闻|界面新闻?|财新网?|和讯网?|腾讯(?:网|财经|新闻)|网易财经|搜狐(?:网|财经)?"
    r"|凤凰(?:网|财经)|央视(?:新闻|网)|同花顺|格隆汇|智通财经|金融界|21世纪经济报道|经济观察报|北京商报|中新网|中国新闻网"
    r"|[\w-]+\.(?:com|net|org|cn|co\.uk|com\.cn)"
)
_SOURCE = re.compile(
    rf"\s*(?:[-\u2010-\u2015|_\u2014]+\s*(?:{_SOURCES})|[(\[](?:来源[:\uff1a]?\s*)?(?:{_SOURCES})[)\]]"
    rf"|(?:,\s*)?(?:via|source:|来源[:\uff1a])\s*(?:{_SOURCES}))[\s.]*$",
    re.IGNORECASE,
)
_CUT = re.compile(rf"(?<=.)(?:[^\W_{_HAN}]|(?<=\d)[.,](?=\d))*\s*(?:\.{{3}}|\u2026)\s*$")

_COMMON = frozenset(
    [
        "a",
        "an",
        "the",
        "and",
        "or",
        "but",
        "of",
        "to",
        "in",
        "on",
        "at",
        "by",
        "for",
        "from",
        "with",
        "as",
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "has",
        "have",
        "had",
        "will",
        "would",
        "it",
        "its",
        "this",
        "that",
        "than",
        "then",
        "so",
        "if",
        "into",
        "over",
        "after",
        "before",
        "about",
        "says",
        "said",
        "say",
        "amid",
        "who",
        "what",
        "how",
        "why",
        "when",
        "their",
        "his",
        "her",
        "they",
        "he",
        "she",
        "we",
        "our",
        "you",
        "your",
        "i",
        "not",
    ]
)
_UP, _DOWN = "+up", "+down"
_POLES = {
    _UP: "up rise rose risen rising gain climb climbed climbing jump surge soar rally rallied higher increase advance"
    " advanced grow grew grown growing upgrade beat raise hike top",
    _DOWN: "down fall fell fallen falling drop dropped dropping slump slide slid tumble plunge sink sank lower decrease"
    " decline declined shrink shrank downgrade miss cut slash lag",
    "+buy": "buy bought buying purchase acquire",
    "+sell": "sell sold selling divest",
    "+profit": "profit profitable",
    "+loss": "loss losse",
    "+bull": "bull bullish",
    "+bear": "bear bearish",
    "+win": "win won winning",
    "+lose": "lose lost losing",
    "+strong": "strong stronger strength",
    "+weak": "weak weaker weakness",
    "+first": "open opened opening",
    "+last": "close closed closing",
}
_POLE = {word: pole for pole, words in _POLES.items() for word in words.split()}
_HAN_POLES = {
    "涨": _UP, "升": _UP, "增": _UP, "扬": _UP, "跌": _DOWN, "降": _DOWN, "减": _DOWN, "挫": _DOWN,
    "买": "+buy", "购": "+buy", "卖": "+sell", "售": "+sell", "盈": "+profit", "亏": "+loss", "多": "+bull", "空": "+bear",
    "强": "+strong", "弱": "+weak", "胜": "+win", "赢": "+win", "输": "+lose", "败": "+lose",
    "入": "+in", "出": "+out", "开": "+first", "收": "+last",
}  # fmt: skip
_NUMBERS = {
    word: number
    for number, words in {
        "0": "zero", "2": "two second", "3": "three third", "4": "four fourth", "5": "five fifth", "6": "six sixth",
        "7": "seven seventh", "8": "eight eighth", "9": "nine ninth", "10": "ten tenth", "1st": "first",
        "m1": "january jan", "m2": "february feb", "m3": "march", "m4": "april apr", "m6": "june", "m7": "july",
        "m8": "august aug", "m9": "september sept sep", "m10": "october oct", "m11": "november nov",
        "m12": "december dec", "d1": "monday", "d2": "tuesday", "d3": "wednesday", "d4": "thursday", "d5": "friday",
        "d6": "saturday", "d7": "sunday",
    }.items()
    for word in words.split()
}  # fmt: skip
_UNITS = {
    "m": "million", "mn": "million", "mln": "million", "bn": "billion", "bln": "billion", "b": "billion",
    "tn": "trillion", "trn": "trillion", "k": "thousand", "pct": "%", "percent": "%", "pc": "%",
}  # fmt: skip
_HAN_NUMBER = re.compile(
    r"[一二三四五六七八九十百千两]+(?=[季月年日号成倍个家人周届期次])|[周星期礼拜]+[一二三四五六日天]|[上下]半年|[今去前明]年|[昨今明]日"
)

FREQUENT, NUMBER, POLE = KINDS = "~#+"
"""The first sign of a token that is a word such as `the`, a number or period, or one of two opposites."""
_FACTOR, _WORD = 0x9E3779B97F4A7C15, (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Wording:
    """A text as it is compared.

    Args:
        key: 16 bytes, equal for texts that differ in case, width, punctuation, blanks, wire marks and source only.
        tokens: the words and pairs of Chinese characters in order. The first sign of a token tells what it is (`KINDS`);
            what comes again is told apart by a number behind it, so that sets of them are multisets.
        shingles: what MinHash sees: words that say something and pairs of neighbours, 64 bits each.
        lead: of the first words; 0 where the text is too short to be known by them.
        length: in words that say something, two Chinese characters being one.
    """

    key: bytes
    tokens: tuple[str, ...]
    shingles: tuple[int, ...]
    lead: int
    length: float


def bare(text: str) -> str:
    """A text without the marks of a wire before it and the name of a source behind it, its width normalised."""
    plain = unicodedata.normalize("NFKC", text[: 2 * LONGEST]).translate(_APOSTROPHES)[:LONGEST].strip()
    rest = _WIRE.sub("", plain, count=1)
    rest = _SOURCE.sub("", rest, count=1)
    rest = _CUT.sub("", rest, count=1)
    return rest if _PARTS.search(rest) else plain


def wording(text: str) -> Wording:
    """What a text is compared by. One without any word or number (`???`) is known by its characters alone."""
    plain = bare(text)
    parts = _PARTS.findall(_INITIALS.sub(_together, plain.lower().replace("per cent", "%")))
    ordered, marks = _read(parts)
    length = sum(0.5 if han else 1.0 for token, han in ordered if token[0] != FREQUENT)
    hashes = [_hashed(token) for token, _ in ordered]
    pairs = [(one * _FACTOR + other) & _WORD for one, other in zip(hashes, hashes[1:], strict=False)]
    says = [number for number, (token, _) in zip(hashes, ordered, strict=True) if token[0] not in (FREQUENT, POLE)]
    return Wording(
        key=_digest(_HAN_GAP.sub("", " ".join(parts)) if parts else plain),
        tokens=_numbered([token for token, _ in ordered] + marks),
        shingles=tuple(says + pairs),
        lead=_lead(ordered) if length >= LEAD else 0,
        length=length,
    )


def _read(parts: list[str]) -> tuple[list[tuple[str, bool]], list[str]]:
    """The tokens in order, each with whether it is a pair of Chinese characters, and numbers and poles written in them."""
    ordered: list[tuple[str, bool]] = []
    marks: list[str] = []
    before = ""
    for part in parts:
        if _IS_HAN.match(part):
            run = before + part
            ordered += [(run[at : at + 2], True) for at in range(max(1, len(run) - 1))]
            marks += [_HAN_POLES[sign] for sign in part if sign in _HAN_POLES]
            marks += [NUMBER + found for found in _HAN_NUMBER.findall(part)]
            before = part[-1]
        else:
            after_number = bool(ordered) and ordered[-1][0][0] == NUMBER
            ordered.append((_word(part, after_number), False))
            before = ""
    return ordered, marks


def _numbered(tokens: list[str]) -> tuple[str, ...]:
    """Tokens with a number behind each that was there before."""
    if len(set(tokens)) == len(tokens):
        return tuple(tokens)
    times: dict[str, int] = {}
    for at, token in enumerate(tokens):
        seen = times[token] = times.get(token, 0) + 1
        if seen > 1:
            tokens[at] = f"{token}\t{seen}"
    return tuple(tokens)


def _lead(ordered: list[tuple[str, bool]]) -> int:
    """A hash of the first `LEAD` words that say something."""
    found, left = 1, float(LEAD)
    for token, han in ordered:
        if token[0] != FREQUENT:
            found = (found * _FACTOR + _hashed(token)) & _WORD
            left -= 0.5 if han else 1.0
            if left <= 0:
                break
    return found


@lru_cache(maxsize=1 << 16)
def _word(part: str, after_number: bool) -> str:
    """The token of a word: in the singular, of one of the poles (rises and gains are one), or a number."""
    if any(sign.isdigit() for sign in part):
        plain = part.replace(",", "").replace(":", "")
        return NUMBER + (plain.rstrip("0").rstrip(".") if "." in plain else plain)
    unit = _UNITS.get(part)
    if unit is not None and (after_number or len(part) > 2):
        return FREQUENT + unit
    stem = _singular(part.removesuffix("'s"))
    if stem in _COMMON or part in _COMMON or part == "%":
        return FREQUENT + stem
    if part in _NUMBERS:
        return NUMBER + _NUMBERS[part]
    return _POLE.get(part) or _POLE.get(stem) or stem


def _singular(word: str) -> str:
    """Without the `s` of the plural and of the third person (the S stemmer, Harman 1991)."""
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us")):
        return word
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y"
    return word[:-1]


@lru_cache(maxsize=1 << 17)
def _hashed(token: str) -> int:
    return int.from_bytes(blake2b(token.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _together(found: re.Match[str]) -> str:
    return found.group().replace(".", "")


def alike(one: Sequence[str], other: Sequence[str], least: float = 0.0) -> float:
    """How alike two texts are by their tokens, 0 to 1; 0 where it is under `least`, and where they contradict each other.

    The symmetric index of Tversky (1977) by Jimenez, Becerra and Gelbukh (2013), over the weights of the tokens:
    `c / (c + beta * (alpha * a + (1 - alpha) * b))`, where `c` is what both have, `a` the smaller and `b` the larger of
    what only one has. With a large `alpha` a clause more or less (`a = 0`) costs little, words in place of others much.
    It is multiplied by `SUBSTITUTED` where one text has another word, or name, in the place of a word of the other.
    """
    first, second = set(one), set(other)
    both = first & second
    mine, theirs = first - both, second - both
    common = _weight(both)
    if not common or _tversky(common, mine, theirs) < least / 2:
        return 0.0
    if mine and theirs:
        common += _pair_misspelt(mine, theirs)
    found = _tversky(common, mine, theirs)
    if found < least or not mine or not theirs:
        return found if found >= least else 0.0
    if _contradict(first, second, mine, theirs):
        return 0.0
    if _substituted(_inner(one, both, mine), _inner(other, both, theirs)) > ALLOWED * min(_words(one), _words(other)):
        found *= SUBSTITUTED
    return found if found >= least else 0.0


def _tversky(common: float, mine: set[str], theirs: set[str]) -> float:
    a, b = sorted((_weight(mine), _weight(theirs)))
    return common / (common + BETA * (ALPHA * a + (1 - ALPHA) * b))


def _words(tokens: Sequence[str]) -> float:
    return sum(0.5 if _IS_HAN.match(token) else 1.0 for token in tokens)


def _pair_misspelt(mine: set[str], theirs: set[str]) -> int:
    """Takes out of both the words that are one word spelt in two ways; how many there were."""
    words = sorted(word for word in mine if len(word) > 3 and word[0] not in KINDS)
    others = sorted(word for word in theirs if len(word) > 3 and word[0] not in KINDS)
    found = 0
    for word in words:
        near = next((other for other in others if _misspelt(word, other)), None)
        if near is not None:
            others.remove(near)
            mine.remove(word)
            theirs.remove(near)
            found += 1
    return found


def _weight(tokens: set[str]) -> float:
    return len(tokens) - (1 - COMMON) * sum(token[0] == FREQUENT for token in tokens)


def _contradict(one: set[str], other: set[str], mine: set[str], theirs: set[str]) -> bool:
    """Whether both have numbers, or poles, that the other has not, and these are a good part of all they have."""
    for kind in (NUMBER, POLE):
        differ = min(sum(token[0] == kind for token in mine), sum(token[0] == kind for token in theirs))
        if differ:
            least = min(sum(token[0] == kind for token in one), sum(token[0] == kind for token in other))
            if differ > CONTRADICTED * least:
                return True
    return False


def _inner(tokens: Sequence[str], both: set[str], alone: set[str]) -> list[str]:
    """The plain words that only this text has, and that stand before a plain word which both have.

    What comes after the last of those is a clause that was hung on, or what a cut took away.
    """
    end = len(tokens)
    while end and (tokens[end - 1] not in both or tokens[end - 1][0] in KINDS):
        end -= 1
    return [token.partition("\t")[0] for token in tokens[:end] if token in alone and token[0] not in KINDS]


def _substituted(mine: list[str], theirs: list[str]) -> float:
    """How many words of one text stand against different ones of the other."""
    if not mine or not theirs:
        return 0.0
    han, other_han = _signs(mine), _signs(theirs)
    changed = min((han - other_han).total(), (other_han - han).total()) / 4  # a character is in two pairs
    words = sum(not _IS_HAN.match(word) for word in mine)
    return changed + min(words, sum(not _IS_HAN.match(word) for word in theirs))


def _signs(tokens: list[str]) -> Counter[str]:
    return Counter("".join(token for token in tokens if _IS_HAN.match(token)))


def _misspelt(word: str, other: str) -> bool:
    """Whether two words differ in one letter, in two neighbours that changed places, or in an ending."""
    if word[0] != other[0] and word[1:3] != other[1:3]:
        return False
    return word[: len(other)] == other[: len(word)] or OSA.distance(word, other, score_cutoff=1) <= 1

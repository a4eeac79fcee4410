"""Near-duplicate stories: pairs made of real headlines by edits, and how fast documents are assigned.

Copies of a headline are made by one to three of `EDITS`; beside each stands, where one can be made, a headline of the
same template that is another story (`OTHERS`): another number, period, company, or direction. All of them are one
stream, in random order. Headlines were cut into halves: thresholds were chosen on one, the figure is of the other.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.quality import data
from metier.apps.monitor.item import Item
from metier.apps.monitor.stories.assign import Assigned, Stories, StorySettings

BARS = {"pair F1": 0.95, "documents/s": 2_000}
SOURCES = ("Reuters", "Bloomberg", "CNBC", "The Guardian", "Financial Times", "AP", "MarketWatch", "WSJ", "BBC News")
WIRES = ("UPDATE 1-", "UPDATE 2-", "BREAKING: ", "WRAPUP 3-", "RPT-", "CORRECTED-", "EXCLUSIVE-", "Breaking News: ")
SOURCES_ZH = ("_新浪财经", " - 东方财富网", "（来源：财联社）", "|第一财经", "-证券时报网")
WIRES_ZH = ("快讯：", "【快讯】", "最新消息：", "突发：", "更新：")
HAN = re.compile(r"[\u4e00-\u9fff]")
NUMBER = re.compile(r"\d+(?:\.\d+)?")
PERIODS = (
    ("Q1", "Q2", "Q3", "Q4"), ("1st", "2nd", "3rd", "4th"), ("1ST", "2ND", "3RD", "4TH"),
    ("January", "February", "March", "April", "June", "July", "August", "September", "October", "November", "December"),
    ("JANUARY", "FEBRUARY", "APRIL", "JUNE", "JULY", "AUGUST", "SEPTEMBER", "OCTOBER", "NOVEMBER", "DECEMBER"),
    ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday"),
    ("一季度", "二季度", "三季度", "四季度"), ("上半年", "下半年"), ("周一", "周二", "周三", "周四", "周五"),
)  # fmt: skip
SPELLINGS = (
    ("%", " percent"), (" pct", "%"), ("bn", " billion"), (" mln", "m"), ("says", "said"), ("U.S.", "US"), ("&", "and"),
    ("的", ""), ("公司", ""),
)  # fmt: skip
DIRECTIONS = (
    ("rises", "falls"), ("rise", "fall"), ("up", "down"), ("gains", "losses"), ("higher", "lower"), ("buy", "sell"),
    ("UP", "DOWN"), ("RISES", "FALLS"), ("RISE", "FALL"), ("HIGHER", "LOWER"), ("profit", "loss"), ("jumps", "slumps"),
    ("上涨", "下跌"), ("增长", "下降"), ("上升", "下降"), ("涨", "跌"), ("买入", "卖出"), ("增持", "减持"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Made:
    """A text, the story that it is of, and how it was made."""

    text: str
    story: int
    how: str


# -- copies ------------------------------------------------------------------------------------------------------
def suffixed(text: str, rng: random.Random, pool: Sequence[str]) -> str:
    """The name of a source behind it."""
    if HAN.search(text):
        return text + rng.choice(SOURCES_ZH)
    return text + rng.choice((" - {}", " | {}", " ({})", " – {}")).format(rng.choice(SOURCES))


def prefixed(text: str, rng: random.Random, pool: Sequence[str]) -> str:
    """What a wire puts before it."""
    return rng.choice(WIRES_ZH if HAN.search(text) else WIRES) + text


def cased(text: str, rng: random.Random, pool: Sequence[str]) -> str:
    """Other case; full-width letters and digits in Chinese."""
    if HAN.search(text):
        return "".join(chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" else sign for sign in text)
    return rng.choice((str.upper, str.lower, str.title))(text)


def punctuated(text: str, rng: random.Random, pool: Sequence[str]) -> str:
    """Other punctuation: none, other quotes, other separators."""
    if HAN.search(text):
        return re.sub("[，：；]", rng.choice((" ", "、", "——")), text).replace("“", "「").replace("”", "」")
    if rng.random() < 0.5:
        return re.sub(r"(?<![0-9])[,;:'\"!?](?![0-9])", "", text)
    return re.sub(r"[;:] ", " - ", text).replace("'", "’").replace(", ", " — ") + "."


def truncated(text: str, rng: random.Random, pool: Sequence[str]) -> str:
    """Its first 60 to 90 %, cut anywhere, with an ellipsis; a short headline is not cut."""
    if len(text) < (16 if HAN.search(text) else 40):
        return text
    return text[: int(len(text) * rng.uniform(0.6, 0.9))] + rng.choice(("...", "…"))


def appended(text: str, rng: random.Random, pool: Sequence[str]) -> str:
    """The beginning of a headline that is not in the stream as a clause behind it, at most half as long."""
    other = rng.choice(pool)
    if HAN.search(text):
        return text + "，" + other[: max(3, min(12, len(text) // 2))]
    words = other.split()[: max(2, min(6, len(text.split()) // 2))]
    return text + rng.choice((", {}", "; {}", " as {}", ": {}")).format(" ".join(words))


def swapped(text: str, rng: random.Random, pool: Sequence[str]) -> str:
    """Two neighbouring words, or two clauses, change places."""
    clauses = re.split(r"(?:, |: |; |，|：|；)", text)
    if len(clauses) == 2 and rng.random() < 0.5:
        return (" " if HAN.search(text) else ", ").join(reversed(clauses))
    if HAN.search(text):
        places = [found.start() for found in re.finditer("(?=[\u4e00-\u9fff]{4})", text)]
        at = rng.choice(places or [len(text)])
        return text[:at] + text[at + 2 : at + 4] + text[at : at + 2] + text[at + 4 :]
    words = text.split()
    at = rng.randrange(max(1, len(words) - 1))
    words[at : at + 2] = reversed(words[at : at + 2])
    return " ".join(words)


def mistyped(text: str, rng: random.Random, pool: Sequence[str]) -> str:
    """One letter of one longer word lost or doubled; one character lost in Chinese."""
    places = [found.start() for found in re.finditer(r"(?<=[A-Za-z]{2})[A-Za-z](?=[A-Za-z]{2})|[\u4e00-\u9fff]", text)]
    if not places:
        return text
    at = rng.choice(places)
    return text[:at] + text[at + 1 :] if HAN.search(text) or rng.random() < 0.5 else text[:at] + text[at] + text[at:]


def respelt(text: str, rng: random.Random, pool: Sequence[str]) -> str:
    """The same number or word in another spelling; a small word left out."""
    for old, new in SPELLINGS:
        if old in text:
            return text.replace(old, new, 1)
    return re.sub(r" (?:the|a|in|on|for|to|of) ", " ", text, count=1)


EDITS: dict[str, Callable[[str, random.Random, Sequence[str]], str]] = {
    "suffix": suffixed, "prefix": prefixed, "case": cased, "punctuation": punctuated, "truncated": truncated,
    "appended": appended, "swapped": swapped, "typo": mistyped, "spelling": respelt,
}  # fmt: skip


def copied(text: str, rng: random.Random, pool: Sequence[str]) -> tuple[str, str]:
    """A copy by one to three different edits, and their names. Marks of a wire and of a source come last."""
    names = rng.sample(list(EDITS), rng.choice((1, 1, 2, 2, 3)))
    if "truncated" in names and "appended" in names:
        names.remove("appended")
    names.sort(key=lambda name: name in ("suffix", "prefix", "case"))
    for name in names:
        text = EDITS[name](text, rng, pool)
    return text, "+".join(sorted(names))


def revised(text: str, rng: random.Random) -> str:
    """A copy of an article: of a hundred words two are gone and one is another; its last sentence may be lost."""
    words = text.split(" ")
    for _ in range(max(1, len(words) // 50)):
        del words[rng.randrange(len(words))]
    for _ in range(max(1, len(words) // 100)):
        plain = [at for at, word in enumerate(words) if word.isalpha()]
        words[rng.choice(plain)] = "revised"
    text = " ".join(words)
    return text.rsplit(". ", 1)[0] + "." if rng.random() < 0.3 else text


# -- other stories of the same template ---------------------------------------------------------------------------
def renumbered(text: str, rng: random.Random, names: Sequence[str]) -> str:
    """Another number in place of each."""

    def other(found: re.Match[str]) -> str:
        old = found.group()
        digits = [rng.choice([one for one in "123456789" if one != sign]) if sign.isdigit() else sign for sign in old]
        return "".join(digits)

    return NUMBER.sub(other, text)


def shifted(text: str, rng: random.Random, names: Sequence[str]) -> str:
    """Another quarter, month or day."""
    for cycle in PERIODS:
        for word in cycle:
            found = re.search(rf"(?<![A-Za-z0-9]){word}(?![A-Za-z0-9])", text)
            if found:
                other = rng.choice([one for one in cycle if one != word])
                return text[: found.start()] + other + text[found.end() :]
    return text


def turned(text: str, rng: random.Random, names: Sequence[str]) -> str:
    """The other direction."""
    for pair in DIRECTIONS:
        for old, new in (pair, pair[::-1]):
            bound = "" if HAN.search(old) else r"\b"
            if re.search(bound + old + bound, text):
                return re.sub(bound + old + bound, new, text, count=1)
    return text


def renamed(text: str, rng: random.Random, names: Sequence[str]) -> str:
    """Another company in place of the one named (the longest of `names` that stands in it)."""
    found = [name for name in names if name in text]
    if not found:
        return text
    old = max(found, key=len)
    other = rng.choice([name for name in names if name not in text and old not in name])
    return text.replace(old, other.upper() if old.isupper() else other, 1)


OTHERS: dict[str, Callable[[str, random.Random, Sequence[str]], str]] = {
    "number": renumbered, "period": shifted, "direction": turned, "company": renamed,
}  # fmt: skip


def other(text: str, rng: random.Random, names: Sequence[str]) -> tuple[str, str] | None:
    """Another story of the same template, by the first rule, in random order, that changes anything in the first half.

    A copy that was cut behind the first half would else be a copy of both.
    """
    for name in rng.sample(list(OTHERS), len(OTHERS)):
        made = OTHERS[name](text, rng, names)
        if made[: len(text) // 2] != text[: len(text) // 2]:
            return made, name
    return None


# -- texts -------------------------------------------------------------------------------------------------------
def texts() -> dict[str, list[str]]:
    """Real headlines and articles by kind, each once."""
    import polars as pl

    with gzip.open(data("finance_reuters") / "reuters.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    flashes = pl.read_csv(data("finance_zh") / "finnl.csv.gz")["text"].to_list()
    titles = pl.read_csv(data("text_thucnews_titles_zh") / "thucnews_titles.csv.gz")
    found = {
        "headlines": pl.read_csv(data("finance_headlines") / "headlines.csv.gz")["title"].to_list(),
        "reuters": [row["title"] for row in rows],
        "companies": pl.read_csv(data("finance_sentfin") / "sentfin.csv.gz")["text"]
        .unique(maintain_order=True)
        .to_list(),
        "chinese": [text for text in flashes if len(text) <= 200]
        + titles.filter(pl.col("label").is_in(["finance", "stocks"]))["text"].to_list(),
        "articles": [f"{row['title']}\n{row['text']}" for row in rows if len(row["text"].split()) >= 80],
    }
    return {
        kind: list(dict.fromkeys(text.strip() for text in many if text and len(text) >= 8))
        for kind, many in found.items()
    }


def companies() -> dict[str, list[str]]:
    """Names to put in place of another, by kind of text."""
    import polars as pl

    sentfin = pl.read_csv(data("finance_sentfin") / "sentfin.csv.gz")["entity"].unique().sort().to_list()
    names = [name for name in sentfin if name[0].isupper() and len(name) > 3]
    finre = pl.read_csv(data("finance_zh") / "finre.csv.gz")["head"].unique().sort().to_list()
    chinese = [name for name in finre if len(name) >= 3 and HAN.match(name)]
    return {"headlines": names, "companies": names, "reuters": [name.upper() for name in names], "chinese": chinese,
            "articles": names}  # fmt: skip


def made(kinds: dict[str, int], seed: int, half: int) -> list[Made]:
    """A stream: every headline of one half, its copies, its hard negatives, in random order."""
    rng = random.Random(seed)
    names = companies()
    found: list[Made] = []
    for kind, many in texts().items():
        rng.shuffle(many)
        chosen, rest = many[half::2][: kinds.get(kind, 0)], many[half::2][kinds.get(kind, 0) :]
        for text in chosen:
            found.extend(_family(kind, text, len(found), rng, rest, names[kind]))
    rng.shuffle(found)
    return found


def _family(
    kind: str, text: str, story: int, rng: random.Random, pool: Sequence[str], names: Sequence[str]
) -> list[Made]:
    family = [Made(text, story, f"{kind}/original")]
    for _ in range(rng.choice((1, 1, 2, 3))):
        made, how = (revised(text, rng), "revised") if kind == "articles" else copied(text, rng, pool)
        family.append(Made(made, story, f"{kind}/{how}"))
    if kind == "articles":
        changed = renumbered(text, rng, names)
        opposed = (changed, "number") if len(NUMBER.findall(text)) >= 3 else None
    else:
        opposed = other(text, rng, names)
    if opposed:
        family.append(Made(opposed[0], -story - 1, f"{kind}/other {opposed[1]}"))
    return family


# -- figures -----------------------------------------------------------------------------------------------------
def scored(stream: Sequence[Made], found: Sequence[Assigned], kind: str = "") -> dict[str, Any]:
    """Pairs of documents that are together, and that should be."""
    at = [i for i, one in enumerate(stream) if one.how.startswith(kind)]
    together = _pairs(Counter((found[i].story,) for i in at))
    wanted = _pairs(Counter((stream[i].story,) for i in at))
    right = _pairs(Counter((found[i].story, stream[i].story) for i in at))
    precision, recall = right / max(1, together), right / max(1, wanted)
    return {"pairs": wanted, "precision": precision, "recall": recall, "F1": 2 * right / max(1, together + wanted)}


def _pairs(sizes: Counter[Any]) -> int:
    return sum(size * (size - 1) // 2 for size in sizes.values())


def items(stream: Sequence[Made]) -> list[Item]:
    return [Item(id=str(at), text=one.text, time=float(at), received=float(at)) for at, one in enumerate(stream)]


KINDS = {"headlines": 2_500, "reuters": 1_500, "companies": 2_000, "chinese": 2_500, "articles": 600}
DEVELOPMENT, TEST = 0, 1


def quality(half: int, seed: int = 13) -> dict[str, Any]:
    """Pair F1 of a half, of all and by kind of text, and how often each edit and each other story is got wrong."""
    stream = made(KINDS, seed, half)
    found = Stories(StorySettings(window=1e9)).assign(items(stream))
    of = {one.story: answer.story for one, answer in zip(stream, found, strict=True) if one.how.endswith("original")}
    apart, joined = defaultdict(list), defaultdict(list)
    for one, answer in zip(stream, found, strict=True):
        names = one.how.partition("/")[2]
        if names.startswith("other"):
            joined[names].append(answer.story == of.get(-one.story - 1))
        elif names != "original":
            for name in names.split("+"):
                apart[name].append(answer.story != of[one.story])
    return {
        "documents": len(stream),
        "all": scored(stream, found),
        **{kind: scored(stream, found, kind + "/") for kind in KINDS},
        "copies apart from their original": {name: sum(one) / len(one) for name, one in sorted(apart.items())},
        "other stories joined to it": {name: sum(one) / len(one) for name, one in sorted(joined.items())},
    }


def mixed_up(pool: Sequence[str], rng: random.Random) -> Iterator[str]:
    """Headlines without end: the first half of one and the second half of another."""
    while True:
        one, other = rng.choice(pool), rng.choice(pool)
        if HAN.search(one) and HAN.search(other):
            yield one[: len(one) // 2] + other[len(other) // 2 :]
        elif not HAN.search(one) and not HAN.search(other):
            first, second = one.split(), other.split()
            yield " ".join(first[: (len(first) + 1) // 2] + second[len(second) // 2 :])


def speed(stories: int = 100_000, documents: int = 10_000, seed: int = 13) -> dict[str, float]:
    """Documents a second in CPU time of one thread, with so many stories in the window; three in ten are copies."""
    rng = random.Random(seed)
    pool = [text for kind, many in texts().items() if kind != "articles" for text in many]
    rng.shuffle(pool)
    more = mixed_up(pool, rng)
    found = Stories(StorySettings(window=1e9))
    filling = [Made(text, 0, "") for text in pool]
    new = sum(one.new for one in found.assign(items(filling)))
    while new < stories:
        new += sum(one.new for one in found.assign(items([Made(next(more), 0, "") for _ in range(1_000)])))
    texts_after = [
        copied(rng.choice(pool), rng, pool)[0] if rng.random() < 0.3 else next(more) for _ in range(documents)
    ]
    after = [
        replace(item, id=f"after {item.id}", time=1e6 + item.time)
        for item in items([Made(t, 0, "") for t in texts_after])
    ]
    start = time.process_time()
    copies = 0
    for at in range(0, len(after), 100):
        copies += sum(not one.new for one in found.assign(after[at : at + 100]))
    seconds = time.process_time() - start
    return {"stories": new, "texts": len(found), "documents/s": len(after) / seconds, "copies": copies / len(after)}


def run(documents: int = 10_000) -> dict[str, Any]:
    """The half that chose nothing; the other one beside it."""
    return {
        "thresholds": {name: getattr(StorySettings(), name) for name in ("sure", "doubtful", "shortest")},
        "test": quality(TEST),
        "development": quality(DEVELOPMENT),
        "speed": speed(documents=documents),
        "bars": BARS,
    }

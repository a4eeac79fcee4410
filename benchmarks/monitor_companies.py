"""Linking companies: whether the entity that annotators saw in a headline is found, and how many headlines a second.

The table is made of the entities of the training headlines of SEntFiN (names alone: no alias, no ticker), the headlines
are those of the test split. Entities there are companies, but markets, goods and sectors, too.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from typing import Any

from benchmarks.quality import data
from metier.apps.monitor.companies.link import Companies
from metier.apps.monitor.companies.names import phrase
from metier.apps.monitor.companies.table import Company

BARS = {"headlines/s with 5,000 companies": 5_000}
SOUNDS = "ba co da fe gi ho ka lu ma no pe qui ra so ta ve wi xo yu za bel cor dan fos gra"


def table() -> list[Company]:
    """A company for each entity of the training headlines; spellings that differ in case and signs only are one."""
    import polars as pl

    rows = pl.read_csv(data("finance_sentfin") / "sentfin.csv.gz")
    names = rows.filter(pl.col("split") == "train")["entity"].unique().sort().to_list()
    spellings: dict[str, list[str]] = defaultdict(list)
    for name in names:
        spellings[" ".join(phrase(name))].append(name)
    return [Company(id=first, name=first, aliases=tuple(others)) for first, *others in spellings.values()]


def annotated(split: str) -> dict[str, list[str]]:
    """The entities of each headline of a split."""
    import polars as pl

    found: dict[str, list[str]] = defaultdict(list)
    rows = pl.read_csv(data("finance_sentfin") / "sentfin.csv.gz").filter(pl.col("split") == split)
    for text, entity in rows.select("text", "entity").iter_rows():
        found[text].append(entity)
    return dict(found)


def found_in(companies: Companies, split: str) -> dict[str, Any]:
    """How many of the annotated entities are linked: by their own id, or by any mention that covers them."""
    known = {phrase(name) for one in companies.companies.values() for name in (one.name, *one.aliases)}
    counts: dict[str, int] = defaultdict(int)
    for text, entities in annotated(split).items():
        mentions = companies.link(text)
        spans = [(at, at + len(one)) for one in entities if (at := text.find(one)) >= 0]
        counts["mentions"] += len(mentions)
        counts["mentions beside every annotated entity"] += sum(
            not any(start < mention.end and mention.start < end for start, end in spans) for mention in mentions
        )
        for entity in entities:
            place = "in the table" if phrase(entity) in known else "not in the table"
            own = any(phrase(mention.company) == phrase(entity) for mention in mentions)
            at = text.find(entity)
            covered = at >= 0 and any(one.start <= at and at + len(entity) <= one.end for one in mentions)
            counts[f"{place}"] += 1
            counts[f"{place}: found"] += own
            counts[f"{place}: covered by a mention"] += own or covered
    return {**counts, "recall": counts["in the table: found"] / max(1, counts["in the table"])}


def invented(count: int, seed: int) -> list[Company]:
    """Companies with made-up names, an alias and a ticker each."""
    rng = random.Random(seed)
    found: dict[str, Company] = {}
    while len(found) < count:
        word = "".join(rng.choices(SOUNDS.split(), k=3)).title()
        name = f"{word} {rng.choice(('Holdings', 'Energy', 'Bank', 'Systems', 'Foods'))} {rng.choice(('Inc', 'AG'))}"
        ticker = "".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=4))
        found[name] = Company(id=name, name=name, aliases=(word,), tickers=(ticker,))
    return list(found.values())


def speed(headlines: int = 20_000) -> dict[str, float]:
    """Headlines a second in CPU time of one thread, with 5,000 companies."""
    import polars as pl

    known = table()
    companies = Companies(known + invented(5_000 - len(known), 13))
    texts = pl.read_csv(data("finance_headlines") / "headlines.csv.gz")["title"].to_list()[:headlines]
    for text in texts[:1_000]:
        companies.find(text)
    start = time.process_time()
    linked = sum(len(companies.find(text).linked) for text in texts)
    seconds = time.process_time() - start
    return {
        "companies": len(companies),
        "headlines/s": len(texts) / seconds,
        "mentions a headline": linked / len(texts),
    }


def run(headlines: int = 20_000) -> dict[str, Any]:
    """Recall on the test split, and speed."""
    companies = Companies(table())
    return {
        "table": {"companies": len(companies), "homonyms": len(companies.warnings)},
        "test": found_in(companies, "test"),
        "speed": speed(headlines),
        "bars": BARS,
    }

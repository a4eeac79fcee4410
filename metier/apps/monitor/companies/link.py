"""Which companies a text names: by name, alias, ticker, or nearly so; homonyms by context; parents by roll-up.

A text is looked up word by word (Chinese: character by character) in a tree of the words of the names, so that the cost
grows with the text and not with the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from metier.apps.monitor.companies.misspellings import Misspellings, mark
from metier.apps.monitor.companies.names import (
    LEGAL,
    NOUNS,
    WORDS,
    Token,
    joined,
    narrowed,
    phrase,
    tokens,
    without_form,
)
from metier.apps.monitor.companies.table import Company, checked, read_table
from metier.apps.monitor.companies.tickers import Ticker, Tickers
from metier.apps.monitor.companies.unlinked import unknown_names
from metier.apps.monitor.item import Mention

EXACT, DERIVED, CONTEXT, UNCLEAR = 1.0, 0.95, 0.9, 0.6
"""How sure a mention is: a name as it is in the table, without its legal form, chosen by context, of unclear case."""
LONGEST = 20_000
"""Mentions are looked for in so many characters from the beginning."""
SHORT, ACRONYM = 5, 3
"""A name of so many capitals alone is written in capitals; from four on it may be written as a word (Sebi)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One name of one company, as it is in the table (`exact`) or without its legal form."""

    company: str
    surface: str
    how: str
    exact: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What a text names: companies of the table, and what looks like others, for review (`company` is empty there).

    `how` of what is for review: `homonym` (several companies have the name, nothing tells which), `ticker` (in no row),
    `suffix` (a name with a legal form, in no row).
    """

    linked: tuple[Mention, ...]
    unlinked: tuple[Mention, ...]


@dataclass(slots=True)
class _Node:
    """Of the tree of names: what comes next, and the names that end here."""

    after: dict[str, _Node] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Match:
    """Words `first` to `last` (exclusive) of a text, and whose name they may be."""

    first: int
    last: int
    entries: tuple[Entry, ...]
    unclear: bool


class Companies:
    """The companies that a monitor follows.

    Args:
        companies: rows of the table.

    Raises:
        DataError: the rows contradict themselves.
    """

    def __init__(self, companies: Iterable[Company]) -> None:
        self.companies = {company.id: company for company in checked(companies)}
        self.warnings: tuple[str, ...] = ()
        self._above = {id: self._way_up(id) for id in self.companies}
        self._about = {id: _words(f"{one.about}") for id, one in self.companies.items()}
        self._tree = _Node()
        self._fill()
        self._tickers = Tickers((ticker, id) for id, one in self.companies.items() for ticker in one.tickers)
        self._warn()
        names = {(phrase(name), id) for id, one in self.companies.items() for name in _names(one)}
        self._misspelt = Misspellings(names)

    @classmethod
    def read(cls, path: Path | str) -> Companies:
        """The companies of a CSV file (see `companies.table`).

        Raises:
            DataError: it is no such table; every mistake is told at once, with its line.
        """
        return cls(read_table(path))

    def __len__(self) -> int:
        return len(self.companies)

    def link(self, text: str) -> list[Mention]:
        """The mentions of companies in a text, in their order."""
        return list(self.find(text).linked)

    def find(self, text: str) -> Found:
        """The mentions of companies in a text, and of what looks like companies that are not in the table."""
        plain = narrowed(text[:LONGEST])
        words = tokens(plain)
        shouted = _shouted(words)
        matches = _longest(self._matches(plain, words, shouted))
        tickers = self._tickers.find(plain, shouted)
        taken = bytearray(len(plain))  # 1 where a character is part of a mention
        for match in matches:
            mark(taken, words[match.first].start, words[match.last - 1].end)
        tickers = [one for one in tickers if one.formal or 1 not in taken[one.start : one.end]]
        linked, unlinked = self._settled(text, plain, words, matches, tickers)
        for one in tickers:
            mark(taken, one.start, one.end)
        for start, end, company, score in self._misspelt.find(words, plain, taken, shouted):
            linked.append(Mention(company, start, end, text[start:end], "fuzzy", score))
        unlinked += [
            Mention("", start, end, text[start:end], "suffix", 0.0)
            for start, end in unknown_names(plain, words, shouted)
            if 1 not in taken[start:end]
        ]
        return Found(tuple(sorted(linked, key=_place)), tuple(sorted(unlinked, key=_place)))

    def rolled_up(self, companies: Iterable[str]) -> tuple[str, ...]:
        """The ids of companies and of all above them, each once, sorted: what one document is counted for."""
        return tuple(sorted({above for company in companies for above in self._above.get(company, (company,))}))

    def counted(self, named: Iterable[str]) -> dict[str, list[str]]:
        """The companies that a document counts for which names these; of each, those that it names, itself or companies
        of its own."""
        found: dict[str, list[str]] = {}
        for name in dict.fromkeys(named):
            for above in self.rolled_up([name]):
                found.setdefault(above, []).append(name)
        return found

    # -- names -----------------------------------------------------------------------------------------------------
    def _way_up(self, id: str) -> tuple[str, ...]:
        way = [id]
        while parent := self.companies[way[-1]].parent:
            way.append(parent)
        return tuple(way)

    def _fill(self) -> None:
        for id, company in self.companies.items():
            for how, names in (("name", (company.name,)), ("alias", company.aliases)):
                for name in names:
                    short = without_form(name)
                    self._put(name, Entry(id, name, how, True))
                    if short != name:
                        self._put(short, Entry(id, short, how, False))

    def _put(self, name: str, entry: Entry) -> None:
        words = phrase(name)
        if not words or len("".join(words)) < 2:
            return  # one letter, or one Chinese character, says nothing
        node = self._tree
        for word in words:
            node = node.after.setdefault(word, _Node())
        if all((one.company, one.surface) != (entry.company, entry.surface) for one in node.entries):
            node.entries.append(entry)

    def _warn(self) -> None:
        """What is no mistake and yet worth a look: names and tickers of several companies, names of one letter."""
        found = []
        nodes = [self._tree]
        while nodes:
            node = nodes.pop()
            nodes.extend(node.after.values())
            exact = sorted({one.company for one in node.entries if one.exact})
            if len(exact) > 1:
                found.append(f"{node.entries[0].surface!r} is a name of {', '.join(exact)}: the context decides")
        found += [
            f"the name {name!r} of {id!r} is too short to be looked for"
            for id, one in self.companies.items()
            for name in (one.name, *one.aliases)
            if len("".join(phrase(name))) < 2
        ]
        found += [
            f"the ticker {ticker} is that of {', '.join(ids)}: the context decides"
            for ticker, ids in self._tickers.shared()
        ]
        self.warnings = tuple(sorted(found))

    # -- a text ----------------------------------------------------------------------------------------------------
    def _matches(self, text: str, words: Sequence[Token], shouted: bool) -> list[_Match]:
        """The longest name that begins at each word."""
        found = []
        top = self._tree.after
        for first, word in enumerate(words):
            node = top.get(word.word)
            last = first
            best: _Match | None = None
            while node is not None:
                last += 1
                if node.entries:
                    best = self._match(words, first, last, node.entries, shouted) or best
                if last == len(words) or not joined(text, words[last - 1], words[last]):
                    break
                goes_on = words[last].word
                after = node.after.get(goes_on)
                if after is None and goes_on.endswith("s"):  # in headlines the genitive loses its apostrophe
                    after = node.after.get(goes_on[:-1])
                node = after
            if best is not None:
                found.append(best)
        return found

    def _match(
        self, words: Sequence[Token], first: int, last: int, entries: Sequence[Entry], shouted: bool
    ) -> _Match | None:
        """Whose name some words are, by their case; None where they are no name."""
        fit: dict[str, Entry] = {}
        unclear = True
        for entry in entries:
            case = _cased(words[first:last], entry, shouted, first == 0)
            if case:
                unclear = unclear and case == "unclear"
                fit.setdefault(entry.company, entry)
        return _Match(first, last, tuple(fit.values()), unclear) if fit else None

    def _settled(
        self, text: str, plain: str, words: Sequence[Token], matches: Sequence[_Match], tickers: Sequence[Ticker]
    ) -> tuple[list[Mention], list[Mention]]:
        """Mentions, homonyms settled by what else the text says; and those that nothing settles."""
        sure = {match.entries[0].company for match in matches if len(match.entries) == 1 and not match.unclear}
        sure |= {one.companies[0] for one in tickers if len(one.companies) == 1}
        near = {above for company in sure for above in self._above[company]}
        said = {word.word for word in words} | {
            one.word + other.word for one, other in zip(words, words[1:], strict=False)
        }
        linked: list[Mention] = []
        unlinked: list[Mention] = []
        for match in matches:
            start, end = words[match.first].start, _end(plain, words, match.last)
            choice = [(entry.company, entry.exact) for entry in match.entries]
            company, score = self._choose(choice, sure, near, said, match.unclear)
            how = next((one.how for one in match.entries if one.company == company), "homonym")
            (linked if company else unlinked).append(Mention(company, start, end, text[start:end], how, score))
        for one in tickers:
            company, score = self._choose([(id, True) for id in one.companies], sure, near, said, False)
            mention = Mention(company, one.start, one.end, text[one.start : one.end], "ticker", min(score, one.score))
            if company:
                linked.append(mention)
            elif one.formal:
                unlinked.append(replace(mention, how="homonym" if one.companies else "ticker", score=0.0))
        return linked, unlinked

    def _choose(
        self, choice: Sequence[tuple[str, bool]], sure: set[str], near: set[str], said: set[str], unclear: bool
    ) -> tuple[str, float]:
        """The company that is meant, and how sure that is; `("", 0)` where nothing tells.

        What speaks for one: it stands elsewhere in the text (3), one above or below it does (2), words of
        its sector or description (1 each).
        """
        evidence = []
        for id, exact in choice:
            family = bool(near & set(self._above[id])) and id not in sure
            evidence.append((3 * (id in sure) + 2 * family + len(self._about[id] & said), exact, id))
        if not evidence:
            return "", 0.0
        evidence.sort(key=lambda one: (-one[0], not one[1], one[2]))
        weight, exact, company = evidence[0]
        if len(evidence) > 1:
            if evidence[1][:2] == (weight, exact):
                return "", 0.0
            return company, CONTEXT
        if unclear and not weight:
            return company, UNCLEAR
        return company, EXACT if exact else DERIVED


def _names(company: Company) -> set[str]:
    names = {company.name, *company.aliases}
    return names | {without_form(name) for name in names}


def _words(text: str) -> set[str]:
    """The words of a description that say something; of Chinese, pairs of characters."""
    found = tokens(narrowed(text))
    plain = {
        one.word
        for one in found
        if not one.han and one.word not in WORDS and one.word not in LEGAL and len(one.word) > 2
    }
    pairs = {a.word + b.word for a, b in zip(found, found[1:], strict=False) if a.han and b.han and a.end == b.start}
    return plain | pairs


def _cased(words: Sequence[Token], entry: Entry, shouted: bool, beginning: bool) -> str:
    """Whether words in this case can be a name: `yes`, `unclear`, or empty for no.

    A name that begins with a capital wants one in the text (Apple, not apple), one of few capitals
    alone all of them (GE).
    In a text of capitals alone, and in the first word, case says nothing: an ordinary word is unclear there.
    """
    name = entry.surface
    if words[0].han or not any(sign.isupper() for sign in name):
        return "yes"
    surface = "".join(word.surface for word in words)
    letters = "".join(sign for sign in name if sign.isalpha())
    if letters.isupper() and len(letters) <= SHORT:
        if not surface.rstrip("s").isupper():
            titled = len(letters) > ACRONYM and surface.istitle() and words[0].word not in WORDS | NOUNS
            return ("unclear" if beginning else "yes") if titled else ""
        return "" if shouted and len(words) == 1 and words[0].word in WORDS else "yes"
    capital = any(sign.isupper() for word in words for sign in word.surface)
    if name[0].isupper() and not (words[0].surface[0].isupper() or words[0].surface[0].isdigit()):
        return ""
    if not capital and name[0].isupper():
        return ""
    ordinary = len(words) == 1 and (words[0].word in NOUNS or words[0].word in WORDS)
    return "unclear" if ordinary and (shouted or beginning) else "yes"


def _shouted(words: Sequence[Token]) -> bool:
    """Whether a text is in capitals, or every word has one, so that they say nothing."""
    letters = [word.surface for word in words if not word.han and word.surface[0].isalpha()]
    if len(letters) < 3:
        return False
    capital = sum(word[0].isupper() for word in letters)
    return capital == len(letters) or sum(word.isupper() for word in letters) > 0.7 * len(letters)


def _longest(matches: Sequence[_Match]) -> list[_Match]:
    """Of matches that overlap the longest; of equally long ones the first."""
    chosen: list[_Match] = []
    taken: set[int] = set()
    for match in sorted(matches, key=lambda one: (one.first - one.last, one.first)):
        if taken.isdisjoint(range(match.first, match.last)):
            chosen.append(match)
            taken.update(range(match.first, match.last))
    return sorted(chosen, key=lambda one: one.first)


def _end(text: str, words: Sequence[Token], last: int) -> int:
    """Where a mention ends: behind the legal form that follows it, if one does."""
    while last < len(words) and words[last].word in LEGAL and joined(text, words[last - 1], words[last]):
        if not words[last].surface[0].isupper():
            break
        last += 1
    return words[last - 1].end


def _place(mention: Mention) -> tuple[int, int]:
    return mention.start, mention.end

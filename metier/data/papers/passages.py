"""Papers cut into passages: along headings, paragraphs and sentences, each about as long as an answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b

from metier.data.dedup import HAN
from metier.data.papers.paper import Block, Paper
from metier.data.sentences import sentence_spans, sentences

__all__ = ["Changes", "Passage", "changes", "passages", "sentences", "words"]

BETWEEN = " > "
"""Between the headings above a passage."""
HAN_WORDS = 0.48
"""Words that a Chinese character counts for: 120 words are as long as 250 characters."""
LETTERS = 20
"""Characters without a blank that count for a word at least: nobody reads them, but they take their place."""
_han_class = "".join(f"{chr(low)}-{chr(high)}" for low, high in HAN)
_han = re.compile(f"[{_han_class}]")
_word = re.compile(rf"[^\W{_han_class}]+(?:['\u2019.,-][^\W{_han_class}]+)*")
_clause = re.compile(r"[,;:，；：、]\s*|\s+")


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of a paper that can be found and cited.

    Args:
        id: changes only with the passage's text and its place (path and headings).
        path: of the paper.
        title: of the paper.
        heading: the headings above it, `Fees > Abroad`; `""` for none.
        text: `Paper.text[start:start + len(text)]`.
        start: where it begins in the paper's text.
        page: of a PDF, on which it begins, from 1.
    """

    id: str
    path: str
    title: str
    heading: str
    text: str
    start: int
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What an index has to do: passages to add, ids to drop, and those that only moved inside their paper."""

    added: tuple[Passage, ...]
    removed: tuple[str, ...]
    moved: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class _Unit:
    """A sentence or a line, `text[start:end]`; `closes` where its block ends with it."""

    start: int
    end: int
    words: float
    page: int | None
    closes: bool


def words(text: str) -> float:
    """How long a text is, in words; a Chinese character counts for `HAN_WORDS`."""
    return len(_word.findall(text)) + HAN_WORDS * len(_han.findall(text))


def passages(paper: Paper, least: int = 60, most: int = 120) -> tuple[Passage, ...]:
    """The passages of a paper, in its order.

    A passage ends with the paragraph in which it reaches `least` words, before the sentence with which it would have
    more than `most`, and with every heading. Sentences of more than `most` words are cut between clauses. What remains
    at the end of a section, and has less than half of `least`, goes to the passage before it where that leaves it below
    a quarter more than `most`. So a change moves the borders up to the end of a paragraph, seldom further.
    """
    text, found = paper.text, []
    seen: dict[tuple[str, str], int] = {}
    for heading, blocks in _sections(paper):
        units = [unit for block in blocks for unit in _units(block, most)]
        for start, end, page in _grouped(units, least, most):
            piece = text[start:end]
            count = seen[heading, piece] = seen.get((heading, piece), 0) + 1
            name = _id(paper.path, heading, piece, count)
            found.append(Passage(name, paper.path, paper.title, heading, piece, start, page))
    return tuple(found)


def changes(old: Iterable[Passage], new: Iterable[Passage]) -> Changes:
    """What turns an index of the old passages into one of the new ones."""
    before = {passage.id: passage for passage in old}
    after = {passage.id: passage for passage in new}
    return Changes(
        tuple(passage for name, passage in after.items() if name not in before),
        tuple(name for name in before if name not in after),
        tuple(passage for name, passage in after.items() if name in before and before[name] != passage),
    )


def _sections(paper: Paper) -> Iterator[tuple[str, list[Block]]]:
    """The blocks under each heading, with the path of headings above them (the title's own is left out)."""
    path: list[tuple[int, str]] = []
    blocks: list[Block] = []
    for block in paper.blocks:
        if block.kind != "heading":
            blocks.append(block)
            continue
        if blocks:
            yield _path(path, paper), blocks
        blocks = []
        while path and path[-1][0] >= block.level:
            path.pop()
        path.append((block.level, block.text))
    if blocks:
        yield _path(path, paper), blocks


def _path(path: list[tuple[int, str]], paper: Paper) -> str:
    kept = path[1:] if path and path[0][1] == paper.title else path
    return BETWEEN.join(text for _, text in kept)


def _units(block: Block, most: int) -> list[_Unit]:
    if block.kind == "text":
        spans = sentence_spans(block.text)
    else:
        spans = [match.span() for match in re.finditer(r"[^\n]+", block.text)]
    pieces = [piece for start, end in spans for piece in _short(block.text, start, end, most)]
    return [
        _Unit(
            block.start + start,
            block.start + end,
            max(size, (end - start) / LETTERS),
            block.page,
            at == len(pieces) - 1,
        )
        for at, (start, end, size) in enumerate(pieces)
    ]


def _short(text: str, start: int, end: int, most: int) -> list[tuple[int, int, float]]:
    """`(start, end, words)` of the parts of a sentence, none of more than `most` words where it can be helped."""
    size = words(text[start:end])
    if size <= most and end - start <= LETTERS * most:
        return [(start, end, size)]
    found: list[tuple[int, int, float]] = []
    ends = [match.end() for match in _clause.finditer(text, start, end)]
    begin, last, size = start, start, 0.0
    for stop in [*ends, end]:
        while stop - last > 4 * most:  # nothing to cut at: letters without end
            if last > begin:
                found.append((begin, last, size))
            begin, last = last, last + 2 * most
            found.append((begin, last, words(text[begin:last])))
            begin, size = last, 0.0
        more = words(text[last:stop])
        if last > begin and size + more > most:
            found.append((begin, last, size))
            begin, size = last, 0.0
        size, last = size + more, stop
    found.append((begin, end, size))
    return [_trimmed(text, *piece) for piece in found if text[piece[0] : piece[1]].strip()]


def _trimmed(text: str, start: int, end: int, size: float) -> tuple[int, int, float]:
    piece = text[start:end]
    first = start + len(piece) - len(piece.lstrip())
    return first, first + len(piece.strip()), size


def _grouped(units: list[_Unit], least: int, most: int) -> list[tuple[int, int, int | None]]:
    """`(start, end, page)` of the passages of a section."""
    groups: list[list[_Unit]] = [[]]
    size = 0.0
    for unit in units:
        if groups[-1] and size + unit.words > most:
            groups.append([])
            size = 0.0
        groups[-1].append(unit)
        size += unit.words
        if unit.closes and size >= least:
            groups.append([])
            size = 0.0
    groups = [group for group in groups if group]
    sizes = [sum(unit.words for unit in group) for group in groups]
    if len(groups) > 1 and sizes[-1] < least / 2 and sizes[-2] + sizes[-1] <= 1.25 * most:
        rest = groups.pop()
        groups[-1] += rest
    return [(group[0].start, group[-1].end, group[0].page) for group in groups]


def _id(path: str, heading: str, text: str, count: int) -> str:
    return blake2b("\0".join([path, heading, text, str(count)]).encode(), digest_size=12).hexdigest()

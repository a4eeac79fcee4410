"""CoNLL: one token a line with its tag last, a blank line between sentences.

BIO, BIOES, BMES, BILOU and IOB1 are read by one rule: B, S and U begin a span, the others go on with the span before
them if its label is theirs. A tag that continues nothing begins a span too (as IOB1 writes it) and is counted.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from metier.data.encoding import text_lines
from metier.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import polars as pl

logger = logging.getLogger(__name__)

TAG = re.compile(r"O|[BIESMLU]-\S+")
CJK = re.compile(
    "[\u1100-\u11ff\u2e80-\u303f\u3040-\u30ff\u3100-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff]"
)
"""Chinese, Japanese and their punctuation: written without blanks. Korean syllables are not, for Korean has blanks."""
BROKEN_SHOWN = 3
SAMPLE = 1_000


@dataclass(slots=True)
class Sentence:
    """The tokens and the tags of one sentence."""

    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)


def conll_frames(path: Path, rows: int) -> Iterator[pl.DataFrame]:
    """Batches with `text`, `tokens` (list of `[start, end]`) and `spans` (list of start, end, label)."""
    close = written_by_character(path)
    batch: list[Sentence] = []
    repaired = 0
    for sentence in sentences(path):
        batch.append(sentence)
        if len(batch) >= rows:
            frame, mended = _frame(batch, close)
            repaired += mended
            yield frame
            batch = []
    if batch:
        frame, mended = _frame(batch, close)
        repaired += mended
        yield frame
    if repaired:
        logger.info("%s: %d tags that continue nothing were read as the beginning of a span", path.name, repaired)


def _frame(batch: Sequence[Sentence], close: bool) -> tuple[pl.DataFrame, int]:
    """The sentences as a table, and how many of their tags were repaired."""
    import polars as pl
    import pyarrow as pa

    joined = [join(sentence.tokens, close=close) for sentence in batch]
    found = [spans(sentence.tags) for sentence in batch]
    marked = [
        [{"start": places[first][0], "end": places[last][1], "label": label} for first, last, label in marks]
        for (_, places), (marks, _) in zip(joined, found, strict=True)
    ]
    span = pa.struct([("start", pa.int64()), ("end", pa.int64()), ("label", pa.string())])
    table = pa.table(
        {
            "text": pa.array([text for text, _ in joined], pa.string()),
            "tokens": pa.array([places for _, places in joined], pa.list_(pa.list_(pa.int64()))),
            "spans": pa.array(marked, pa.list_(span)),
        }
    )
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame, sum(repaired for _, repaired in found)


def repaired_tags(path: Path) -> int:
    """How many tags of a file continue nothing and were read as the beginning of a span."""
    return sum(spans(sentence.tags)[1] for sentence in sentences(path))


def sentences(path: Path) -> Iterator[Sentence]:
    """The sentences of a file. Raises `DataError` that names the file and the lines that are broken."""
    broken: list[tuple[int, str]] = []
    legal = {"O"}
    sentence = Sentence()
    for number, line in enumerate(text_lines(path), 1):
        if not line.strip() or line.startswith("-DOCSTART-"):
            if sentence.tokens and not broken:
                yield sentence
            sentence = Sentence()
            continue
        token, tag = _cells(line)
        if tag not in legal or not token:
            if token and TAG.fullmatch(tag):
                legal.add(tag)
            elif line[0] == "#" and line[1:2] in " \t":
                continue  # a comment
            else:
                broken.append((number, line))
        sentence.tokens.append(token)
        sentence.tags.append(tag)
    if broken:
        _refuse(path, broken)
    if sentence.tokens:
        yield sentence


def _cells(line: str) -> tuple[str, str]:
    """The first and the last cell of a line; no token where there is one cell only."""
    cells = line.split("\t") if "\t" in line else [cell for cell in line.split(" ") if cell]
    return (cells[0].strip(" ") if len(cells) > 1 else ""), cells[-1].strip()


def _refuse(path: Path, broken: list[tuple[int, str]]) -> None:
    shown = "; ".join(f"line {number}: {line[:60]!r}" for number, line in broken[:BROKEN_SHOWN])
    more = f" (and {len(broken) - BROKEN_SHOWN} lines more)" if len(broken) > BROKEN_SHOWN else ""
    raise DataError(
        f"{path.name}, {shown}{more}.",
        expected="a token and a tag on each line: O, or B-, I-, E-, S-, M- and a label",
        hint="mend these lines; a blank line ends a sentence",
    )


def spans(tags: Sequence[str]) -> tuple[list[tuple[int, int, str]], int]:
    """`(first token, last token, label)` of each span, and the number of tags that had to be repaired."""
    found: list[tuple[int, int, str]] = []
    open_label: str | None = None
    repaired = 0
    for index, tag in enumerate(tags):
        if tag == "O":
            open_label = None
            continue
        prefix, label = tag[0], tag[2:]
        if prefix not in "BSU" and open_label == label:
            found[-1] = (found[-1][0], index, label)
        else:
            repaired += prefix not in "BSU"
            found.append((index, index, label))
        open_label = None if prefix in "ESLU" else label
    return found, repaired


def join(tokens: Sequence[str], *, close: bool = False) -> tuple[str, list[tuple[int, int]]]:
    """The text of some tokens and the offsets of each: blanks between them, none between Chinese characters.

    `close`: the file is written a character a line, so that digits and letters follow one another without blanks too.
    """
    pieces: list[str] = []
    offsets: list[tuple[int, int]] = []
    place = 0
    before = ""
    for token in tokens:
        if before and _blank(before, token, close):
            pieces.append(" ")
            place += 1
        pieces.append(token)
        offsets.append((place, place + len(token)))
        place += len(token)
        before = token
    return "".join(pieces), offsets


def _blank(before: str, token: str, close: bool) -> bool:
    left, right = CJK.match(before[-1]), CJK.match(token[0])
    if left and right:
        return False
    return not close or (not left and not right and (len(before) > 1 or len(token) > 1))


def written_by_character(path: Path) -> bool:
    """Whether a file has one character a line: nearly all tokens are, and most are Chinese."""
    tokens: list[str] = []
    for number, sentence in enumerate(sentences(path)):
        tokens += sentence.tokens
        if number >= SAMPLE:
            break
    single = sum(len(token) == 1 for token in tokens)
    chinese = sum(CJK.match(token) is not None for token in tokens)
    return single > 0.95 * len(tokens) and chinese > 0.5 * len(tokens)

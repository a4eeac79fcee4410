"""Texts to token ids: the tokenizer of a backbone, windows for long texts, and the arrays that heads need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tokenizers import AddedToken, Tokenizer
from tokenizers import Encoding as RawEncoding

from metier.tasks.task import Encoding
from metier.types import Document

EMPTY = np.zeros(0, dtype=np.int32)


@dataclass(frozen=True)
class Layout:
    """The ids that surround texts: `before` the text, `between` text and pair, `after` the last of them."""

    before: np.ndarray
    between: np.ndarray
    after: np.ndarray
    pair_types: tuple[int, int] = (0, 0)
    """Token types of the text with its separator, and of the pair with its."""

    @property
    def cost(self) -> int:
        """Special tokens around a pair."""
        return len(self.before) + len(self.between) + len(self.after)


@dataclass
class Rows:
    """Tokenised windows, flat: row `i` is `ids[bounds[i]:bounds[i + 1]]`, of document `owner[i]`."""

    ids: np.ndarray
    types: np.ndarray
    bounds: np.ndarray
    owner: np.ndarray
    start: np.ndarray
    end: np.ndarray
    sequence: np.ndarray
    word: np.ndarray
    truncated: int = 0
    """Documents that lost tokens."""

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, `(rows,)`."""
        return np.diff(self.bounds)

    def __len__(self) -> int:
        return len(self.owner)

    def encoding(self, row: int, document: Document) -> Encoding:
        """One row as a task sees it."""
        cut = slice(int(self.bounds[row]), int(self.bounds[row + 1]))
        arrays = (self.ids, self.types, self.start, self.end, self.sequence, self.word)
        return Encoding(document, *(array[cut] if len(array) else EMPTY for array in arrays))


@dataclass(frozen=True, slots=True)
class _Piece:
    """The tokens of one text without special tokens; offsets only where they were asked for."""

    ids: np.ndarray
    offsets: np.ndarray
    word: np.ndarray

    def cut(self, start: int, stop: int) -> _Piece:
        return _Piece(self.ids[start:stop], self.offsets[start:stop], self.word[start:stop])


class Tokeniser:
    """A `tokenizers.Tokenizer` with windows.

    Args:
        tokenizer: without truncation and padding.
        max_length: tokens a row at most, special ones included.
        stride: tokens that neighbouring windows share.
        window: whether long texts are cut into windows (else truncated).
    """

    def __init__(self, tokenizer: Tokenizer, *, max_length: int, stride: int = 32, window: bool = True) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True  # "[SEP]" typed by a user is text
        self.tokenizer = tokenizer
        self.max_length, self.window = max_length, window
        self.layout = _layout(tokenizer)
        self.stride = min(stride, (max_length - self.layout.cost) // 2)

    @classmethod
    def read(cls, path: Path, *, max_length: int, stride: int = 32, window: bool = True) -> Tokeniser:
        """From a `tokenizer.json`."""
        return cls(Tokenizer.from_file(str(path)), max_length=max_length, stride=stride, window=window)

    @property
    def pad(self) -> int:
        """The id of padding; it never reaches the model unmasked."""
        for name in ("[PAD]", "<pad>", "<|endoftext|>"):
            found = self.tokenizer.token_to_id(name)
            if found is not None:
                return int(found)
        return 0

    def add(self, tokens: Sequence[str]) -> int:
        """Adds tokens of a task; returns how many were new."""
        added = [AddedToken(token, special=False, normalized=False) for token in tokens]
        return int(self.tokenizer.add_tokens(added))

    def rows(self, documents: Sequence[Document], *, offsets: bool = False, separate: bool = False) -> Rows:
        """The rows of documents.

        Args:
            documents: texts, or pairs of texts.
            offsets: whether character offsets and words are needed (slower).
            separate: text and pair as rows of their own instead of one joined row.
        """
        texts = self._pieces([document.text for document in documents], documents, offsets)
        second = [document.pair for document in documents if document.pair is not None]
        pairs = iter(self._pieces(second, None, offsets))
        builder = _Builder(self.layout, offsets)
        truncated = 0
        for index, (document, text) in enumerate(zip(documents, texts, strict=True)):
            if document.pair is None:
                truncated += self._add_single(builder, index, text, separate)
            elif separate:
                lost = self._add_single(builder, index, text, True) + self._add_single(
                    builder, index, next(pairs), True
                )
                truncated += lost > 0
            else:
                truncated += self._add_pair(builder, index, text, next(pairs))
        return builder.rows(truncated)

    def knows(self, texts: Sequence[str]) -> list[bool]:
        """Whether each text can be said without the unknown token: else all such texts look alike to the encoder."""
        name = getattr(self.tokenizer.model, "unk_token", None)
        unknown = self.tokenizer.token_to_id(name) if name else None
        raws = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [bool(raw.ids) and (unknown is None or unknown not in raw.ids) for raw in raws]

    def count(self, texts: Sequence[str]) -> tuple[list[int], int, int]:
        """`(tokens of each text, characters that became the unknown token, characters)`."""
        unknown_name = getattr(self.tokenizer.model, "unk_token", None)
        unknown = self.tokenizer.token_to_id(unknown_name) if unknown_name else None
        lengths, lost = [], 0
        for raw in self.tokenizer.encode_batch(list(texts), add_special_tokens=False):
            lengths.append(len(raw.ids) + len(self.layout.before) + len(self.layout.after))
            if unknown is not None and unknown in raw.ids:
                lost += sum(b - a for token, (a, b) in zip(raw.ids, raw.offsets, strict=True) if token == unknown)
        return lengths, lost, sum(len(text) for text in texts)

    def _pieces(self, texts: list[str], documents: Sequence[Document] | None, offsets: bool) -> list[_Piece]:
        encode = self.tokenizer.encode_batch if offsets else self.tokenizer.encode_batch_fast
        try:
            raws = encode(texts, add_special_tokens=False)
        except TypeError:  # half of a surrogate pair cannot be said in UTF-8; one question mark stands for it
            raws = encode([text.encode("utf-8", "replace").decode() for text in texts], add_special_tokens=False)
        if not offsets:
            return [_Piece(np.array(raw.ids, dtype=np.int32), EMPTY, EMPTY) for raw in raws]
        owners: Sequence[Document | None] = documents if documents is not None else [None] * len(raws)
        return [_with_words(raw, document) for raw, document in zip(raws, owners, strict=True)]

    def _add_single(self, builder: _Builder, index: int, text: _Piece, separate: bool) -> bool:
        room = self.max_length - len(self.layout.before) - len(self.layout.after)
        for start, stop in self._windows(len(text.ids), room, windows=self.window and not separate):
            builder.add(index, text.cut(start, stop), None)
        return len(text.ids) > room and (separate or not self.window)

    def _add_pair(self, builder: _Builder, index: int, text: _Piece, pair: _Piece) -> bool:
        """Pairs share a row. The longer of the two is cut: into windows, or (both long) truncated first."""
        room = self.max_length - self.layout.cost
        if len(text.ids) + len(pair.ids) <= room:
            builder.add(index, text, pair)
            return False
        shorter = min(len(text.ids), len(pair.ids))
        kept = min(shorter, room // 2)
        lost = shorter > kept or not self.window
        if len(text.ids) <= len(pair.ids):
            for start, stop in self._windows(len(pair.ids), room - kept, windows=self.window):
                builder.add(index, text.cut(0, kept), pair.cut(start, stop))
        else:
            for start, stop in self._windows(len(text.ids), room - kept, windows=self.window):
                builder.add(index, text.cut(start, stop), pair.cut(0, kept))
        return lost

    def _windows(self, length: int, room: int, *, windows: bool) -> list[tuple[int, int]]:
        if length <= room or not windows:
            return [(0, min(length, room))]
        step = room - min(self.stride, room // 2)
        starts = range(0, length - room + step, step)
        return [(min(start, length - room), min(start, length - room) + room) for start in starts]


def _with_words(raw: RawEncoding, document: Document | None) -> _Piece:
    """Offsets, and whether each token is the first of its word: of the source's words, else of the tokenizer's."""
    ids = np.array(raw.ids, dtype=np.int32)
    offsets = np.array(raw.offsets, dtype=np.int32).reshape(-1, 2)
    if document is not None and document.tokens:
        ends = np.array([end for _, end in document.tokens], dtype=np.int32)
        words = np.searchsorted(ends, offsets[:, 0], side="right")
    else:
        words = np.array([-1 if word is None else word for word in raw.word_ids], dtype=np.int32)
    first = np.ones(len(ids), dtype=bool)
    first[1:] = words[1:] != words[:-1]
    return _Piece(ids, offsets, first & (offsets[:, 1] > offsets[:, 0]))


class _Builder:
    """Gathers rows and lays them out flat."""

    def __init__(self, layout: Layout, offsets: bool) -> None:
        self.layout, self.offsets = layout, offsets
        self.owner: list[int] = []
        self.ids: list[np.ndarray] = []
        self.types: list[np.ndarray] = []
        self.details: list[np.ndarray] = []

    def add(self, owner: int, text: _Piece, pair: _Piece | None) -> None:
        """One row: special tokens, the text, and its pair if there is one."""
        layout = self.layout
        parts = [layout.before, text.ids] + ([layout.between, pair.ids] if pair is not None else []) + [layout.after]
        ids = np.concatenate(parts)
        types = np.zeros(len(ids), dtype=np.int32)
        first = len(layout.before) + len(text.ids)
        if pair is not None:
            boundary = first + (len(layout.between) + 1) // 2
            types[:boundary], types[boundary:] = layout.pair_types
        self.owner.append(owner)
        self.ids.append(ids)
        self.types.append(types)
        if self.offsets:
            details = np.zeros((len(ids), 4), dtype=np.int32)
            details[:, 2] = -1
            _describe(details[len(layout.before) : first], text, 0)
            if pair is not None:
                begin = first + len(layout.between)
                _describe(details[begin : begin + len(pair.ids)], pair, 1)
            self.details.append(details)

    def rows(self, truncated: int) -> Rows:
        """All that was added."""
        lengths = np.array([len(ids) for ids in self.ids], dtype=np.int64)
        details = np.concatenate(self.details) if self.details else np.zeros((0, 4), dtype=np.int32)
        return Rows(
            ids=np.concatenate(self.ids) if self.ids else EMPTY,
            types=np.concatenate(self.types) if self.types else EMPTY,
            bounds=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            owner=np.array(self.owner, dtype=np.int64),
            start=details[:, 0],
            end=details[:, 1],
            sequence=details[:, 2],
            word=details[:, 3].astype(bool),
            truncated=truncated,
        )


def _describe(details: np.ndarray, piece: _Piece, sequence: int) -> None:
    details[:, :2] = piece.offsets
    details[:, 2] = sequence
    details[:, 3] = piece.word


def _layout(tokenizer: Tokenizer) -> Layout:
    """Reads off two probes where the tokenizer puts its special tokens."""
    single = tokenizer.encode("a")
    pair = tokenizer.encode("a", "a")
    content = [index for index, special in enumerate(pair.special_tokens_mask) if not special]
    ids, types = np.array(pair.ids, dtype=np.int32), pair.type_ids
    lone = [index for index, special in enumerate(single.special_tokens_mask) if not special]
    if not content or not lone:
        return Layout(EMPTY, EMPTY, EMPTY)
    gaps = np.flatnonzero(np.diff(content) > 1)
    last_of_text = content[int(gaps[0])] if len(gaps) else content[len(content) // 2 - 1]
    first_of_pair = content[int(gaps[0]) + 1] if len(gaps) else content[len(content) // 2]
    layout = Layout(
        before=ids[: content[0]],
        between=ids[last_of_text + 1 : first_of_pair],
        after=ids[content[-1] + 1 :],
    )
    return replace(layout, pair_types=(int(types[content[0]]), int(types[first_of_pair])))

"""A vocabulary without the tokens that a corpus has no use for, and the rows of the embedding matrix that go with them.

Half of a small encoder is its embedding matrix, of which a trade needs a part (Abdaoui, Pradel & Sigel 2020). What is
left cuts the corpus into exactly the same pieces, and any other text into pieces of its own: every single character
stays that there was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn

from metier.errors import RunError
from metier.models.adapters.tokens import Grown
from metier.models.encoder import Encoder
from metier.models.hub import HubEncoder
from metier.models.table import tokenised
from metier.models.tokeniser import Rows, Tokeniser
from metier.tasks.task import Task
from metier.types import Document

BYTE = re.compile(r"<0x[0-9A-F]{2}>")
"""What a byte is called by tokenizers that fall back to bytes."""
Model = dict[str, Any]
"""The model of a tokenizer, as its file describes it."""


@dataclass(frozen=True)
class Trimmed:
    """A tokeniser with fewer tokens, and what each of them was before: `kept`, old ids by new ones, ascending."""

    tokeniser: Tokeniser
    kept: np.ndarray


def trim(tokeniser: Tokeniser, documents: Sequence[Document], tasks: Mapping[str, Task]) -> Trimmed:
    """A tokeniser with the tokens of these documents, added and special tokens, and all single characters.

    Raises `RunError` for a tokenizer that is neither WordPiece, Unigram nor BPE.
    """
    before = tokenised(documents, tokeniser, tasks)
    wanted = set(np.unique(before.ids).tolist())
    while True:
        found = without(tokeniser, wanted)
        after = tokenised(documents, found.tokeniser, tasks)
        differing = _differing(before, after, found.kept, len(documents))
        if not differing:
            return found
        more = _inside([documents[index] for index in differing], tokeniser.tokenizer) - wanted
        if not more:
            raise RunError("The vocabulary cannot be trimmed: texts would be cut into other pieces.")
        wanted |= more


def without(tokeniser: Tokeniser, wanted: set[int]) -> Trimmed:
    """A tokeniser with the tokens of these ids and those that it cannot do without, numbered anew in their order."""
    saved = json.loads(tokeniser.tokenizer.to_str())
    model = saved["model"]
    if model["type"] not in KINDS:
        raise RunError(
            f"The vocabulary of a {model['type']} tokenizer cannot be trimmed.", expected=", ".join(sorted(KINDS))
        )
    known = _known(model)
    names = {number: token for token, number in known.items()}
    added = {int(item["id"]): str(item["content"]) for item in saved["added_tokens"]}
    wanted = wanted | added.keys() | set(_numbers(saved["post_processor"]))
    chosen = {names[number] for number in wanted if number in names}
    chosen |= {token for token in known if BYTE.fullmatch(token)} | {str(model.get("unk_token"))} & known.keys()
    needed = KINDS[model["type"]](model, known, chosen)
    chosen |= {token for token in needed if not _alone(tokeniser.tokenizer, model, token)}
    inside = sorted(known[token] for token in chosen)
    kept = inside + sorted(number for number in added if number not in names)
    fresh = {old: new for new, old in enumerate(kept)}
    _renumber(saved, model, {token: fresh[known[token]] for token in chosen}, fresh)
    small = Tokenizer.from_str(json.dumps(saved, ensure_ascii=False))
    wrong = [name for old, new in fresh.items() if small.token_to_id(name := names.get(old) or added[old]) != new]
    if wrong:
        raise RunError(f"The vocabulary cannot be trimmed: {wrong[0]!r} is there more than once.")
    own = tokeniser.max_length, tokeniser.stride, tokeniser.window
    return Trimmed(Tokeniser(small, max_length=own[0], stride=own[1], window=own[2]), np.array(kept, dtype=np.int64))


def cut(encoder: Encoder | HubEncoder, kept: np.ndarray) -> None:
    """Leaves these rows of the token embedding, in this order."""
    words = encoder.words.whole() if isinstance(encoder.words, Grown) else encoder.words
    weight = words.weight.detach()[torch.from_numpy(kept).to(words.weight.device)].clone()
    fresh = {int(old): new for new, old in enumerate(kept)}
    padding = None if words.padding_idx is None else fresh.get(words.padding_idx)
    small = nn.Embedding(weight.shape[0], weight.shape[1], padding_idx=padding, _weight=weight)
    small.weight.requires_grad_(words.weight.requires_grad)
    encoder.replace_words(small)
    if isinstance(encoder, Encoder):
        encoder.shape = replace(encoder.shape, padding=fresh.get(encoder.shape.padding, 0))
        return
    for name, old in encoder.model.config.to_dict().items():
        if name.endswith("_token_id") and isinstance(old, int):
            setattr(encoder.model.config, name, fresh.get(old))


def _known(model: Model) -> dict[str, int]:
    """The ids of a model's tokens."""
    if model["type"] == "Unigram":
        return {piece: number for number, (piece, _) in enumerate(model["vocab"])}
    return dict(model["vocab"])


# -- what each kind of tokenizer cannot do without -------------------------------------------------------------------
def _word_piece(model: Model, known: Mapping[str, int], chosen: set[str]) -> set[str]:
    """Single characters, as they begin words and as they go on with them.

    Pieces with a character that is no piece of its own where it stands stay as well, or its words would be unknown.
    """
    mark = model["continuing_subword_prefix"]

    def parts(token: str) -> list[str]:
        inner = token.startswith(mark) and len(token) > len(mark)
        text = token[len(mark) :] if inner else token
        return [letter if place == 0 and not inner else mark + letter for place, letter in enumerate(text)]

    return {token for token in known if len(apart := parts(token)) == 1 or any(part not in known for part in apart)}


def _alone(tokenizer: Tokenizer, model: Model, token: str) -> bool:
    """Whether a piece goes on a word with a character that never does, as the normaliser puts spaces around it.

    Chinese BERT has such a piece for every character: a third of its vocabulary.
    """
    mark = model.get("continuing_subword_prefix") or ""
    letter = token.removeprefix(mark)
    if model["type"] != "WordPiece" or token == letter or len(letter) != 1 or tokenizer.normalizer is None:
        return False
    return f" {letter} " in tokenizer.normalizer.normalize_str(f"a{letter}a")


def _unigram(model: Model, known: Mapping[str, int], chosen: set[str]) -> set[str]:
    """Single characters, pieces with a character that is no piece of its own, the unknown token.

    The unlikeliest piece stays, too: what is unknown is as much unlikelier than that one, in every text.
    """
    rare = {min(model["vocab"], key=lambda item: item[1])[0]}
    rare |= set() if model["unk_id"] is None else {model["vocab"][model["unk_id"]][0]}
    return rare | {token for token in known if len(token) == 1 or any(letter not in known for letter in token)}


def _byte_pairs(model: Model, known: Mapping[str, int], chosen: set[str]) -> set[str]:
    """Single characters, and whatever the chosen tokens may have been merged from (Sennrich et al. 2016)."""
    mark, end = model["continuing_subword_prefix"] or "", model["end_of_word_suffix"] or ""
    made: dict[str, list[str]] = {}
    for first, second in _merges(model):
        made.setdefault(_merged(model, first, second), []).extend((first, second))
    found = {token for token in known if len(token.removeprefix(mark).removesuffix(end)) == 1}
    open_ends = [*chosen, *found]
    while open_ends:
        parts = [part for part in made.get(open_ends.pop(), ()) if part not in found and part not in chosen]
        found |= set(parts)
        open_ends += parts
    return found


KINDS: dict[str, Callable[[Model, Mapping[str, int], set[str]], set[str]]] = {
    "WordPiece": _word_piece,
    "Unigram": _unigram,
    "BPE": _byte_pairs,
}
"""By the kind of tokenizer: of its model, its tokens and those that are chosen, the further ones that it needs."""


def _merges(model: Model) -> list[tuple[str, str]]:
    """The merges of byte pairs, which files hold as pairs or as strings."""
    pairs = (item.split(" ") if isinstance(item, str) else item for item in model["merges"])
    return [(first, second) for first, second in pairs]


def _merged(model: Model, first: str, second: str) -> str:
    return first + second[len(model["continuing_subword_prefix"] or "") :]


# -- new numbers -----------------------------------------------------------------------------------------------------
def _renumber(saved: dict[str, Any], model: Model, tokens: Mapping[str, int], fresh: Mapping[int, int]) -> None:
    """Gives a tokenizer's file these tokens, and new numbers wherever it names old ones."""
    if model["type"] == "Unigram":
        model["vocab"] = [item for item in model["vocab"] if item[0] in tokens]
        model["unk_id"] = None if model["unk_id"] is None else fresh[model["unk_id"]]
    else:
        model["vocab"] = dict(sorted(tokens.items(), key=lambda item: item[1]))
    if model["type"] == "BPE":
        model["merges"] = [list(pair) for pair in _merges(model) if {*pair, _merged(model, *pair)} <= tokens.keys()]
    for item in saved["added_tokens"]:
        item["id"] = fresh[item["id"]]
    for holder, key in _places(saved["post_processor"]):
        holder[key] = fresh[holder[key]]


def _places(processor: dict[str, Any] | None) -> list[tuple[Any, Any]]:
    """Where a post-processor holds ids: what holds one, and at which key or index."""
    if processor is None:
        return []
    found: list[tuple[Any, Any]] = [place for one in processor.get("processors", ()) for place in _places(one)]
    found += [(processor[name], 1) for name in ("sep", "cls") if name in processor]
    special = processor.get("special_tokens", {})
    return found + [(item["ids"], at) for item in special.values() for at in range(len(item["ids"]))]


def _numbers(processor: dict[str, Any] | None) -> list[int]:
    """The ids that a post-processor puts around texts."""
    return [int(holder[key]) for holder, key in _places(processor)]


# -- the same pieces as before ---------------------------------------------------------------------------------------
def _differing(before: Rows, after: Rows, kept: np.ndarray, documents: int) -> list[int]:
    """The documents that are cut into other pieces."""
    old, new = _by_document(before, documents), _by_document(after, documents, kept)
    return [index for index, (one, other) in enumerate(zip(old, new, strict=True)) if not np.array_equal(one, other)]


def _by_document(rows: Rows, documents: int, names: np.ndarray | None = None) -> list[np.ndarray]:
    """The ids of each document's rows, which lie next to each other."""
    ids = rows.ids if names is None else names[rows.ids]
    ends = rows.bounds[np.searchsorted(rows.owner, np.arange(1, documents), side="left")]
    return np.split(ids, ends)


def _inside(documents: Sequence[Document], tokenizer: Tokenizer) -> set[int]:
    """The tokens that are found anywhere in unknown words of some documents.

    A word may be unknown although it could be cut up, because its longest first piece leaves a rest that is not there;
    without that piece it would be known, and another text to the network.
    """
    model = json.loads(tokenizer.to_str())["model"]
    mark, unknown = model.get("continuing_subword_prefix") or "", model.get("unk_token")
    found: set[int] = set()
    for text in {text for one in documents for text in (one.text, one.pair) if text}:
        normal = tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text
        cut_up = tokenizer.pre_tokenizer.pre_tokenize_str(normal) if tokenizer.pre_tokenizer else [(normal, (0, 0))]
        for word, _ in cut_up:
            if any(token.value == unknown for token in tokenizer.model.tokenize(word)):
                spans = [(start, end) for end in range(1, len(word) + 1) for start in range(end)]
                tokens = (tokenizer.token_to_id((mark if start else "") + word[start:end]) for start, end in spans)
                found |= {token for token in tokens if token is not None}
    return found

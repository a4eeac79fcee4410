"""Words and TF-IDF features of documents, for scripts with and without spaces."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from metier.types import Document

CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_CJK_CHARACTER = re.compile(f"[{CJK}]")
_WORD = re.compile(rf"[{CJK}]|[^\W{CJK}]+|[^\w\s]")
_MARKED = re.compile(r"</e\d>(.*?)<e\d>", re.DOTALL)

FEATURES = 50_000
CHARACTERS = {True: 1_500_000, False: 15_000_000}
"""How many characters of a corpus are counted, without spaces and with: about ten seconds of counting either way."""


def words(document: Document) -> Sequence[tuple[int, int]]:
    """The character offsets of the words of a text: its own tokens, or runs of letters and single CJK characters."""
    if document.tokens is not None:
        return document.tokens
    return [match.span() for match in _WORD.finditer(document.text)]


def unspaced(texts: Sequence[str]) -> bool:
    """Whether most letters of a corpus belong to a script that is written without spaces."""
    sample = "".join(text[:200] for text in texts[:1000])
    letters = sum(character.isalpha() for character in sample)
    return len(_CJK_CHARACTER.findall(sample)) > 0.3 * max(letters, 1)


def features(kind: str, documents: Sequence[Document], unseen: Sequence[Document]) -> tuple[Any, Any]:
    """TF-IDF matrices (CSR) of the training documents and of unseen ones, vocabulary from the former.

    A pair gives the features of both sides and those of what they share; `relate` adds the words between the marks.
    """
    from scipy.sparse import csr_matrix, hstack

    if all(document.pair is None for document in (*documents, *unseen)):
        parts = [([_text(d) for d in documents], [_text(d) for d in unseen])]
        if kind == "relate":
            parts.append(([_between(d) for d in documents], [_between(d) for d in unseen]))
        blocks = [_tfidf(train, held) for train, held in parts]
        return tuple(csr_matrix(hstack([block[side] for block in blocks])) for side in (0, 1))
    train_left, train_right = sides(documents, documents)
    held_left, held_right = sides(documents, unseen)
    return _joined(train_left, train_right), _joined(held_left, held_right)


def sides(documents: Sequence[Document], wanted: Sequence[Document]) -> tuple[Any, Any]:
    """TF-IDF of the texts and of the pairs of `wanted`, in one vocabulary, that of `documents`."""
    left, right = [_text(d) for d in documents], [d.pair or "" for d in documents]
    both = _tfidf(left + right, [_text(d) for d in wanted] + [d.pair or "" for d in wanted])[1]
    return both[: len(wanted)], both[len(wanted) :]


def _joined(left: Any, right: Any) -> Any:
    from scipy.sparse import csr_matrix, hstack

    shared = left.multiply(right)
    return csr_matrix(hstack([left, right, shared, csr_matrix(shared.sum(axis=1))]))


def _tfidf(train: Sequence[str], held: Sequence[str]) -> tuple[Any, Any]:
    """Words and pairs of words, or one to three characters where there are no spaces.

    Two to five characters cost three times as much and lost one to five points on three Chinese corpora.
    """
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer

    chinese = unspaced(train)
    cut = max(200, CHARACTERS[chinese] // max(len(train) + len(held), 1))
    vectorizer = TfidfVectorizer(
        analyzer="char" if chinese else "word",
        ngram_range=(1, 3) if chinese else (1, 2),
        token_pattern=None if chinese else r"(?u)\b\w+\b",
        sublinear_tf=True,
        max_features=FEATURES,
        dtype=np.float32,
    )
    try:
        fitted = vectorizer.fit_transform([text[:cut] for text in train])
    except ValueError:  # scikit-learn's word for a corpus without a single word
        return csr_matrix((len(train), 0)), csr_matrix((len(held), 0))
    return fitted, vectorizer.transform([text[:cut] for text in held]) if held else csr_matrix((0, fitted.shape[1]))


def _text(document: Document) -> str:
    return document.text


def _between(document: Document) -> str:
    found = _MARKED.search(document.text)
    return found.group(1) if found else ""

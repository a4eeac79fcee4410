"""Cleaning of texts: what nobody sees and no tokenizer expects is taken out, what people wrote stays.

Removed are zero-width and direction marks; control characters (NUL among them) become blanks; runs of white space
become one blank. Joiners stay (emoji and Persian are spelled with them), and so do emoji and right-to-left texts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

# The same classes are given to Python's engine and to polars': neither's own \s is used, for they differ.
BLANK = "\\x00-\\x20\\x7f-\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"
"""White space and control characters."""
HIDDEN = "\\xad\\u200b\\u200e\\u200f\\u202a-\\u202e\\u2060-\\u2064\\u2066-\\u206f\\ufeff"
"""Soft hyphen, zero-width blank, word joiner, byte order mark, direction marks."""
SURROGATES = re.compile("[\ud800-\udfff]")

_blanks, _hidden, _either = re.compile(f"[{BLANK}]+"), re.compile(f"[{HIDDEN}]+"), re.compile(f"[{BLANK}{HIDDEN}]")


def clean_text(text: str, keep_length: bool = False) -> str:
    """A text without control characters, zero-width characters, lone surrogates and superfluous white space.

    Args:
        text: any string; lone surrogates become U+FFFD.
        keep_length: replace one for one by blanks and leave the length as it is, so that span offsets stay valid.
    """
    if not text.isascii():
        text = SURROGATES.sub("\ufffd", text)
    elif text.isprintable() and (keep_length or "  " not in text):  # most texts: nothing to look for
        return text if keep_length else text.strip(" ")
    if keep_length:
        return _either.sub(" ", text)
    return _blanks.sub(" ", _hidden.sub("", text)).strip(" ")


def clean_series(texts: pl.Series, keep_length: bool = False) -> pl.Series:
    """`clean_text` of every text of a string column, nulls left alone (computed by polars)."""
    blank, hidden = rust_class(BLANK), rust_class(HIDDEN)
    if keep_length:
        return texts.str.replace_all(f"[{blank}{hidden}]", " ")
    return texts.str.replace_all(f"[{hidden}]+", "").str.replace_all(f"[{blank}]+", " ").str.strip_chars(" ")


def rust_class(characters: str) -> str:
    """A character class as Rust's `regex` writes it."""
    return re.sub(r"\\[xu]([0-9a-f]+)", r"\\x{\1}", characters)

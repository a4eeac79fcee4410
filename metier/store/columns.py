"""The types of the columns: the same value comes back from SQLite and from PostgreSQL, bit for bit."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Set
from typing import Any

from sqlalchemy import BigInteger, Dialect, Double, Integer, LargeBinary, Text, types

REPLACEMENT = "\ufffd"


def clean(text: str) -> str:
    """The text without what no database takes: NUL and halves of surrogate pairs, each replaced by U+FFFD, so that
    every other character stays where it was."""
    if text.isascii():
        return text.replace("\x00", REPLACEMENT) if "\x00" in text else text
    try:
        text.encode()
    except UnicodeEncodeError:
        text = "".join(REPLACEMENT if 0xD800 <= ord(character) < 0xE000 else character for character in text)
    return text.replace("\x00", REPLACEMENT)


def canonical(value: Any) -> str:
    """The one JSON text of a value: keys sorted, no blanks, floats as Python writes them (`NaN` and `Infinity`, too,
    which plain JSON lacks: a detector's state must come back as it was)."""
    return clean(_ENCODER.encode(value))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Set):
        return sorted(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if hasattr(value, "tolist"):  # NumPy's numbers and arrays
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=_plain)


class Words(types.TypeDecorator[str]):
    """Any text that came from outside."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else clean(value)


class Key(types.TypeDecorator[str]):
    """A text that rows are found and sorted by: in the order of code points on both databases."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> types.TypeEngine[Any]:
        return dialect.type_descriptor(Text(collation="C") if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else clean(value)


class Json(types.TypeDecorator[Any]):
    """Anything that JSON has, kept as its `canonical` text; Python's `None` is SQL's NULL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else canonical(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


class Real(types.TypeDecorator[float]):
    """A float of 64 bits. Times are seconds since 1970, UTC."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        return None if value is None else float(value)  # NumPy's, too


class Whole(types.TypeDecorator[int]):
    """An integer of 64 bits."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> types.TypeEngine[Any]:
        # only INTEGER counts up by itself in SQLite
        return dialect.type_descriptor(Integer() if dialect.name == "sqlite" else BigInteger())

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        return None if value is None else int(value)


class Packed(types.TypeDecorator[bytes]):
    """Bytes that only their owner reads."""

    impl = LargeBinary
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> bytes | None:
        return None if value is None else bytes(value)

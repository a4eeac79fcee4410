"""Where documents come from. A source is one small file with one seam, `Source`.

A source is asked for a little at a time; who does not ask gets nothing, and nothing piles up here. Where reading has
got to is a text, the position, which the caller keeps together with what came of the documents: a new object that is
given a kept position goes on exactly behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from metier.apps.monitor.item import Received

DOCUMENT = 10 << 20
"""Bytes of one document; a longer one is not read into memory but set aside with its beginning."""
BATCH = 16 << 20
"""Bytes after which a batch ends, however few documents it holds; the last one may pass it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one `read` brought.

    Args:
        received: the documents, those that could not be read (`Received.fault`) among them, in the order of the source.
        position: where the next `read` goes on; to be kept in the same transaction as what came of `received`.
        ended: whether nothing will ever follow.
        fault: what keeps the source from going on now, one line for people; empty where nothing does. Nothing is lost,
            and the source tries again by itself.
        behind: whether documents are there that cannot be given yet: the stream is not silent, whatever the clock says.
    """

    received: Sequence[Received]
    position: str
    ended: bool = False
    fault: str = ""
    behind: bool = False


@runtime_checkable
class Source(Protocol):
    """Documents, a batch at a time."""

    name: str

    def read(self, position: str, limit: int, wait: float) -> Batch:
        """At most `limit` documents behind `position` (`""`: from the beginning).

        Waits up to `wait` seconds for the first one; returns as soon as there is any. The position that is given is
        either the one of the last batch, or an earlier one that was kept: then what followed it comes again.
        """
        ...

    def acknowledge(self, position: str) -> None:
        """Everything before `position` was kept: the source may forget it."""
        ...

    def close(self) -> None:
        """Ends a `read` that waits in another thread, and lets go of files and connections."""
        ...

"""What private data stood where, in memory alone: of conversations that go on, for an hour, and never stored."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from metier.data.private.found import Masked

KEPT = 3600.0
MOST = 10_000


class Originals:
    """The masks of messages by their numbers; the oldest go first.

    Args:
        seconds: that one is kept.
        most: that are kept.
        clock: in seconds.
    """

    def __init__(self, seconds: float = KEPT, most: int = MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._most, self._clock = seconds, most, clock
        self._kept: OrderedDict[tuple[str, int], tuple[float, Masked | str]] = OrderedDict()
        self._turn = threading.Lock()

    def keep(self, conversation: str, number: int, masked: Masked | str) -> None:
        """Remembers what a message masked, or the whole of an answer; nothing, where nothing was private."""
        if isinstance(masked, Masked) and not masked.found:
            return
        with self._turn:
            self._kept[conversation, number] = (self._clock(), masked)
            while len(self._kept) > self._most or next(iter(self._kept.values()))[0] < self._clock() - self._seconds:
                self._kept.popitem(last=False)

    def shown(self, conversation: str, number: int, text: str) -> str:
        """A text with what is still remembered in its places."""
        with self._turn:
            at, masked = self._kept.get((conversation, number), (0.0, None))
        if masked is None or at < self._clock() - self._seconds:
            return text
        return masked if isinstance(masked, str) else masked.fill(text)

    def forget(self, conversation: str) -> None:
        """Lets go of all that a conversation said."""
        with self._turn:
            for key in [key for key in self._kept if key[0] == conversation]:
                del self._kept[key]

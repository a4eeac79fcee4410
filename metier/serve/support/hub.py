"""Who listens is told that something happened, and looks in the store what it was.

A note says no more than where to look. Notes that say the same are one, so that a slow reader falls behind by a look
and not by a queue; one for whom too many wait is told to look at everything.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

from metier.store.conversations import Message

DESK = ""
"""The topic of people: of every conversation. The other topics are the ids of conversations."""
MOST = 256
"""Notes that wait for one reader."""
HEARD = 20_000
Kind = Literal["message", "state", "queue", "typing", "reload", "stop"]


@dataclass(frozen=True, slots=True)
class Note:
    """That something happened: a message was kept, a conversation or the queue changed, somebody is typing; `reload`:
    too much happened to say what; `stop`: nothing more will."""

    kind: Kind
    conversation: str = ""
    who: str = ""


RELOAD, STOP = Note("reload"), Note("stop")


class Subscription:
    """What one reader is told; made in its event loop."""

    def __init__(self, hub: Hub, topics: tuple[str, ...]) -> None:
        self._hub, self.topics = hub, topics
        self._loop = asyncio.get_running_loop()
        self._waiting: OrderedDict[Note, None] = OrderedDict()
        self._there = asyncio.Event()

    def put(self, note: Note) -> None:
        """Tells the reader, from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._add, note)
        except RuntimeError:  # its loop has ended, and so has the reader
            self._hub.leave(self)

    def _add(self, note: Note) -> None:
        if len(self._waiting) >= MOST and note is not STOP:
            self._waiting.clear()
            note = RELOAD
        self._waiting[note] = None
        self._there.set()

    async def next(self, seconds: float | None = None) -> Note | None:
        """The next note; `None` after so many seconds without one."""
        try:
            async with asyncio.timeout(seconds):
                await self._there.wait()
        except TimeoutError:
            return None
        note, _ = self._waiting.popitem(last=False)
        if not self._waiting:
            self._there.clear()
        return note

    def __enter__(self) -> Subscription:
        self._hub.join(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hub.leave(self)


class Hub:
    """Publish and subscribe within this process; `follow.Follower` adds what others write."""

    def __init__(self) -> None:
        self._topics: dict[str, set[Subscription]] = {}
        self._turn = threading.Lock()
        self._heard: OrderedDict[int, None] = OrderedDict()
        self._stopped = False

    def subscribe(self, *topics: str) -> Subscription:
        """`with hub.subscribe(id) as notes:` `await notes.next()`; no topic: everything, as people see it."""
        return Subscription(self, topics or (DESK,))

    def hear(self, message: Message) -> None:
        """What `Support` tells of every message that is kept; from any thread."""
        with self._turn:
            self._heard[message.number] = None
            if len(self._heard) > HEARD:
                self._heard.popitem(last=False)
        self.said(message.conversation)

    def heard(self, number: int) -> bool:
        """Whether this process wrote a message itself, or told of it already; it is remembered."""
        with self._turn:
            there = number in self._heard
            self._heard[number] = None
            if len(self._heard) > HEARD:
                self._heard.popitem(last=False)
            return there

    def said(self, conversation: str) -> None:
        """Something was said in a conversation."""
        self._tell(Note("message", conversation), conversation, DESK)

    def changed(self, conversation: str) -> None:
        """The state of a conversation changed, and with it perhaps the queue."""
        self._tell(Note("state", conversation), conversation, DESK)
        self.queue_changed()

    def queue_changed(self) -> None:
        """Who waits, or in which order, changed: everybody who waits may have another place."""
        with self._turn:
            topics = tuple(self._topics)
        self._tell(Note("queue"), *topics)

    def typing(self, conversation: str, who: str) -> None:
        """Somebody types in a conversation: `visitor`, or the name of a person. Nothing of it is kept."""
        self._tell(Note("typing", conversation, who), conversation, DESK)

    def stop(self) -> None:
        """Sends every reader home."""
        with self._turn:
            self._stopped = True
            topics = tuple(self._topics)
        self._tell(STOP, *topics)

    def _tell(self, note: Note, *topics: str) -> None:
        with self._turn:
            readers = {one for topic in topics for one in self._topics.get(topic, ())}
        for one in readers:
            one.put(note)

    def readers(self, topic: str) -> int:
        """How many listen to a topic."""
        with self._turn:
            return len(self._topics.get(topic, ()))

    def join(self, reader: Subscription) -> None:
        """Tells a reader from now on."""
        with self._turn:
            for topic in reader.topics:
                self._topics.setdefault(topic, set()).add(reader)
            stopped = self._stopped
        if stopped:
            reader.put(STOP)

    def leave(self, reader: Subscription) -> None:
        """Tells a reader nothing any more."""
        with self._turn:
            for topic in reader.topics:
                readers = self._topics.get(topic, set())
                readers.discard(reader)
                if not readers:
                    self._topics.pop(topic, None)

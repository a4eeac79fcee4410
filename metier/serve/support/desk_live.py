"""The socket of a person: the queue as it changes, what is said in their conversations, who is typing."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, WebSocket
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocketDisconnect

from metier.errors import MetierError
from metier.serve.doors.door import Caller, require_same_origin
from metier.serve.problems import Problem
from metier.serve.support import views
from metier.serve.support.desk import is_typing, waiting
from metier.serve.support.hub import Note, Subscription
from metier.serve.support.live import AWAY, both, read
from metier.serve.support.office import Office
from metier.serve.support.schema import OfPerson
from metier.store import conversations
from metier.store.conversations import Conversation, Message

LOOK = 15.0
"""Seconds between two looks whether the person may still be here."""
SHUT = 4401
router = APIRouter()


@router.websocket("/v1/desk/live")
async def live(socket: WebSocket) -> None:
    at: Office = socket.app.state.console
    await socket.accept()
    with suppress(WebSocketDisconnect, RuntimeError):
        try:
            caller = await run_in_threadpool(at.door.require, socket, "viewer", "GET")
            if caller.kind != "key":
                require_same_origin(socket)
        except Problem as problem:
            await socket.send_json({"event": "problem", **problem.document()})
            await socket.close(SHUT)
            return
        with at.hub.subscribe() as notes:
            await both(socket, Telling(socket, at, caller).run(notes), _listen(socket, at, caller))


async def _listen(socket: WebSocket, at: Office, caller: Caller) -> None:
    while True:
        text = await socket.receive_text()
        try:
            said = read(text, at, OfPerson)
            if not caller.may("analyst"):
                raise Problem(403, f"The role {caller.role} may not do this; it takes the role analyst.")
            if said.present:
                await run_in_threadpool(at.support.present, caller.name)
            if said.typing:
                await run_in_threadpool(is_typing, at, caller, said.typing)
        except (Problem, MetierError) as error:
            problem = error if isinstance(error, Problem) else Problem(422, str(error))
            await socket.send_json({"event": "problem", **problem.document()})


class Telling:
    """What one person is told."""

    def __init__(self, socket: WebSocket, at: Office, caller: Caller) -> None:
        self.socket, self.at, self.caller = socket, at, caller
        self.seen: dict[str, int] = {}
        self.looked = time.monotonic()

    async def run(self, notes: Subscription) -> None:
        """Tells until the person is gone, or may not be here any more."""
        await self.everything()
        while True:
            note = await notes.next(LOOK)
            if note is not None and note.kind == "stop":
                await self.socket.close(AWAY)
                return
            if note is not None:
                await self.tell(note)
            if time.monotonic() - self.looked >= LOOK:
                self.looked = time.monotonic()
                if await run_in_threadpool(self.at.door.again, self.caller) is None:
                    await self.socket.close(SHUT)
                    return

    async def everything(self) -> None:
        """The queue and one's own conversations, as they are now."""
        own = await run_in_threadpool(self._own)
        self.seen = {one.id: number for one, number in own}
        rows = [self._row(one) for one, _ in own]
        await self.send("ready", **await run_in_threadpool(waiting, self.at), own=rows)

    async def tell(self, note: Note) -> None:
        """What a note is about."""
        if note.kind == "reload":
            await self.everything()
        elif note.kind == "queue":
            await self.send("queue", **await run_in_threadpool(waiting, self.at))
        elif note.kind == "typing":
            if note.who != self.caller.name and note.conversation in self.seen:
                await self.send("typing", conversation=note.conversation, name=note.who)
        else:
            await self._conversation(note)

    async def _conversation(self, note: Note) -> None:
        """What is new in a conversation that is, or just was, one's own."""
        found, said = await run_in_threadpool(self._look, note.conversation)
        if found is None:
            return
        for one in said:
            self.seen[found.id] = one.number
            await self.send("message", conversation=found.id, message=views.desk_message_row(one))
        if note.kind == "state" or not said:
            await self.send("conversation", conversation=self._row(found))
        if found.agent != self.caller.name or found.state != "human":
            self.seen.pop(found.id, None)

    def _look(self, id: str) -> tuple[Conversation | None, list[Message]]:
        with self.at.store.read() as connection:
            found = conversations.get(connection, id)
            mine = found is not None and found.agent == self.caller.name and found.state == "human"
            if found is None or not (mine or id in self.seen):
                return None, []
            if id not in self.seen:
                latest = conversations.latest(connection, id, 1)
                self.seen[id] = latest[-1].number if latest else 0
                return found, []
            return found, conversations.transcript(connection, id, self.seen[id], 200)

    def _own(self) -> list[tuple[Conversation, int]]:
        with self.at.store.read() as connection:
            own = conversations.of_agent(connection, self.caller.name)
            latest = [(one, conversations.latest(connection, one.id, 1)) for one in own]
        return [(one, last[-1].number if last else 0) for one, last in latest]

    def _row(self, one: Conversation) -> dict[str, Any]:
        return views.desk_row(one, self.at.clock(), self.at.asked.handover.warn)

    async def send(self, event: str, **values: Any) -> None:
        await self.socket.send_text(json.dumps({"event": event, **values}, ensure_ascii=False))

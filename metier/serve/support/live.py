"""The socket of a customer: what is said as it is kept, answers a sentence at a time, the state, who is typing.

The token comes as a subprotocol (`metier.chat`, `bearer.TOKEN`: a browser can set no header here) or in the first
message, and never in the address, which logs keep.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, WebSocket
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocketDisconnect

from metier.apps.support.support import Missing
from metier.data.sentences import sentences
from metier.errors import MetierError, StoreGone
from metier.serve import body
from metier.serve.doors.schema import Number
from metier.serve.problems import Problem, overloaded
from metier.serve.support import views
from metier.serve.support.hub import Note, Subscription
from metier.serve.support.office import Office
from metier.serve.support.schema import OfCustomer
from metier.store.conversations import Conversation, Message

PROTOCOL, BEARER = "metier.chat", "bearer."
PATIENCE = 10.0
"""Seconds for the first message."""
GONE, AWAY, LATER = 4404, 1012, 1013
SOCKETS = 10
"""Of one conversation at a time."""
router = APIRouter()


@router.websocket("/v1/chat/conversations/{id}/live")
async def live(socket: WebSocket, id: str, after: Number = 0) -> None:
    at: Office = socket.app.state.console
    offered = socket.scope.get("subprotocols", [])
    token = next((one.removeprefix(BEARER) for one in offered if one.startswith(BEARER)), "")
    await socket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
    with suppress(WebSocketDisconnect, RuntimeError):
        try:
            if not token:
                token, after = await _first(socket, at, after)
            own = await run_in_threadpool(at.own, id, token)
            if at.hub.readers(own.id) >= SOCKETS:
                raise Problem(429, f"This conversation is open {SOCKETS} times already.")
        except (Problem, Missing) as error:
            problem = error if isinstance(error, Problem) else Problem(404, str(error))
            await socket.send_json({"event": "problem", **problem.document()})
            await socket.close(4000 + problem.status)
            return
        with at.hub.subscribe(own.id) as notes:
            await both(socket, Telling(socket, at, own, after).run(notes), _listen(socket, at, own.id))


async def both(socket: WebSocket, telling: Any, listening: Any) -> None:
    """Talks and listens until either ends; where the store is away, the other side is told to come back."""
    tasks = [asyncio.ensure_future(telling), asyncio.ensure_future(listening)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            one.result()
    except StoreGone:
        await socket.close(LATER)
    finally:
        for one in tasks:
            one.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _first(socket: WebSocket, at: Office, after: int) -> tuple[str, int]:
    """The token, and from which number on messages are told, of the first message. Raises `Problem` 401."""
    try:
        async with asyncio.timeout(PATIENCE):
            said = read(await socket.receive_text(), at, OfCustomer)
    except TimeoutError:
        raise Problem(401, "The first message has to bring the token.") from None
    if not said.token:
        raise Problem(401, "The first message has to bring the token.")
    return str(said.token), said.after or after


def read(text: str, at: Office, form: Any) -> Any:
    """A message of the other side. Raises `Problem` 400 or 422."""
    try:
        return form.model_validate(body.parse(text.encode("utf-8", "surrogatepass"), at.settings.limits.depth))
    except ValidationError as error:
        wrong = error.errors()[0]
        raise Problem(422, f"{'.'.join(map(str, wrong['loc'])) or 'the message'}: {wrong['msg']}") from None


async def _listen(socket: WebSocket, at: Office, id: str) -> None:
    """Takes what the customer's side sends, one at a time."""
    while True:
        text = await socket.receive_text()
        try:
            await _take(socket, at, id, read(text, at, OfCustomer))
        except Problem as problem:
            await socket.send_json({"event": "problem", **problem.document(), "headers": problem.headers})
        except StoreGone as error:
            await socket.send_json({"event": "problem", **overloaded(str(error), 5.0).document()})
        except MetierError as error:
            await socket.send_json({"event": "problem", **Problem(422, str(error)).document()})


async def _take(socket: WebSocket, at: Office, id: str, said: OfCustomer) -> None:
    if said.typing:
        at.hub.typing(id, "visitor")
    if said.text is not None:
        found = await at.receive(id, said.text, said.id)
        await socket.send_json({"event": "kept", "id": found.message.id, "number": found.message.number})


class Telling:
    """What one customer is told.

    Args:
        socket: is open.
        at: the service.
        own: the conversation.
        after: the number of the last message that the customer's side has.
    """

    def __init__(self, socket: WebSocket, at: Office, own: Conversation, after: int) -> None:
        self.socket, self.at, self.own, self.after = socket, at, own, after
        self.told: dict[str, Any] = {}

    async def run(self, notes: Subscription) -> None:
        """Tells until there is nobody to tell, or nothing."""
        await self.catch_up(fresh=False)
        await self.state()
        while (note := await notes.next()) is not None and note.kind != "stop":
            if not await self.tell(note):
                break
        else:
            await self.socket.close(AWAY)
            return
        await self.socket.close(GONE)

    async def tell(self, note: Note) -> bool:
        """What a note is about; whether the conversation is still there."""
        if note.kind == "typing":
            if note.who != "visitor":
                await self.send("typing", name=note.who)
            return True
        if note.kind == "queue" and self.told.get("state") == "bot":
            return True
        if note.kind in ("message", "reload"):
            await self.catch_up(fresh=True)
        return await self.state()

    async def catch_up(self, *, fresh: bool) -> None:
        """Everything that was said and not told; answers that are just given, a sentence at a time."""
        while True:
            found = await run_in_threadpool(self.at.support.transcript, self.own.id, self.after, 200, plain=True)
            for one in found:
                self.after = one.number
                await self.message(one, fresh)
            if len(found) < 200:
                return

    async def message(self, one: Message, fresh: bool) -> None:
        row = views.message_row(one)
        if one.author != "bot":
            await self.send("message", message=row)
            return
        if fresh:
            for at, sentence in enumerate(sentences(one.text)):
                await self.send("sentence", number=one.number, answers=one.answers, at=at, text=sentence)
        await self.send("reply", message=row)

    async def state(self) -> bool:
        """Tells the state, and the place in the queue, where they are others than before; whether it is there still."""
        self.own = await run_in_threadpool(self.at.support.get, self.own.id)
        if self.own.erased is not None:
            return False
        now = await run_in_threadpool(self.at.state, self.own)
        kept = {name: now[name] for name in ("state", "agent", "position")}
        if kept != self.told:
            await self.send("state", **kept)
        self.told = kept
        return True

    async def send(self, event: str, **values: Any) -> None:
        await self.socket.send_text(json.dumps({"event": event, **values}, ensure_ascii=False))

"""Where outside channels send what their customers write."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from metier.serve import body
from metier.serve.problems import CLOSE, Problem
from metier.serve.support.channels import conversation_of
from metier.serve.support.office import At, Office, called
from metier.serve.support.pool import told
from metier.serve.support.schema import Heard
from metier.store import conversations
from metier.store.conversations import Message

router = APIRouter(prefix="/v1/channels", tags=["channels"])


@router.post(
    "/{name}", status_code=202, summary="A message of a customer; signed as the Standard Webhooks specification has it"
)
async def hear(at: At, request: Request, response: Response, name: str) -> dict[str, Any]:
    """`webhook-id`, `webhook-timestamp`, `webhook-signature: v1,BASE64(HMAC-SHA256(secret, ID.TIMESTAMP.BODY))`; the
    body is `{"conversation": ..., "id": ..., "text": ...}`. A message that came before is taken once (200)."""
    try:
        async with asyncio.timeout(at.settings.limits.body_seconds):
            content = await request.body()
    except TimeoutError:
        raise Problem(408, "The body took too long.", headers=CLOSE) from None
    channel = at.channels.require(name, request.headers, content)
    try:
        said = Heard.model_validate(body.parse(content, at.settings.limits.depth))
    except ValidationError as error:
        wrong = error.errors()[0]
        raise Problem(422, f"{'.'.join(map(str, wrong['loc'])) or 'the body'}: {wrong['msg']}") from None
    own = await run_in_threadpool(conversation_of, at.support, channel, said.conversation, said.language)
    at.messages.take(own.id)
    kept, repeated = await _keep(at, own.id, said)
    response.status_code = 200 if repeated else 202
    return {"conversation": said.conversation, "id": said.id, "number": kept.number, "repeated": repeated}


async def _keep(at: Office, id: str, said: Heard) -> tuple[Message, bool]:
    """The message as it is kept, and whether it was before; the answer follows."""

    def there() -> Message | None:
        with at.store.read() as connection:
            return conversations.find(connection, id, said.id)

    before = await run_in_threadpool(there)
    if before is not None:
        return before, True
    place = at.pool.place()
    try:
        kept = await run_in_threadpool(at.support.keep, id, said.text, said.id)
    except BaseException:
        place.give_back()
        raise

    def answer() -> None:
        if called(at.support.receive(id, said.text, said.id)):
            at.hub.changed(id)

    place.start(answer).add_done_callback(told)
    return kept, False

"""Where customers, the bot and people meet: every message is kept before it is acknowledged, answered once, in order.

`Support` is used from many threads. Acts on one conversation take turns in this process; between processes the version
of the conversation decides who was first.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from metier.apps.support.answer.answerer import SURE_OUTSIDE, Answered, Answerer
from metier.apps.support.conversation import Act, Refused, act
from metier.apps.support.hours import Hours
from metier.apps.support.item import Context
from metier.apps.support.notices import Words, announced, answer_id, queued
from metier.apps.support.originals import Originals
from metier.data.private.found import REGIONS, Masked, Rules
from metier.data.private.mask import mask
from metier.errors import DataError, MetierError
from metier.store import audit, conversations, deliveries
from metier.store.columns import clean
from metier.store.conversations import Conversation, Message
from metier.store.deliveries import Delivery
from metier.store.store import Store
from metier.store.works import Works
from metier.types import new_id

logger = logging.getLogger(__name__)
WEB = "web"
STRIPES = 256
ABANDONED = 20.0
"""Seconds after which a message without an answer is answered by whoever finds it: its process is gone."""
RECENT = 3_600.0
"""Seconds that are looked through for such messages again and again."""
TRIES = 5
BUSY = "Somebody else changes this conversation at the same time."
Hear = Callable[[Message], None]
Taking = Callable[[], tuple[Message, Conversation, bool]]
"""Waits for a message that goes to the disk."""


class Missing(MetierError):
    """A conversation that there is not, or that is somebody else's: which of both is not said."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What became of a message.

    Args:
        message: as it is kept.
        replies: what was said to it, as its customer sees it; none where a person answers, or the answer came before.
        conversation: as it is now.
    """

    message: Message
    replies: tuple[Message, ...]
    conversation: Conversation


@dataclass(frozen=True, slots=True)
class House:
    """How people are there: when, how long one may be silent, and where customers' telephones are."""

    hours: Hours
    lost: float = 90.0
    longest: int = 4_000
    regions: Sequence[str] = REGIONS


class Support:
    """Customer service over a store.

    Args:
        store: an open store.
        answerer: the bot.
        house: when people are there.
        hear: told every message when it is kept; quick, and called from any thread.
        clock: seconds since 1970.
    """

    def __init__(
        self, store: Store, answerer: Answerer, house: House, *, hear: Hear = lambda message: None,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.store, self.answerer, self.house = store, answerer, house
        self._hear, self._clock = hear, clock
        self._rules = Rules(regions=house.regions)
        self.originals = Originals()
        self._stripes = [threading.Lock() for _ in range(STRIPES)]
        self._works = Works(store)
        self._looked = 0.0

    def close(self) -> None:
        """Writes what waits."""
        self._works.close()

    # -- customers -----------------------------------------------------------------------------------------------
    def open(
        self, channel: str = WEB, language: str = "", *, id: str = "", token: str = "", visitor: str = ""
    ) -> tuple[Conversation, str]:
        """A new conversation, and the token that opens it again: whoever holds it is its customer.

        `visitor` is who writes by an outside channel, as that one calls them: no token opens such a conversation.
        """
        token = token or secrets.token_urlsafe(32)
        now = self._clock()
        known = language if language in ("en", "zh") else ""
        made = Conversation(
            id or new_id(), visitor or conversations.digest(token), "bot", now, now, channel, known,
            context=Context(language=known).kept(),
        )  # fmt: skip
        self._works.send(lambda connection: conversations.open_one(connection, made))()
        return made, token

    def of(self, id: str, token: str) -> Conversation:
        """A customer's conversation. Raises `Missing` where there is none that the token opens."""
        found = self.get(id)
        if not found.visitor or not secrets.compare_digest(found.visitor, conversations.digest(token)):
            raise Missing("There is no such conversation.", expected="its id and its token")
        return found

    def get(self, id: str) -> Conversation:
        """A conversation. Raises `Missing`."""
        with self.store.read() as connection:
            return _there(conversations.get(connection, id))

    def receive(self, id: str, text: str, message: str = "") -> Exchange:
        """Keeps what a customer says, and answers it where the bot does.

        Args:
            id: of the conversation.
            text: as it was written.
            message: the id that the customer's side gave it: sent twice, it is kept and answered once.

        Raises:
            Missing: where there is no such conversation.
            DataError: for a text that is too long.
            StoreError: where it could not be kept; it may be sent again.
        """
        self._require_length(text)
        masked = mask(text, rules=self._rules)
        with self._alone(id):
            taking = self._begin(id, masked, message or new_id())
            try:  # the answer is looked for while the message goes to the disk
                seen = self.get(id)
                answered = _answer(self.answerer, masked, text, seen) if seen.state == "bot" else None
            finally:
                said, conversation, new = self._taken(taking, masked)
            if conversation.state != "bot" or not (new or self._open(said)):
                return Exchange(said, (), conversation if new else self.get(id))
            if said.text != masked.text:  # the same id for something else: what was said first stands
                answered = _answer(self.answerer, mask(said.text, rules=self._rules), said.text, conversation)
            elif answered is None or conversation.context != seen.context:
                answered = _answer(self.answerer, masked, text, conversation)
            reply, now = self._reply(said, answered)
            shown = () if reply is None else (replace(reply, text=answered.shown) if reply.reply else reply,)
            return Exchange(said, shown, now)

    def keep(self, id: str, text: str, message: str) -> Message:
        """Keeps what a customer says and leaves the answer to `receive`, called with the same; raises as that does."""
        self._require_length(text)
        masked = mask(text, rules=self._rules)
        with self._alone(id):
            return self._taken(self._begin(id, masked, message), masked)[0]

    def call(self, id: str) -> Message:
        """A person is called without words: what the customer is told. Raises as `act` does."""
        with self._alone(id):
            now = self._clock()
            words = queued(self.house.hours, now)
            _, said = self._change(id, lambda seen: act(seen, "call", "visitor", now), "call", "visitor", words)
            assert said is not None  # an act changes something or is refused
            return said

    def transcript(self, id: str, after: int = 0, limit: int | None = None, *, plain: bool = False) -> list[Message]:
        """What was said behind message number `after`; `plain`: with what is still remembered of private data."""
        with self.store.read() as connection:
            found = conversations.transcript(connection, id, after, limit)
        if not plain:
            return found
        return [replace(one, text=self.originals.shown(id, one.number, one.text)) for one in found]

    def rate(self, id: str, rating: int, remark: str = "") -> None:
        """What a customer says of a conversation, 1 to 5. Raises `DataError` for anything else."""
        if not 1 <= rating <= 5:
            raise DataError(f"The rating is {rating}.", expected="1 to 5")
        words = mask(remark[: self.house.longest], rules=self._rules).text
        self._change(id, lambda seen: {"rating": rating, "remark": words})

    # -- people --------------------------------------------------------------------------------------------------
    def act(self, id: str, what: Act, who: str, agent: str = "") -> Conversation:
        """An act of a customer, a person or the house: see `metier.apps.support.conversation`.

        Raises:
            Refused: where the state does not allow it, or somebody else was faster.
            Missing: where there is no such conversation.
        """
        with self._alone(id):
            return self._act(id, what, who, agent)

    def _act(self, id: str, what: Act, who: str, agent: str = "") -> Conversation:
        now = self._clock()
        words = announced(what, agent, now)
        return self._change(id, lambda seen: act(seen, what, who, now, agent), what, agent or who, words)[0]

    def agent_says(self, id: str, agent: str, text: str, message: str = "") -> Message:
        """Keeps what a person says in a conversation that is theirs. Raises `Refused` where it is not."""
        masked, now = mask(text[: self.house.longest], rules=self._rules), self._clock()

        def values(seen: Conversation) -> dict[str, Any]:
            if seen.state != "human" or seen.agent != agent:
                raise Refused("This conversation is not yours.", expected="one that you took", hint="take it first")
            return {"seen": now}

        def words(connection: Connection, seen: Conversation) -> Message:
            last = [one.number for one in conversations.latest(connection, id, 20) if one.author == "visitor"]
            answers = last[-1] if last else None
            return Message(message or new_id(), id, "agent", masked.text, now, agent, answers, "person")

        with self._alone(id):
            _, said = self._change(id, values, words=words)
        assert said is not None  # as in `call`
        self._remember(said, masked)
        return said

    def present(self, agent: str) -> None:
        """A sign of a person: their conversations do not go back to the queue."""
        now = self._clock()
        with self.store.read() as connection:
            own = conversations.of_agent(connection, agent)
        for one in own:
            if one.seen is None or now - one.seen > self.house.lost / 4:
                self._change(one.id, lambda seen: {"seen": now} if seen.agent == agent else {})

    def sweep(self) -> int:
        """Puts conversations of people who went away back into the queue, and answers what was left without an answer
        by a process that is gone; how many of either. Called by one thread.

        The first look goes through all that was ever said, the later ones through the last hour.
        """
        now, count, failed = self._clock(), 0, list[float]()
        with self.store.read() as connection:
            left = conversations.left(connection, now - self.house.lost)
            open_ones = conversations.unanswered(connection, now - ABANDONED, self._looked)
        for one in left:
            try:
                self.act(one.id, "lost", "system", one.agent or "")
                count += 1
            except Refused:  # back meanwhile
                continue
        for message in open_ones:
            try:
                self.receive(message.conversation, message.text, message.id)
                count += 1
            except Exception:  # the others are answered all the same
                logger.exception("message %d has no answer", message.number)
                failed.append(message.at)
        self._looked = min(failed, default=now - RECENT)
        return count

    def masked(self, text: str) -> str:
        """A text as it may be kept."""
        return mask(text[: self.house.longest], rules=self._rules).text

    # -- parts ---------------------------------------------------------------------------------------------------
    def _begin(self, id: str, masked: Masked, message: str) -> Taking:
        """Sends what a customer says to the disk; with it a conversation begins again that was over."""
        now = self._clock()

        def keep(connection: Connection) -> tuple[Message, Conversation, bool]:
            seen = _there(conversations.get(connection, id))
            said = conversations.say(connection, Message(message, id, "visitor", masked.text, now))
            if seen.state != "resolved" or said.at != now:
                return said, seen, said.at == now
            changed = conversations.change(connection, seen, **act(seen, "reopen", "visitor", now))
            if changed is None:
                raise Refused(BUSY, hint="again in a moment")
            audit.append(connection, audit.Entry("visitor", "reopen", now, "conversation", id))
            return said, changed, True

        return self._works.send(keep)

    def _taken(self, taking: Taking, masked: Masked) -> tuple[Message, Conversation, bool]:
        """What a customer said, once it is on the disk, its conversation, and whether it is new."""
        said, conversation, new = taking()
        self._remember(said, masked)
        self._hear(said)
        return said, conversation, new

    def _reply(self, said: Message, answered: Answered) -> tuple[Message | None, Conversation]:
        """Keeps the bot's answer and what it remembers, where the conversation is still the bot's; which it is then."""
        reply = answered.reply
        bot = Message(
            answer_id(said.number), said.conversation, "bot", reply.text, self._clock(), answers=said.number,
            tier=reply.tier, intent=reply.intent or None, outside=reply.outside >= SURE_OUTSIDE, reply=reply.kept(),
        )  # fmt: skip
        if answered.calls:
            return self._called(said, answered.context)

        def keep(connection: Connection) -> tuple[Message | None, Conversation | None]:
            seen = conversations.get(connection, said.conversation)
            if seen is None or seen.state != "bot":
                return None, seen
            kept = conversations.say(connection, bot)
            _deliver(connection, seen, kept)
            known = {"context": answered.context.kept(), "language": answered.context.language}
            return kept, conversations.change(connection, seen, **known)

        kept, now = self._works.send(keep)()
        if kept is not None:
            if answered.shown != kept.text:
                self.originals.keep(kept.conversation, kept.number, answered.shown)
            self._hear(kept)
        return kept, now or self.get(said.conversation)

    def _called(self, said: Message, context: Context) -> tuple[Message | None, Conversation]:
        """Calls a person for a message, unless somebody is there already; what its customer is told."""
        now = self._clock()

        def values(seen: Conversation) -> dict[str, Any]:
            return {**act(seen, "call", "visitor", now), "context": context.kept()} if seen.state == "bot" else {}

        words = queued(self.house.hours, now, said.number, context.language)
        changed, told = self._change(said.conversation, values, "call", "visitor", words)
        return told, changed

    def _require_length(self, text: str) -> None:
        if len(text) > (most := self.house.longest):
            found = f"The message has {len(text):,} characters."
            raise DataError(found, expected=f"at most {most:,}", hint="send it in parts")

    def _open(self, said: Message) -> bool:
        """Whether a message that was there already waits for an answer."""
        with self.store.read() as connection:
            return not conversations.is_answered(connection, said.number)

    def _remember(self, kept: Message, masked: Masked) -> None:
        """What was masked in a message that was kept stays in memory."""
        if kept.text == clean(masked.text):
            self.originals.keep(kept.conversation, kept.number, masked)

    def _change(
        self, id: str, values: Callable[[Conversation], dict[str, Any]], what: str = "", who: str = "",
        words: Words | None = None,
    ) -> tuple[Conversation, Message | None]:  # fmt: skip
        """Sets columns of a conversation from what it is now; again, where somebody else was faster. With them, or not
        at all, are kept the entry in the audit log (`what`) and what is said of it (`words`)."""

        def keep(connection: Connection) -> tuple[Conversation | None, Message | None]:
            seen = _there(conversations.get(connection, id))
            wanted = values(seen)
            changed = conversations.change(connection, seen, **wanted) if wanted else seen
            if changed is None or not wanted:
                return changed, None
            if what:
                audit.append(connection, audit.Entry(who, what, self._clock(), "conversation", id))
            return changed, _told(connection, changed, words) if words is not None else None

        for _ in range(TRIES):
            changed, said = self._works.send(keep)()
            if changed is not None:
                if said is not None:
                    self._hear(said)
                return changed, said
        raise Refused(BUSY, hint="again in a moment")

    def _alone(self, id: str) -> threading.Lock:
        return self._stripes[hash(id) % STRIPES]


def _answer(answerer: Answerer, masked: Masked, text: str, seen: Conversation) -> Answered:
    return answerer.answer(masked, text, Context.of(seen.context))


def _there(found: Conversation | None) -> Conversation:
    if found is None:
        raise Missing("There is no such conversation.", expected="its id and its token")
    return found


def _told(connection: Connection, conversation: Conversation, words: Words) -> Message:
    kept = conversations.say(connection, words(connection, conversation))
    _deliver(connection, conversation, kept)
    return kept


def _deliver(connection: Connection, conversation: Conversation, message: Message) -> None:
    """Puts a message on its way to an outside channel."""
    if conversation.channel != WEB:
        deliveries.add(connection, Delivery(conversation.channel, conversation.id, message.number, message.at))

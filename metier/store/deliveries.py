"""Messages on their way to an outside channel: kept until they arrived, in their order, tried again until then."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from metier.store import bulk
from metier.store.support_tables import deliveries


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that a channel has to be told: `waiting`, `sent` or `given_up`; `again`: when it is tried next."""

    channel: str
    conversation: str
    message: int
    again: float
    state: str = "waiting"
    tries: int = 0
    fault: str = ""
    number: int = 0


def add(connection: Connection, delivery: Delivery) -> None:
    """Keeps a delivery, once a message."""
    there = select(deliveries.c.number).where(
        deliveries.c.channel == delivery.channel, deliveries.c.message == delivery.message
    )
    if connection.execute(there).first() is None:
        bulk.add_all(connection, deliveries, bulk.columns_of([delivery], "number"))


def due(connection: Connection, now: float, limit: int = 100, channel: str | None = None) -> list[Delivery]:
    """Those whose time has come, in order, of one channel or of all; of one conversation only the first that waits, so
    that none overtakes."""
    waits = select(deliveries).where(deliveries.c.state == "waiting").order_by(deliveries.c.number)
    if channel is not None:
        waits = waits.where(deliveries.c.channel == channel)
    found: dict[str, Delivery] = {}
    for one in bulk.read_each(Delivery, connection, waits):
        found.setdefault(one.conversation, one)
        if len(found) > 10 * limit:
            break
    return [one for one in found.values() if one.again <= now][:limit]


def claim(connection: Connection, delivery: Delivery, until: float) -> bool:
    """Whether a delivery that is due is the caller's to try: until a time nobody else gets it."""
    own = deliveries.c
    seen = (own.number == delivery.number, own.state == "waiting", own.again == delivery.again)
    return connection.execute(update(deliveries).where(*seen).values(again=until)).rowcount == 1


def done(connection: Connection, number: int, state: str, *, again: float = 0.0, fault: str = "") -> None:
    """What came of a try."""
    values = {"state": state, "tries": deliveries.c.tries + 1, "again": again, "fault": fault}
    connection.execute(update(deliveries).where(deliveries.c.number == number).values(values))

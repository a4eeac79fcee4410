"""How customer service did: volume, what answered, hand-overs, ratings, intents. Made of rows without texts, so that
erasure leaves them as they are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sqlalchemy import Connection, Integer, cast, func, select

from metier.store.support_tables import conversations, messages

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class ServiceFigures:
    """The figures of a stretch of time.

    Args:
        conversations: that were opened.
        questions: messages of customers.
        tiers: answers by the tier that gave them; of persons, `person`.
        days: questions of each day, by its start in UTC.
        intents: answers of each intent, the most frequent first.
        handed_over: conversations that had to wait for a person.
        outside: answers whose message most likely lay outside of what is known.
        ratings: how many of each, 1 to 5.
    """

    conversations: int = 0
    questions: int = 0
    tiers: dict[str, int] = field(default_factory=dict)
    days: dict[float, int] = field(default_factory=dict)
    intents: dict[str, int] = field(default_factory=dict)
    handed_over: int = 0
    outside: int = 0
    ratings: dict[int, int] = field(default_factory=dict)

    @property
    def resolution(self) -> float | None:
        """The share of conversations that no person was needed for; none where there was no conversation."""
        return 1 - self.handed_over / self.conversations if self.conversations else None

    @property
    def satisfaction(self) -> float | None:
        """The share of ratings that are 4 or 5 (CSAT); none where nobody rated."""
        total = sum(self.ratings.values())
        return sum(count for rating, count in self.ratings.items() if rating >= 4) / total if total else None


def figures(connection: Connection, since: float, until: float, intents: int = 10) -> ServiceFigures:
    """The figures from `since` to before `until`."""
    table, said = conversations.c, messages.c
    opened = (table.opened >= since, table.opened < until)
    at = (said.at >= since, said.at < until)
    tiers: Counter[str] = Counter()
    for tier, count in connection.execute(
        select(said.tier, func.count()).where(*at, said.tier.is_not(None)).group_by(said.tier)
    ):
        tiers[tier] = count
    day = cast(func.floor(said.at / DAY), Integer)
    counts = select(day, func.count()).where(*at, said.author == "visitor").group_by(day).order_by(day)
    days = {start * DAY: count for start, count in connection.execute(counts)}
    named = select(said.intent, func.count()).where(*at, said.intent.is_not(None), said.intent != "")
    most = named.group_by(said.intent).order_by(func.count().desc(), said.intent).limit(intents)
    rated = select(table.rating, func.count()).where(*opened, table.rating.is_not(None)).group_by(table.rating)
    over = select(func.count(func.distinct(said.conversation))).where(*at, said.tier == "handover")
    return ServiceFigures(
        int(connection.execute(select(func.count()).select_from(conversations).where(*opened)).scalar_one()),
        sum(days.values()),
        dict(tiers),
        days,
        {row[0]: row[1] for row in connection.execute(most)},
        int(connection.execute(over).scalar_one()),
        int(connection.execute(select(func.count()).select_from(messages).where(*at, said.outside)).scalar_one()),
        {int(rating): count for rating, count in connection.execute(rated)},
    )

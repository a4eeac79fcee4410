"""What customers, people and channels send."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from metier.serve.doors.schema import Body, Comment, Number

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:\-]{1,64}$")]
"""Given by who sends a message: sent twice, it is kept and answered once."""
TEXT = 200_000
"""Characters that any text may have; how many a message may have, the settings say."""
Text = Annotated[str, Field(max_length=TEXT)]


class Opened(Body):
    language: Literal["en", "zh", ""] = Field("", description="That its customer writes; empty: found from the text.")


class Said(Body):
    text: Text
    id: Id | None = None


class CustomerAct(Body):
    act: Literal["call", "leave", "reopen"]


class Rated(Body):
    rating: Annotated[int, Field(ge=1, le=5)]
    remark: Comment = ""


class Verdict(Body):
    verdict: Literal["right", "wrong", "corrected"]
    correction: Annotated[str, Field(min_length=1, max_length=4_000)] | None = None
    comment: Comment = ""


class Trial(Body):
    """How a candidate would stand in the knowledge."""

    merge: Annotated[str, Field(max_length=200, description="The entry whose question in other words it is.")] = ""
    answer: Annotated[str, Field(max_length=4_000, description="Where it is not the candidate's.")] = ""
    intent: Annotated[str, Field(max_length=200, description="Of a new entry; one that others have.")] = ""


class Refusal(Body):
    reason: Comment = ""


class AgentAct(Body):
    act: Literal["take", "return", "resolve", "hand_back"]


class Canned(Body):
    title: Annotated[str, Field(min_length=1, max_length=100)]
    text: Annotated[str, Field(min_length=1, max_length=4_000)]
    language: Literal["en", "zh", ""] = ""


class Heard(Body):
    """A message of an outside channel."""

    conversation: Annotated[str, Field(min_length=1, max_length=200)]
    id: Id
    text: Text
    language: Literal["en", "zh", ""] = ""


class OfCustomer(Body):
    """What a customer's side sends over the socket, one at a time."""

    token: Annotated[str, Field(max_length=200)] | None = None
    after: Number = Field(0, description="With the token: the last number that is known.")
    text: Text | None = None
    id: Id | None = None
    typing: bool = False


class OfPerson(Body):
    """What a person's page sends over the socket."""

    present: bool = False
    typing: Annotated[str, Field(max_length=64)] = Field("", description="The conversation that is typed in.")

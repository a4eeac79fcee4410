"""What programs send to the monitor. Times are seconds since 1970, UTC, or ISO 8601 with a zone."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from metier.serve.doors.schema import Body, Comment, Moment, Name, Number


class Said(Body):
    comment: Comment = ""


class Snoozed(Said):
    until: Moment | None = Field(description="None: at once again.")


class Judged(Said):
    verdict: Literal["true", "false", "unclear"]


class Remarked(Body):
    comment: Annotated[str, Field(min_length=1, max_length=2_000)]


class Owned(Body):
    owner: Name | None


class Silenced(Body):
    matchers: Annotated[str, Field(min_length=1, max_length=2_000)] = Field(examples=['topic="fraud"'])
    starts: Moment | None = None
    ends: Moment
    comment: Comment = ""


class Watched(Body):
    name: Name
    topics: Annotated[list[Name], Field(max_length=200)] = Field([])
    companies: Annotated[list[Name], Field(max_length=200)] = Field([])
    id: Annotated[str, Field(max_length=64)] = Field("", description="Of a list of one's own that is changed.")


class MissedEvent(Body):
    topic: Name = "*"
    company: Name = "*"
    starts: Moment
    ends: Moment
    comment: Comment = ""
    documents: Annotated[list[Name], Field(max_length=500)] = Field([])


class Feedback(Body):
    """What a document says was read wrongly. Without `correction` it is only known to be wrong."""

    document: Name
    head: Literal["topic", "sentiment", "company"]
    correction: Name | Annotated[list[Name], Field(max_length=200)] | None = None
    comment: Comment = ""


class Replayed(Body):
    numbers: Annotated[list[Number], Field(min_length=1, max_length=500)]
    contents: dict[str, str] = Field({}, description="Mended JSON, by number.")


class Settled(Body):
    names: Annotated[list[Name], Field(min_length=1, max_length=500)]

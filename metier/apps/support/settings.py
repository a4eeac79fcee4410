"""`support.toml`: what is known, what is asked for, how sure an answer must be, who answers when. Strict."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from metier.apps.support.hours import Hours
from metier.apps.tables import Length, Part, Words
from metier.apps.zones import zone_of
from metier.errors import RecipeError
from metier.recipe.mistakes import fill

Share = Annotated[float, Field(ge=0, le=1)]
Both = Mapping[Literal["en", "zh"], str]
"""A text in English and Chinese; where one is missing the other one is shown."""
KINDS = ("code", "date", "amount", "currency", "number", "email", "phone", "card", "text")
"""What a slot may be: `code` needs a pattern; `text` takes the whole next message."""


class SlotPart(Part):
    """One of `[slots]`: what an answer may need, such as the number of an order."""

    kind: Literal["code", "date", "amount", "currency", "number", "email", "phone", "card", "text"] = "text"
    pattern: str = ""
    """A regular expression of the whole value, of the kind `code`."""
    ask: Both = Field(default_factory=dict)
    """How it is asked for; empty: by its name."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.kind == "code") != bool(self.pattern):
            raise ValueError("a slot of the kind code needs a pattern, and no other kind has one")
        if len(self.pattern) > 200:
            raise ValueError("a pattern of a slot has at most 200 characters")
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"pattern is no regular expression: {error}") from None
        return self


class AnswersPart(Part):
    """The table `[answers]`: how sure the bot must be, and what it says when it is not."""

    right: Share = 0.85
    """The share of the answers given that shall be right, on the curve that the build measures."""
    given_up: Share = 0.02
    """The share of all questions in scope whose right answer may be lost by refusing what lies outside of all intents:
    the point on the other curve that the build measures."""
    offer: Share = 0.3
    """The calibrated score from which an entry is offered in a question back."""
    choices: Annotated[int, Field(ge=2, le=5)] = 3
    """Entries that a question back offers at most."""
    sentences: Annotated[int, Field(ge=1, le=6)] = 3
    """Sentences of an answer that is made of documents."""
    patience: Annotated[int, Field(ge=1)] = 2
    """Messages in a row without an answer after which a person is offered."""
    greeting: Both = Field(default_factory=dict)
    unknown: Both = Field(default_factory=dict)
    """What is said where nothing is known; empty: words of the house."""


class HandoverPart(Part):
    """The table `[handover]`: when people answer, and what happens when they do not."""

    hours: dict[str, str] = Field(default_factory=dict)
    """`mon-fri = "09:00-17:30"`; empty: always."""
    zone: str = "UTC"
    holidays: Annotated[tuple[date, ...], Field(strict=False)] = ()
    lost: Annotated[Length, Field(ge=10)] = 90.0
    """Seconds without a sign of the person after which the conversation is in the queue again."""
    warn: Annotated[Length, Field(gt=0)] = 120.0
    """The service level: seconds of waiting after which the desk warns."""

    @model_validator(mode="after")
    def _sane(self) -> Self:
        try:
            self.office()
        except RecipeError as error:
            raise ValueError(str(error)) from None
        return self

    def office(self) -> Hours:
        """As the conversation takes them."""
        zone = zone_of(self.zone)
        return Hours.read(self.hours, zone if isinstance(zone, ZoneInfo) else ZoneInfo("UTC"), self.holidays)


class GeneratorPart(Part):
    """The table `[generator]`: who writes answers out of what was found; empty: sentences are cited as they are."""

    endpoint: str = ""
    """Of an OpenAI-compatible server, such as `http://127.0.0.1:8080/v1`."""
    model: str = ""
    api_key_env: str = "OPENAI_API_KEY"
    timeout: Annotated[Length, Field(gt=0, le=120)] = 8.0

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if bool(self.endpoint) != bool(self.model):
            raise ValueError("endpoint and model belong together")
        return self


class ChannelPart(Part):
    """One of `[[channels]]`: an outside channel that sends messages by a webhook, and is told the answers by one."""

    name: Annotated[str, Field(pattern=r"[a-z][a-z0-9_-]{0,31}")]
    url: str
    """Where answers are sent to."""
    secret_env: str
    """The environment variable with the secret that both sides sign with (HMAC-SHA256)."""
    allow_private: bool = False
    """Whether the address may be on a machine of a private network."""


class ServicePart(Part):
    """The table `[service]`: who may write how much, and from which sites."""

    origins: Words = ()
    """Sites on which the widget may run, such as `https://www.example.com`; the service's own always may."""
    longest: Annotated[int, Field(ge=100, le=20_000)] = 4_000
    """Characters of a message."""
    per_minute: Annotated[int, Field(ge=1)] = 30
    """Messages of one visitor in a minute."""
    opened_per_hour: Annotated[int, Field(ge=1)] = 60
    """Conversations that one address may open in an hour."""
    kept: Annotated[Length, Field(ge=3600)] | None = None
    """The age at which a conversation that is over is erased; none: never."""

    @field_validator("origins")
    @classmethod
    def _origins(cls, found: tuple[str, ...]) -> tuple[str, ...]:
        for one in found:
            if not re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:]+", one):
                raise ValueError(f"{one!r} is no site; expected a scheme and a host, such as https://www.example.com")
        return found


class SupportSettings(Part):
    """The whole of `support.toml`."""

    name: str = "Support"
    """Whom customers talk to."""
    store: str = "support.db"
    """A file, or `postgresql://USER@HOST/DATABASE`."""
    built: str = "support.built"
    """The folder for what `metier support build` makes: runs and indexes, which can be built again."""
    faq: str = ""
    """A table: question, answer, and where there are any intent, category, language."""
    history: str = ""
    """Conversations of the past with the human's replies, JSON lines."""
    documents: str = ""
    """A folder of Markdown, HTML, text, PDF and DOCX files; changes in it are followed."""
    outside: str = ""
    """A table of questions that nobody here answers, in the column `question`."""
    run: str = ""
    """A run that tells intents; empty: `build` fits one where the questions suffice."""
    backbone: str = "minilm"
    """The encoder for search."""
    threads: Annotated[int, Field(ge=0)] = 0
    regions: Words = ("US", "GB", "DE", "FR", "NL", "ES", "IT", "CN")
    """Countries whose telephone numbers are known without their prefix."""
    slots: dict[Annotated[str, Field(pattern=r"[a-z][a-z0-9_]{0,31}")], SlotPart] = Field(default_factory=dict)
    answers: AnswersPart = AnswersPart()
    handover: HandoverPart = HandoverPart()
    generator: GeneratorPart = GeneratorPart()
    service: ServicePart = ServicePart()
    channels: Annotated[tuple[ChannelPart, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _sane(self) -> Self:
        names = [one.name for one in self.channels]
        if twice := sorted({name for name in names if names.count(name) > 1 or name == "web"}):
            raise ValueError(f"channels are called {', '.join(twice)} more than once, or as the house's own")
        return self

    @classmethod
    def parse(cls, values: dict[str, Any], source: str = "settings") -> SupportSettings:
        """From tables. Raises one `RecipeError` that names every mistake."""
        return fill(cls, values, source)

    @classmethod
    def read(cls, path: str | Path) -> SupportSettings:
        """From a TOML file; paths in it are seen from its folder. Raises `RecipeError`."""
        file = Path(path)
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8-sig"))
        except OSError as error:
            raise RecipeError(f"{path} cannot be read: {error.strerror}.", expected="a support.toml") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RecipeError(f"{path} is no TOML: {error}.") from None
        return cls.parse(values, str(path)).beside(file.absolute().parent)

    def beside(self, folder: Path) -> SupportSettings:
        """With the paths as they are seen from a folder."""

        def seen(path: str) -> str:
            return path if not path or "://" in path else str(folder / Path(path).expanduser())

        names = ("store", "built", "faq", "history", "documents", "outside", "run")
        return self.model_copy(update={name: seen(getattr(self, name)) for name in names})

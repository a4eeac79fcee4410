"""`monitor.toml`: what is watched, by which run, from which sources, and who is told. Strict, with defaults."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from metier.apps.monitor.alerts.routes import AlertsPart
from metier.apps.monitor.counting import Voices
from metier.apps.monitor.detection.baseline import Calendar
from metier.apps.monitor.detection.budget import Budget
from metier.apps.monitor.detection.detectors import Settings as Detecting
from metier.apps.monitor.normalise import Fields, Rules
from metier.apps.monitor.stories.assign import StorySettings
from metier.apps.monitor.understand import Heads
from metier.apps.tables import Length, Part, Words
from metier.apps.zones import zone_of
from metier.errors import RecipeError
from metier.recipe.mistakes import fill

if TYPE_CHECKING:
    from metier.models.generator import Endpoint

Share = Annotated[float, Field(ge=0, le=1)]
STORIES = StorySettings()
EVIDENCE = 14 * 86_400.0
"""Seconds that an alert may look back: the longest surge, and the week before it."""
NEEDED = {"files": "path", "folder": "path", "archive": "path", "feed": "url", "redis": "stream"}


class HeadsPart(Part):
    """The table `[heads]`: which head of the run answers what, and which of its answers are bad news."""

    topic: str = "topic"
    sentiment: Annotated[str, Field(min_length=1)] = "sentiment"
    mention: str = ""
    """What is said of each company; empty: a company is counted by the sentiment of the whole text."""
    negative: Words = ("negative",)
    positive: Words = ("positive",)
    floor: Share = 0.5
    """The calibrated score under which a sentiment counts as uncertain."""

    def heads(self) -> Heads:
        """As the reader takes them."""
        return Heads(self.topic, self.sentiment, self.mention)

    def voices(self) -> Voices:
        """As the counter takes them."""
        return Voices(frozenset(self.negative), frozenset(self.positive), self.floor)


class SourcePart(Part):
    """One of `[[sources]]`."""

    kind: Literal["files", "folder", "stdin", "push", "feed", "redis", "archive"]
    name: str = ""
    """Empty: the name of the file, or the address. Where reading has got to is kept under it."""
    path: str = ""
    url: str = ""
    follow: bool = True
    """Whether files may grow; else the source ends where they end."""
    every: Length = 600.0
    """Seconds between two looks at a feed."""
    allow_private: bool = False
    """Whether a feed may be on a machine of a private network."""
    stream: str = ""
    """Of Redis: the key."""
    group: str = "metier"
    consumer: str = ""
    """Of Redis Streams; empty: the name of this machine and the number of the process."""
    workers: bool = False
    """Whether processes of their own understand the documents of a Redis stream: `metier monitor understand`."""
    idle: Annotated[Length, Field(gt=0)] = 60.0
    """Seconds after which what a consumer of a Redis stream left is taken over from it."""
    text: Words = ("title", "text")
    id: str = "id"
    time: str = "time"
    link: str = "url"
    outlet: str = "source"
    language: str = "language"
    """The names of the fields of a document. Of `text` those that are there are joined."""
    zone: str = "UTC"
    formats: Words = ()
    html: bool = False
    prefix: str = ""
    private: bool = True
    """Whether private data in its texts is masked before anything reads or stores them."""
    late: Length = 3600.0
    ahead: Length = 900.0
    encoding: str = "utf-8"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        needed = NEEDED.get(self.kind)
        if needed and not getattr(self, needed):
            raise ValueError(f"a source of the kind {self.kind} needs {needed}")
        if self.workers and self.kind != "redis":
            raise ValueError(f"a source of the kind {self.kind} has no workers; they share a stream of Redis")
        if self.workers and self.consumer:
            raise ValueError("each worker has a name of its own (metier monitor understand --name); leave consumer out")
        return self

    def rules(self) -> Rules:
        """How its documents are checked."""
        fields = Fields(self.text, self.id, self.time, self.link, self.outlet, self.language)
        return Rules(
            fields, self.zone, self.formats, self.html, self.prefix, private=self.private, late=self.late,
            ahead=self.ahead,
        )  # fmt: skip


class StoriesPart(Part):
    """The table `[stories]`: what is the same story."""

    window: Annotated[Length, Field(gt=0)] = 3 * 86_400.0
    limit: Annotated[int, Field(ge=1)] = 120_000
    sure: Share = STORIES.sure
    doubtful: Share = STORIES.doubtful
    cosine: Share = STORIES.cosine
    shortest: Annotated[float, Field(ge=0)] = STORIES.shortest

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        try:
            self.settings()
        except RecipeError as error:
            raise ValueError(str(error)) from None
        return self

    def settings(self) -> StorySettings:
        """As `Stories` takes them."""
        return StorySettings(**self.model_dump())


class CalendarPart(Part):
    """The table `[calendar]`: which ticks are alike. Times are stored as UTC, and shown in the viewer's zone."""

    zone: str = "UTC"
    trading: Annotated[tuple[Annotated[int, Field(ge=0, le=6)], ...], Field(strict=False)] | None = None
    """The weekdays on which there is trading, 0 is Monday; none named: all days are alike but for their weekday."""
    holidays: Annotated[tuple[date, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _known(self) -> Self:
        try:
            zone_of(self.zone)
        except RecipeError as error:
            raise ValueError(str(error)) from None
        return self

    def calendar(self) -> Calendar:
        """As the baseline takes it."""
        trading = None if self.trading is None else frozenset(self.trading)
        return Calendar(self.zone, trading, frozenset(self.holidays))


class RetentionPart(Part):
    """The table `[retention]`: what is let go by its age while the monitor runs. Nothing, unless it is set."""

    documents: Annotated[Length, Field(ge=86_400)] | None = None
    """The age of documents and all that hangs on them; counts and what alerts rest on stay."""


class GeneratorPart(Part):
    """The table `[generator]`: who writes the summaries of briefs. Nobody, unless it is set."""

    endpoint: str
    """Of a server that speaks OpenAI's protocol, such as `http://127.0.0.1:8080/v1`."""
    model: Annotated[str, Field(min_length=1)]
    """Its name there."""
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the key, which is read when a request is sent."""
    timeout: Annotated[Length, Field(gt=0, le=300)] = 20.0
    """Seconds that a brief waits for its summary."""

    @model_validator(mode="after")
    def _an_address(self) -> Self:
        try:
            self.generator()
        except RecipeError as error:
            raise ValueError(str(error)) from None
        return self

    def generator(self) -> Endpoint:
        """As summaries ask it."""
        from metier.models.generator import Endpoint

        return Endpoint(self.endpoint, self.model, self.api_key_env, "generator")


class MonitorSettings(Part):
    """The whole of `monitor.toml`."""

    run: str
    """A run with the heads."""
    store: str = "monitor.db"
    """A file, or `postgresql://USER@HOST/DATABASE`."""
    spool: str = "monitor.spool"
    """The folder in which pushed documents wait."""
    companies: str = ""
    """A CSV file: id, name, aliases, ticker, parent."""
    tick: Annotated[Length, Field(ge=1, le=86_400)] = 900.0
    lateness: Length = 600.0
    grace: Length = 21_600.0
    patience: Length = 1800.0
    """Seconds after which the ticks of a stream that fell silent are closed by the clock."""
    crossed: bool = True
    false_alarms: str = "1 per topic per 30 days"
    warm_up: Annotated[Length, Field(ge=86_400)] = 7 * 86_400.0
    caution: Annotated[float, Field(ge=1)] = 1.0
    threads: Annotated[int, Field(ge=0)] = 0
    heads: HeadsPart = HeadsPart()
    sources: Annotated[tuple[SourcePart, ...], Field(strict=False)] = ()
    stories: StoriesPart = StoriesPart()
    calendar: CalendarPart = CalendarPart()
    alerts: AlertsPart = AlertsPart()
    retention: RetentionPart = RetentionPart()
    generator: GeneratorPart | None = None

    @model_validator(mode="after")
    def _sane(self) -> Self:
        try:
            Budget.read(self.false_alarms)
        except RecipeError as error:
            raise ValueError(str(error)) from None
        if 86_400 % self.tick:
            raise ValueError(f"tick is {self.tick:g} s; it must divide a day, such as 15m, 1h or 1d")
        kept = self.retention.documents
        needed = max(self.stories.window, EVIDENCE) + self.lateness + self.grace
        if kept is not None and kept < needed:
            least = f"at least {needed / 86_400:.4g}d, for later stories and alerts look back so far"
            raise ValueError(f"retention.documents is {kept / 86_400:g}d; it must be {least}")
        names = [source.name or source.path or source.url or source.kind for source in self.sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"sources are called {', '.join(twice)} more than once; give them a name")
        return self

    @classmethod
    def parse(cls, values: dict[str, Any], source: str = "settings") -> MonitorSettings:
        """From tables. Raises one `RecipeError` that names every mistake."""
        return fill(cls, values, source)

    @classmethod
    def read(cls, path: str | Path) -> MonitorSettings:
        """From a TOML file; paths in it are seen from its folder. Raises `RecipeError`."""
        file = Path(path)
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8-sig"))
        except OSError as error:
            raise RecipeError(f"{path} cannot be read: {error.strerror}.", expected="a monitor.toml") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RecipeError(f"{path} is no TOML: {error}.") from None
        return cls.parse(values, str(path)).beside(file.absolute().parent)

    def beside(self, folder: Path) -> MonitorSettings:
        """With the paths as they are seen from a folder."""

        def seen(path: str) -> str:
            return path if not path or "://" in path else str(folder / Path(path).expanduser())

        sources = tuple(one.model_copy(update={"path": seen(one.path)}) for one in self.sources)
        moved = {name: seen(getattr(self, name)) for name in ("run", "store", "spool", "companies")}
        return self.model_copy(update={**moved, "sources": sources})

    def detecting(self, series: int = 1) -> Detecting:
        """As the detectors take it; `series` share one budget."""
        return Detecting(
            self.tick, self.calendar.calendar(), self.false_alarms, series, self.warm_up / 86_400, caution=self.caution
        )

    def shown(self) -> dict[str, Any]:
        """What evidence tells of the settings."""
        return {
            "false_alarms": self.false_alarms, "tick": self.tick, "lateness": self.lateness, "caution": self.caution,
            "floor": self.heads.floor, "negative": list(self.heads.negative), "stories": self.stories.model_dump(),
            "calendar": self.calendar.zone,
        }  # fmt: skip

"""What goes over the wire, in and out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from metier.data.mentions import asked as stretches
from metier.errors import nearest
from metier.serve.problems import Problem
from metier.types import Document, Prediction, Span

if TYPE_CHECKING:
    from metier.serve.settings import Limits


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


def _whole(value: Any) -> Any:
    """JSON knows one kind of number: 7.0 is as whole as 7."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]


class Place(Strict):
    """Where a name stands in a text."""

    start: Whole = Field(ge=0, description="First character, counted in Unicode code points.")
    end: Whole = Field(ge=1, description="One past the last character.")


def _asked(item: Any) -> str:
    return "Place" if isinstance(item, Mapping) else "Name"


Mentioned = Annotated[Annotated[str, Tag("Name")] | Annotated[Place, Tag("Place")], Discriminator(_asked)]


class Pair(Strict):
    """A text, the text that it is judged against, and what a head of the kind `mention` is asked about in it."""

    text: str
    pair: str | None = None
    mentions: list[Mentioned] | None = Field(
        default=None,
        max_length=64,
        description="Names in the text, or places; what is not in the text is not answered.",
    )


def _kind(item: Any) -> str:
    return "Pair" if isinstance(item, Mapping) else "Text"


def _shape(body: Any) -> str:
    return "ManyTexts" if isinstance(body, Mapping) and "texts" in body else "OneText"


# Chosen by shape, so that a mistake is told once, of the branch that was meant. `problems.place` knows the tags.
Item = Annotated[Annotated[str, Tag("Text")] | Annotated[Pair, Tag("Pair")], Discriminator(_kind)]


class ManyTexts(Strict):
    """Several texts; each is a string, or an object with a text and its pair."""

    texts: list[Item] = Field(min_length=1)
    heads: list[str] | None = Field(default=None, min_length=1, description="Which heads to answer; all if left out.")


class OneText(Strict):
    """One text."""

    text: Item
    heads: list[str] | None = Field(default=None, min_length=1, description="Which heads to answer; all if left out.")


PredictRequest = Annotated[
    Annotated[ManyTexts, Tag("ManyTexts")] | Annotated[OneText, Tag("OneText")], Discriminator(_shape)
]


class SpanAnswer(BaseModel):
    start: int = Field(description="First character, counted in Unicode code points.")
    end: int = Field(description="One past the last character.")
    label: str
    text: str
    score: float | None
    probabilities: dict[str, float | None] | None = None


class HeadAnswer(BaseModel):
    """What one head says of one text."""

    label: str | float | list[str] | list[float] | list[SpanAnswer] | None
    score: float | None = Field(description="Calibrated probability of the label.")
    abstain: bool = Field(description="True where the score lies under the floor that the operator chose.")
    probabilities: dict[str, float | None] | None = None


class PredictAnswer(BaseModel):
    run: str = Field(description="Version of the run: the hash of its manifest.")
    predictions: list[dict[str, HeadAnswer]] = Field(description="One object a text, in the order asked.")


class RunAnswer(BaseModel):
    """What a run says of itself; `GET /v1/run` says the same of the default one."""

    model_config = ConfigDict(extra="allow")

    name: str
    version: str
    ready: bool = Field(description="Whether its model is loaded and warm.")
    loaded: bool = Field(description="Whether its model is in memory; if not, the next request for it loads it.")
    memory: int | None = Field(description="Bytes by which the process grew when it was loaded.")


class MemoryAnswer(BaseModel):
    used: int = Field(description="Bytes of the process that are in memory.")
    limit: int | None = Field(description="Bytes that it may take, where there is a limit.")


class ReloadAnswer(BaseModel):
    name: str
    version: str = Field(description="The version that answers from now on.")
    replaced: bool = Field(description="Whether that is another one than before.")


class RunsAnswer(BaseModel):
    default: str = Field(description="The run that /v1/predict asks.")
    runs: list[RunAnswer] = Field(description="The runs that are served, the default first.")
    memory: MemoryAnswer


class State(BaseModel):
    status: str


class ProblemDocument(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] | None = None


def _items(request: ManyTexts | OneText) -> list[str | Pair]:
    return request.texts if isinstance(request, ManyTexts) else [request.text]


def names(request: ManyTexts | OneText) -> int:
    """How many names are to be looked for in the texts of a request."""
    items = (item for item in _items(request) if isinstance(item, Pair))
    return sum(isinstance(one, str) for item in items for one in item.mentions or ())


def documents(request: ManyTexts | OneText, limits: Limits) -> list[Document]:
    """The texts of a request. Raises `Problem` 422 where there are too many, or one is too long."""
    items = _items(request)
    if len(items) > limits.texts:
        raise Problem(422, f"There are {len(items)} texts; a request may hold {limits.texts}.")
    found, errors = [], []
    for index, item in enumerate(items):
        text, pair = (item, None) if isinstance(item, str) else (item.text, item.pair)
        place = f"texts[{index}]" if isinstance(request, ManyTexts) else "text"
        if max(len(text), len(pair or "")) > limits.characters:
            errors.append({"at": place, "message": f"longer than {limits.characters} characters"})
            continue
        mentions = None if isinstance(item, str) else item.mentions
        places = None if mentions is None else tuple(stretches([_named(one) for one in mentions], text))
        found.append(Document(text, pair, id=str(index), mentions=places))
    if errors:
        raise Problem(422, f"A text may have {limits.characters} characters.", errors=errors[:20])
    return found


def _named(one: str | Place) -> str | dict[str, int]:
    return one if isinstance(one, str) else one.model_dump()


def chosen(asked: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    """The heads of a request, in the run's order. Raises `Problem` 422 for one that the run does not have."""
    unknown = [name for name in asked or () if name not in known]
    if unknown:
        hint = nearest(unknown[0], known)
        raise Problem(422, f"This run has no head {unknown[0]!r}.{hint} It has: {', '.join(known)}.")
    return [name for name in known if asked is None or name in asked]


def answer(prediction: Prediction) -> dict[str, Any]:
    """A prediction as JSON values; a number that JSON does not have becomes null."""
    out: dict[str, Any] = {
        "label": plain(prediction.label),
        "score": plain(float(prediction.score)),
        "abstain": bool(prediction.abstain),
    }
    if prediction.probabilities:
        out["probabilities"] = plain(prediction.probabilities)
    return out


def plain(value: Any) -> Any:
    """JSON values for labels, spans, vectors and numbers of any library."""
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, Span):
        span = {
            "start": int(value.start), "end": int(value.end), "label": value.label,
            "text": value.text, "score": plain(float(value.score)),
        }  # fmt: skip
        return span | ({"probabilities": plain(value.probabilities)} if value.probabilities else {})
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) or getattr(value, "shape", None):
        return [plain(item) for item in value]
    number = float(value)
    return number if math.isfinite(number) else None

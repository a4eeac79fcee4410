"""What a document says as bytes and back, exactly: from a worker that understood it to the process that counts it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from metier.apps.monitor.item import Item, Mention, Received, Understood
from metier.apps.monitor.normalise import Quarantined
from metier.apps.monitor.stories.assign import packed
from metier.apps.monitor.understand import Reading
from metier.types import NOTHING, Prediction


def written(outcome: Reading | Quarantined, version: str) -> bytes:
    """A document that was understood, or set aside, as JSON.

    Numbers keep every bit. Of a vector goes what stories keep of it (`packed`, a byte a number), so that they come out
    the same.

    Args:
        outcome: the document.
        version: of the run that understood it.
    """
    if isinstance(outcome, Quarantined):
        return json.dumps({"aside": asdict(outcome)}).encode()
    understood = outcome.understood
    item, vector = understood.item, packed(understood.vector)
    row = {
        "item": {
            "id": item.id, "text": item.text, "time": item.time, "received": item.received, "source": item.source,
            "url": item.url, "language": item.language, "meta": dict(item.meta),
        },
        "topics": [_prediction(one) for one in understood.topics],
        "sentiment": _prediction(understood.sentiment),
        "mentions": [_mention(one) for one in understood.mentions],
        "unlinked": [_mention(one) for one in outcome.unlinked],
        "vector": None if vector is None else base64.b64encode(vector).decode(),
        "version": version,
    }  # fmt: skip
    return json.dumps(row).encode()


def read(received: Received) -> Reading | Quarantined:
    """What `written` wrote, out of what a source gives: `{"answer": text}`. What is no answer is set aside."""
    content = received.content
    if received.fault or isinstance(content, str):
        return Quarantined(received.source, "unreadable", received.fault, str(content), received.at)
    try:
        row = json.loads(content["answer"])
        return Quarantined(**row["aside"]) if "aside" in row else _reading(row)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        said = f"no answer of a worker: {type(error).__name__} {error}"
        return Quarantined(received.source, "unreadable", said, str(content.get("answer")), received.at)


def _reading(row: Mapping[str, Any]) -> Reading:
    item = Item(**{**row["item"], "meta": row["item"]["meta"] or NOTHING})
    vector = None
    if row["vector"] is not None:
        vector = np.frombuffer(base64.b64decode(row["vector"], validate=True), dtype=np.int8)
    understood = Understood(
        item, [_said(one) for one in row["topics"]], _said(row["sentiment"]),
        tuple(_named(one) for one in row["mentions"]), vector,
    )  # fmt: skip
    return Reading(understood, tuple(_named(one) for one in row["unlinked"]), str(row["version"]))


def _prediction(said: Prediction) -> list[Any]:
    shares = {name: float(share) for name, share in said.probabilities.items()}
    return [said.label, float(said.score), bool(said.abstain), shares]


def _said(row: list[Any]) -> Prediction:
    label, score, abstain, probabilities = row
    return Prediction(label, score, abstain, probabilities or NOTHING)


def _mention(one: Mention) -> list[Any]:
    tone = None if one.sentiment is None else _prediction(one.sentiment)
    return [one.company, one.start, one.end, one.surface, one.how, float(one.score), tone]


def _named(row: list[Any]) -> Mention:
    company, start, end, surface, how, score, tone = row
    return Mention(company, start, end, surface, how, score, None if tone is None else _said(tone))

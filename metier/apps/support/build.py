"""From files to a service: entries in the store, and in the folder `built` what can be made again of them.

encoder/    texts to vectors, compiled
intents/    a run that tells intents, where the questions suffice
scope/      how far outside of all intents a message lies
entries/    the index of the questions
papers/     the index of the documents' sentences
curve.svg   how sure answers are, drawn; curve_papers.svg, of the documents; curve_outside.svg, of what lies outside
built.json  how sure answers are, what was read, from which turn of the knowledge on the index has to follow
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from metier.apps.support import reading, trials
from metier.apps.support.answer.known import NOBODY, Encode, Intent, Known, texts_of
from metier.apps.support.answer.papers import Papers
from metier.apps.support.answer.papers import texts_of as texts_of_passage
from metier.apps.support.answer.sure import Sure, fitted
from metier.apps.support.curve import outside_picture, picture
from metier.apps.support.item import Entry
from metier.apps.support.learn.past import Past, learned
from metier.apps.support.scope import Scope
from metier.apps.support.scope import learned as learned_scope
from metier.apps.support.settings import SupportSettings
from metier.apps.support.understand import Understanding, enough
from metier.data.papers.folder import Refused, read_folder
from metier.data.papers.passages import Passage, passages
from metier.data.private.found import Rules
from metier.errors import DataError, MetierError, RunError
from metier.model import Model, train
from metier.pipeline import encoder
from metier.pipeline.watch import Silent, Watch
from metier.run import write_text
from metier.search.index import Index
from metier.store import knowledge
from metier.store.knowledge import StoredEntry
from metier.store.store import Store

FACTS = "built.json"
FORMAT = 2
ENCODER, RUN, SCOPE, ENTRIES, PAPERS = "encoder", "intents", "scope", "entries", "papers"
POINTS = 2.0
"""Points of accuracy that eight bits may cost a run that tells intents: how sure answers are is measured with them."""


@dataclass(frozen=True, slots=True)
class Built:
    """What a build found and made.

    Args:
        entries, questions: of the knowledge.
        passages: of documents; `refused`, documents that could not be read, and why.
        past: what conversations of the past brought.
        sure, sure_papers: how sure answers are.
        intents: how many questions each has; `fitted`, whether a run tells them.
        scope: from where on a message lies outside of all intents; none: nobody can tell.
    """

    entries: int
    questions: int
    passages: int
    refused: tuple[Refused, ...] = ()
    past: Past = field(default_factory=Past)
    sure: Sure = field(default_factory=Sure)
    sure_papers: Sure = field(default_factory=Sure)
    intents: Mapping[str, int] = field(default_factory=dict)
    fitted: bool = False
    scope: Scope | None = None


def build(settings: SupportSettings, store: Store, now: float, watch: Watch | None = None) -> Built:
    """Reads what the settings name, writes entries into the store, makes the folder `built`.

    What people approved since the last build stays: an entry of the table is written over only where it is the table's
    own. The folder of the last build answers until this one is whole.

    Raises:
        DataError: where there is nothing to know.
        MetierError: for whatever else its user can mend.
    """
    watch = watch or Silent()
    rules = Rules(regions=settings.regions)
    made = Path(settings.built)
    staged = made.with_name(f".{made.name}.partial")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    found = reading.entries(settings.faq, rules) if settings.faq else []
    past = reading.history(settings.history, rules) if settings.history else []
    read = read_folder(Path(settings.documents)) if settings.documents else None
    cut = [one for paper in read.papers for one in passages(paper)] if read is not None else []
    if not found and not past and not cut:
        raise DataError("There is nothing to know.", expected="faq, history or documents in the settings")
    texts = [one.question for one in found] + [one.text for one in cut]
    encode = _encoder(settings, made, staged, texts, watch)
    _keep(store, found, now)
    history = learned(store, past, encode, now)
    entries = _active(store)
    strange = reading.strange(settings.outside, rules) if settings.outside else []
    understanding = _understanding(settings, staged, entries, strange, watch)
    known = _entries(staged, store, entries, encode, watch)
    sure = _sure(known, entries, strange, encode, understanding, settings.answers.right, watch)
    papers = _papers(staged, cut, encode, settings, watch)
    refused = read.refused if read is not None else ()
    built = Built(
        len(entries), sum(1 + len(one.others) for one in entries), len(cut), refused, history, sure, papers,
        dict(Counter(one.intent for one in entries if one.intent)), understanding is not None,
        understanding.scope if understanding is not None else None,
    )  # fmt: skip
    _finish(staged, made, built, cut, settings.answers.right)
    return built


def _keep(store: Store, found: Sequence[Entry], now: float) -> None:
    """Writes the table's entries; those that left it go out of use, those that a person changed stay as they are."""

    def work(connection: Any) -> None:
        there = {one.id: one for one in knowledge.changed(connection)}
        rows = [
            StoredEntry(one.id, one.question, one.answer, one.others, one.intent, one.category, one.language, at=now,
                        by="build")
            for one in found
            if one.id not in there or there[one.id].source == "faq"
        ]  # fmt: skip
        kept = {one.id for one in found}
        gone = [
            replace(one, active=False, at=now, by="build")
            for one in there.values()
            if one.source == "faq" and one.active and one.id not in kept
        ]
        knowledge.put(connection, [*rows, *gone])

    store.run(work)


def _active(store: Store) -> list[StoredEntry]:
    with store.read() as connection:
        return [one for one in knowledge.changed(connection) if one.active]


def _encoder(settings: SupportSettings, made: Path, staged: Path, texts: Sequence[str], watch: Watch) -> Encode:
    """The encoder; the one of the last build where it is of the same backbone."""
    if (made / ENCODER).is_dir():
        shutil.copytree(made / ENCODER, staged / ENCODER)
    sample = list(dict.fromkeys(texts))[:256]
    probes = {"texts": [*encoder.PROBES, *sample]} if sample else {}
    found: Encode = encoder.build(
        staged / ENCODER, settings.backbone, threads=settings.threads or 1, watch=watch, **probes
    )
    return found


def _understanding(
    settings: SupportSettings, staged: Path, entries: Sequence[StoredEntry], strange: Sequence[str], watch: Watch
) -> Understanding | None:
    """The run that tells intents: the one that is named, or one fitted on the questions, where these suffice."""
    rows = [
        {"text": text, "intent": one.intent, "split": _split(text)}
        for one in entries
        if one.intent
        for text in (one.question, *one.others)
    ]
    if settings.run:
        found = Understanding.of(Model(settings.run, threads=settings.threads or 1), entries)
    elif enough([row["intent"] for row in rows]):
        model = _fitted(settings, staged, rows, watch)
        held_out = frozenset(row["text"] for row in rows if row["split"] == "test")
        found = replace(Understanding.of(model, entries), held_out=held_out)
    else:
        return None
    watch.stage("learn what is outside", len(rows))
    scope = learned_scope(found.model, found.head, rows, strange, settings.answers.given_up)
    if scope is not None:
        scope.save(staged / SCOPE)
    return replace(found, scope=scope)


def _fitted(settings: SupportSettings, staged: Path, rows: Sequence[Mapping[str, str]], watch: Watch) -> Model:
    watch.say(f"Fitting a run that tells intents on {len(rows):,} questions.")
    method = "full" if len(rows) >= 1000 else "contrastive"
    fitted = train(
        rows, label="intent", text="text", split="split", out=staged / f"{RUN}.fitted", watch=watch, method=method,
        backbone=settings.backbone, threads=settings.threads,
    )  # fmt: skip
    return _compiled(fitted.run, staged / RUN, rows, settings.threads, watch)


def _compiled(fitted: Path, out: Path, rows: Sequence[Mapping[str, str]], threads: int, watch: Watch) -> Model:
    """A run as a graph, which answers several times as fast: in eight bits, else in float, else as it was fitted."""
    from metier.pipeline.optimise.optimise import optimise

    for precision in ("int8", "fp32"):
        try:
            optimise(fitted, out, {"precision": precision, "tolerance": POINTS}, watch, data=rows, threads=threads)
        except MetierError as error:
            watch.say(f"The run that tells intents stays without a graph of {precision}: {error}")
        else:
            shutil.rmtree(fitted)
            break
    else:
        fitted.rename(out)
    return Model(out, threads=threads or 1)


def _split(text: str) -> str:
    """Nine questions of ten are for the fit; how sure answers are is measured on the others."""
    share = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=2).digest()[0] / 256
    return "test" if share < 0.1 else "valid" if share < 0.18 else "train"


def _entries(staged: Path, store: Store, entries: Sequence[StoredEntry], encode: Encode, watch: Watch) -> Known:
    """The index of the questions."""
    texts = [text for one in entries for text in texts_of(one)]
    turn = max((one.turn for one in entries), default=0)
    watch.stage("index questions", len(texts))
    index = Index.build(staged / ENTRIES, texts, encode, mark=turn, tick=watch.tick)
    return Known(store, index, Sure(), turn)


def _sure(
    known: Known, entries: Sequence[StoredEntry], strange: Sequence[str], encode: Encode,
    understanding: Understanding | None, wanted: float, watch: Watch,
) -> Sure:  # fmt: skip
    """How sure matches in the index of the questions are."""
    asked = trials.asked(entries, understanding.held_out if understanding is not None else ())
    watch.stage("ask itself", len(asked))
    told = trials.of_entries(known, asked, encode, understanding or _nobody, watch.tick)
    told += trials.of_strangers(known, strange[1::2], encode, understanding or _nobody)  # the others taught the scope
    return fitted(told, wanted)


def _nobody(text: str) -> Intent:
    return NOBODY


def _papers(staged: Path, cut: Sequence[Passage], encode: Encode, settings: SupportSettings, watch: Watch) -> Sure:
    """The index of the documents, and how sure sentences found in it are."""
    texts = [text for one in cut for text in texts_of_passage(one)]
    watch.stage("index documents", len(texts))
    index = Index.build(staged / PAPERS, texts, encode, tick=watch.tick)
    if not cut:
        return Sure()
    papers = Papers(index, cut, Sure())
    watch.stage("ask documents", min(len(cut), trials.MOST // 3))
    return fitted(trials.of_papers(papers, encode, watch.tick), settings.answers.right)


def _finish(staged: Path, made: Path, built: Built, cut: Sequence[Passage], wanted: float) -> None:
    """Writes the facts last, then puts the folder in its place."""
    facts = {
        "format": FORMAT, "entries": built.entries, "questions": built.questions, "passages": built.passages,
        "intents": dict(built.intents), "fitted": built.fitted, "sure": built.sure.describe(),
        "sure_papers": built.sure_papers.describe(), "scope": built.scope.describe() if built.scope else None,
        "refused": [[one.path, one.reason] for one in built.refused],
    }  # fmt: skip
    write_text(staged / "passages.jsonl", "".join(json.dumps(_plain(one), ensure_ascii=False) + "\n" for one in cut))
    for name, sure in (("curve", built.sure), ("curve_papers", built.sure_papers)):
        if drawn := picture(sure, wanted):
            write_text(staged / f"{name}.svg", drawn)
    if built.scope is not None and (drawn := outside_picture(built.scope)):
        write_text(staged / "curve_outside.svg", drawn)
    write_text(staged / FACTS, json.dumps(facts, ensure_ascii=False, indent=1))
    before = made.with_name(f".{made.name}.before")
    shutil.rmtree(before, ignore_errors=True)
    if made.exists():
        made.rename(before)
    staged.rename(made)
    shutil.rmtree(before, ignore_errors=True)


def _plain(passage: Passage) -> dict[str, Any]:
    return {name: getattr(passage, name) for name in Passage.__dataclass_fields__}


def facts_of(made: Path) -> dict[str, Any]:
    """What `built.json` says. Raises `RunError` where the folder is not a whole build."""
    try:
        facts: dict[str, Any] = json.loads((made / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        facts = {}
    if facts.get("format") != FORMAT:
        raise RunError(f"{made} is no build of this version.", hint="metier support build")
    return facts


def passages_of(made: Path) -> list[Passage]:
    """The passages of a build."""
    lines = (made / "passages.jsonl").read_text(encoding="utf-8").splitlines()
    return [Passage(**json.loads(line)) for line in lines]


def vectors_of(encode: Encode, texts: Sequence[str], size: int = 64) -> np.ndarray:
    """The vectors of many texts, `(texts, width)`."""
    return np.concatenate([encode(texts[at : at + size]) for at in range(0, len(texts), size)] or [np.zeros((0, 1))])

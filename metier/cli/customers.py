"""`metier support`: from a company's questions and answers to a service that answers."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metier.cli.options import Json, app, print_json, progress

if TYPE_CHECKING:
    from metier.apps.support.learn.review import Review
    from metier.apps.support.support import Exchange
    from metier.evaluate.refusal import Point

support = typer.Typer(help="Customer service: known answers, cited documents, people where nobody else knows.")
app.add_typer(support, name="support")

Settings = Annotated[Path, typer.Argument(help="The support.toml.")]
DEFAULT = Path("support.toml")


@support.command()
def init(
    folder: Annotated[Path, typer.Argument(help="The folder for support.toml.")],
    sample: Annotated[bool, typer.Option("--sample", help="With what an invented bank knows.")] = False,
) -> None:
    """Begin: write a support.toml to be edited."""
    from metier.apps.support.beginning import QUESTIONS, begin

    written = begin(folder, sample=sample)
    typer.echo(f"{written}: edit it, then metier support build {written}")
    if sample:
        typer.echo(f"metier support evaluate {written} {folder / QUESTIONS}")


@support.command()
def build(settings: Settings = DEFAULT, as_json: Json = False) -> None:
    """Read the FAQ, the history and the documents; index them; measure how sure answers are."""
    from metier.apps.support.build import build as make
    from metier.apps.support.settings import SupportSettings
    from metier.store import open_store

    asked = SupportSettings.read(settings)
    begun = time.time()
    with progress() as watch, open_store(asked.store) as store:
        made = make(asked, store, begun, watch)
    seconds = time.time() - begun
    for refused in made.refused:
        typer.echo(f"not read: {refused.path}: {refused.reason}", err=True)
    if as_json:
        print_json(
            {"entries": made.entries, "questions": made.questions, "passages": made.passages, "seconds": seconds,
             "refused": len(made.refused), "threshold": made.sure.threshold, "fitted": made.fitted}
        )  # fmt: skip
        return
    typer.echo(
        f"{made.entries:,} entries with {made.questions:,} questions, {made.passages:,} passages: {seconds:.0f} s"
    )
    if made.past.exchanges:
        typer.echo(
            f"{made.past.exchanges:,} exchanges of the past: {made.past.wordings:,} wordings, {made.past.entries:,} "
            f"entries, {made.past.candidates:,} for review"
        )
    point = next((one for one in reversed(made.sure.curve) if one.threshold >= made.sure.threshold), None)
    if point is not None:
        typer.echo(
            f"asked itself: answers {point.answered:.0%} of the questions (every other one has no answer), "
            f"{point.right:.1%} of them right, from a score of {made.sure.threshold:.2f} on: {point.kept:.0%} of those "
            f"with an answer get it, {point.refused:.0%} of those without are not answered"
        )
    if made.scope is not None and made.scope.point is not None:
        typer.echo(_told_scope(made.scope.point))


def _told_scope(point: Point) -> str:
    recall = ""
    if not math.isnan(point.out_of_scope_recall):
        recall = f", {point.out_of_scope_recall:.0%} of those that nobody answers are refused"
    return (
        f"outside of all intents from a score of {point.threshold:.2f} on: {point.in_scope_accuracy:.1%} of the "
        f"questions in scope get the right intent and are let through{recall}"
    )


@support.command()
def evaluate(
    settings: Settings,
    questions: Annotated[Path, typer.Argument(help="A table: question, and entry, answer, intent or contains.")],
    as_json: Json = False,
) -> None:
    """Ask what was built questions whose answers are known."""
    from metier.apps.support import assemble
    from metier.apps.support import evaluate as asking
    from metier.apps.support.settings import SupportSettings
    from metier.progress import print_tiers
    from metier.store import open_store

    asked, known = SupportSettings.read(settings), asking.questions(questions)
    with progress() as watch, open_store(asked.store) as store:
        answerer = assemble.answerer(asked, store)
        watch.stage("ask", len(known))
        figures = asking.evaluate(answerer, known, watch.tick)
    if as_json:
        print_json(figures.described())
    else:
        print_tiers(figures.described(), sys.stdout)


@support.command()
def chat(
    settings: Settings = DEFAULT,
    texts: Annotated[list[str] | None, typer.Argument(help="What is said, one after the other; none: asks.")] = None,
) -> None:
    """Talk to the bot in the terminal; an empty line ends it."""
    from metier.apps.support import assemble
    from metier.apps.support.settings import SupportSettings
    from metier.store import open_store

    asked = SupportSettings.read(settings)
    with open_store(asked.store) as store:
        made = assemble.support(asked, store)
        try:
            conversation, _ = made.open("terminal")
            for text in _typed() if not texts else _shown(texts):
                _show(made.receive(conversation.id, text))
        finally:
            made.close()


@support.command()
def serve(
    settings: Settings = DEFAULT,
    host: Annotated[str, typer.Option(help="The address to serve on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one.")] = 8080,
    insecure: Annotated[bool, typer.Option("--insecure", help="Serve other machines without HTTPS.")] = False,
) -> None:
    """Serve what was built to customers, to people and to outside channels, until Ctrl+C."""
    from metier.apps.support.settings import SupportSettings
    from metier.serve.support.settings import ServiceSettings
    from metier.serve.support.together import serve_support
    from metier.store import open_store

    asked = SupportSettings.read(settings)
    service = ServiceSettings(host=host, port=port, insecure=insecure)
    with progress() as watch, open_store(asked.store) as store:
        serve_support(asked, store, service, watch.say)


Which = Annotated[Path, typer.Option("--settings", help="The support.toml.")]
WHO = "command line"


@support.command()
def review(settings: Settings = DEFAULT, as_json: Json = False) -> None:
    """List what waits for review: what was asked, what would be answered, known questions that are near."""
    from metier.apps.support.settings import SupportSettings
    from metier.store import knowledge, open_store

    with open_store(SupportSettings.read(settings).store) as store, store.read() as connection:
        waiting = knowledge.waiting(connection)
    if as_json:
        print_json({"waiting": [asdict(one) for one in waiting]})
        return
    for one in waiting:
        more = f", {one.repeated} more" if one.repeated else ""
        typer.echo(f"{one.id}  ({one.kind}, {one.who}{more})\n  {one.question}\n  > {one.answer or '(no answer yet)'}")
        for near in one.near or ():
            typer.echo(f"    near {near['id']}, {near['score']:.2f}: {near['question']}")
    typer.echo(f"{len(waiting)} wait.", err=True)


@support.command()
def promote(
    candidate: Annotated[str, typer.Argument(help="The id, as review prints it.")],
    merge: Annotated[str, typer.Option(help="The entry whose question in other words it is.")] = "",
    answer: Annotated[str, typer.Option(help="The answer, where it is not the candidate's.")] = "",
    intent: Annotated[str, typer.Option(help="Of a new entry: one that others have.")] = "",
    settings: Which = DEFAULT,
    as_json: Json = False,
) -> None:
    """Try a candidate on old questions and make it knowledge; where it breaks something, refuse it and say why."""
    from metier.apps.support.learn.reasons import because

    with _review(settings) as desk:
        done = desk.promote(candidate, WHO, merge=merge, answer=answer, intent=intent)
    report = dict(done.report or {})
    if as_json:
        print_json({"id": done.id, "verdict": done.verdict, "report": report})
    else:
        typer.echo(f"{done.id}: {done.verdict}; {report['right']} of {report['asked']} old questions were right, "
                   f"{report['right_after']} are with it.")  # fmt: skip
        for reason in report["reasons"]:
            typer.echo(f"  {because(reason, 'en')}")
    if done.verdict != "promoted":
        raise typer.Exit(2)


@support.command()
def refuse(
    candidate: Annotated[str, typer.Argument(help="The id, as review prints it.")],
    reason: Annotated[str, typer.Option(help="Why; kept with it.")] = "",
    settings: Which = DEFAULT,
    as_json: Json = False,
) -> None:
    """Put a candidate away."""
    with _review(settings) as desk:
        done = desk.refuse(candidate, WHO, reason)
    if as_json:
        print_json(asdict(done))
    else:
        typer.echo(f"{done.id}: refused")


@support.command()
def rollback(
    promotion: Annotated[str, typer.Argument(help="The id, as promote prints it.")],
    settings: Which = DEFAULT,
    as_json: Json = False,
) -> None:
    """Take a promotion back: its entries are what they were before."""
    with _review(settings) as desk:
        count = desk.roll_back(promotion, WHO)
    if as_json:
        print_json({"entries": count})
    else:
        typer.echo(f"{count} entries are as they were.")


@support.command()
def erase(
    conversations: Annotated[list[str], typer.Argument(help="Their ids.")], settings: Which = DEFAULT,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Erase a customer's conversations for good; counts stay."""
    from metier.apps.support.settings import SupportSettings
    from metier.store import open_store
    from metier.store.customers import erase_customer

    with open_store(SupportSettings.read(settings).store) as store:
        done = erase_customer(store, conversations, who=WHO, now=time.time())
    if as_json:
        print_json(asdict(done))
    else:
        typer.echo(f"{done.conversations} conversations with {done.messages} messages were erased.")


@support.command()
def gaps(
    settings: Settings = DEFAULT,
    days: Annotated[int, typer.Option(min=1, help="Of the past.")] = 30,
    limit: Annotated[int, typer.Option(min=1, help="Gaps at most.")] = 20,
    as_json: Json = False,
) -> None:
    """List what customers asked and nobody has written down, the most frequent first."""
    from metier.apps.support import build as built
    from metier.apps.support.learn import gaps as learning
    from metier.apps.support.settings import SupportSettings
    from metier.pipeline.encoder import Encoder
    from metier.store import open_store

    asked = SupportSettings.read(settings)
    built.facts_of(Path(asked.built))
    encode = Encoder(Path(asked.built) / built.ENCODER)
    with open_store(asked.store) as store, store.read() as connection:
        found = learning.gaps(connection, encode, time.time() - days * 86_400, limit)
    if as_json:
        print_json({"gaps": [asdict(one) for one in found]})
        return
    for one in found:
        typer.echo(f"{one.count:>4}  {one.question}")
        for example in one.examples[1:]:
            typer.echo(f"      {example}")


@contextmanager
def _review(settings: Path) -> Iterator[Review]:
    """The review queue over what was built."""
    from metier.apps.support import assemble
    from metier.apps.support.learn.review import Review
    from metier.apps.support.settings import SupportSettings
    from metier.store import open_store

    asked = SupportSettings.read(settings)
    with open_store(asked.store) as store:
        parts = assemble.answerer(asked, store).parts
        yield Review(store, parts.known, parts.encode, parts.understand)


people = typer.Typer(help="Who may use the desk and the API.")
support.add_typer(people, name="people")
Role = Annotated[str, typer.Option(help="viewer, analyst (who answers customers) or admin.")]


@people.command()
def add(
    name: Annotated[str, typer.Argument(help="Of the person.")], role: Role = "analyst", settings: Which = DEFAULT
) -> None:
    """Add a person; the password is asked for."""
    from metier.apps.support.settings import SupportSettings
    from metier.serve.doors.door import add_person
    from metier.store import open_store

    password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    with open_store(SupportSettings.read(settings).store) as store, store.write() as connection:
        add_person(connection, name, role, password, "command line", time.time())
    typer.echo(f"{name} may come in as {role}.")


@people.command()
def key(
    name: Annotated[str, typer.Argument(help="Of the program that shall use it.")], role: Role = "viewer",
    settings: Which = DEFAULT,
) -> None:  # fmt: skip
    """Make an API key; it is shown once, on stdout."""
    from metier.apps.support.settings import SupportSettings
    from metier.store import open_store
    from metier.store import people as admitted

    with open_store(SupportSettings.read(settings).store) as store, store.write() as connection:
        typer.echo(admitted.add_key(connection, name, role, time.time()))


def _shown(texts: Iterable[str]) -> Iterator[str]:
    """Texts, as if they were typed."""
    for text in filter(str.strip, texts):
        typer.echo(f"\n> {text}")
        yield text


def _typed() -> Iterator[str]:
    """What is typed, or piped, until an empty line, the end of the input or Ctrl+C."""
    seen = sys.stdin.isatty()
    while True:
        try:
            text = typer.prompt("", default="", prompt_suffix="> ", show_default=False).strip()
        except typer.Abort:
            text = ""
        if not text or not seen:
            typer.echo(text)
        if not text:
            return
        yield text


def _show(exchange: Exchange) -> None:
    """The replies, what they cite, their buttons; below them which tier answered, how surely, how fast."""
    for message in exchange.replies:
        typer.echo(message.text)
        reply = message.reply or {}
        for number, one in enumerate(reply.get("citations", ()), 1):
            typer.echo(f"  [{number}] {one['title']}" + (f" ({one['link']})" if one.get("link") else ""))
        for button in reply.get("buttons", ()):
            said, label = button["message"], button["label"]
            typer.echo(f"  ( {label} )" + (f"  type {said}" if said != label else ""))
        typer.echo(f"  {message.tier}, {reply.get('score', 1):.2f}, {1000 * reply.get('seconds', 0):.0f} ms", err=True)

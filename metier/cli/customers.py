"""`metier support`: from a company's questions and answers to a service that answers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metier.cli.options import Json, app, print_json, progress

if TYPE_CHECKING:
    from metier.apps.support.support import Exchange

support = typer.Typer(help="Customer service: known answers, cited documents, people where nobody else knows.")
app.add_typer(support, name="support")

Settings = Annotated[Path, typer.Argument(help="The support.toml.")]
DEFAULT = Path("support.toml")


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
            f"{point.right:.1%} of them right, from a score of {made.sure.threshold:.2f} on"
        )


@support.command()
def chat(settings: Settings = DEFAULT) -> None:
    """Talk to the bot in the terminal; an empty line ends it."""
    from metier.apps.support import assemble
    from metier.apps.support.settings import SupportSettings
    from metier.store import open_store

    asked = SupportSettings.read(settings)
    with open_store(asked.store) as store:
        made = assemble.support(asked, store)
        conversation, _ = made.open("terminal")
        while text := typer.prompt("", default="", prompt_suffix="> ", show_default=False).strip():
            _show(made.receive(conversation.id, text))
        made.close()


def _show(exchange: Exchange) -> None:
    for message in exchange.replies:
        typer.echo(message.text)
        reply = message.reply or {}
        for number, one in enumerate(reply.get("citations", ()), 1):
            typer.echo(f"  [{number}] {one['title']}")
        for button in reply.get("buttons", ()):
            typer.echo(f"  ( {button['label']} )  {button['message']}")
        typer.echo(f"  {message.tier}, {reply.get('score', 1):.2f}, {1000 * reply.get('seconds', 0):.0f} ms", err=True)

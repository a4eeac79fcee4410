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


people = typer.Typer(help="Who may use the desk and the API.")
support.add_typer(people, name="people")
Role = Annotated[str, typer.Option(help="viewer, analyst (who answers customers) or admin.")]
Asked = Annotated[Path, typer.Option("--settings", help="The support.toml.")]


@people.command()
def add(
    name: Annotated[str, typer.Argument(help="Of the person.")], role: Role = "analyst", settings: Asked = DEFAULT
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
    settings: Asked = DEFAULT,
) -> None:  # fmt: skip
    """Make an API key; it is shown once, on stdout."""
    from metier.apps.support.settings import SupportSettings
    from metier.store import open_store
    from metier.store import people as admitted

    with open_store(SupportSettings.read(settings).store) as store, store.write() as connection:
        typer.echo(admitted.add_key(connection, name, role, time.time()))


def _show(exchange: Exchange) -> None:
    for message in exchange.replies:
        typer.echo(message.text)
        reply = message.reply or {}
        for number, one in enumerate(reply.get("citations", ()), 1):
            typer.echo(f"  [{number}] {one['title']}")
        for button in reply.get("buttons", ()):
            typer.echo(f"  ( {button['label']} )  {button['message']}")
        typer.echo(f"  {message.tier}, {reply.get('score', 1):.2f}, {1000 * reply.get('seconds', 0):.0f} ms", err=True)

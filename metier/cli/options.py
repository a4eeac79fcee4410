"""What the commands share: the application, flags that mean the same everywhere, the two ways of answering."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metier.errors import RecipeError

if TYPE_CHECKING:
    from metier.progress import Progress

app = typer.Typer(
    name="metier",
    help="Adapts a pretrained language model to a trade and runs it there.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="End with one line of JSON on stdout.")]
Seed = Annotated[int | None, typer.Option("--seed", help="The seed of everything that is random.")]
Text = Annotated[list[str] | None, typer.Option("--text", help="The text column; twice for a pair of texts.")]
Label = Annotated[list[str] | None, typer.Option("--label", help="A column to learn; repeat for several heads.")]
RunPath = Annotated[Path, typer.Argument(help="A run folder.")]
Threads = Annotated[int, typer.Option(min=0, help="Processor threads; 0: all.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]


def seconds_of(text: str) -> float:
    """`90s`, `30m`, `1h30m`, or a number of seconds. Raises `RecipeError` for anything else."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smh])", text.strip().lower())
    if "".join(number + unit for number, unit in parts) == text.strip().lower() and parts:
        found = sum(float(number) * {"s": 1, "m": 60, "h": 3600}[unit] for number, unit in parts)
    else:
        found = float(text) if re.fullmatch(r"\d+(\.\d+)?", text.strip()) else 0.0
    if found <= 0:
        raise RecipeError(f"{text!r} is no length of time.", expected="such as 90s, 30m or 1h30m")
    return found


def progress() -> Progress:
    from metier.progress import Progress

    return Progress(sys.stderr if os.environ.get("RANK", "0") == "0" else io.StringIO())


def print_json(values: dict[str, Any]) -> None:
    print(json.dumps(values, ensure_ascii=False, allow_nan=False), flush=True)

"""The finished rungs of a race on disk, so that one that was cut off goes on with them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file, save

from metier import run
from metier.errors import RunError
from metier.models.network import Network
from metier.pipeline.race.sheet import Sheet, scorer
from metier.tasks.task import Task
from metier.train.loop import Record

FILE = "rungs.jsonl"


@dataclass(frozen=True)
class Result:
    """What fitting a rung on a share of the training texts came to.

    Attributes:
        rows: training texts. draws: of so many, how often; seconds: of all draws together, the judging apart.
        rate: texts a second at prediction; 0 where it was not measured. size: bytes of the run on disk; 0: none.
        epochs: that it was fitted for; fewer than planned where `short`, because the time was up or nearly so.
        impossible: why it cannot be fitted at all; then nothing else counts.
    """

    name: str
    share: float
    rows: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    size: int = 0
    epochs: float | None = None
    short: bool = False
    draws: int = 1
    impossible: str = ""


class Log:
    """Results and their sheets by rung and share, in memory and in a folder.

    Args:
        folder: where they are.
        tasks: the heads.
        facts: what must be the same for a race to go on. Raises `RunError` where it is not.
    """

    def __init__(self, folder: Path, tasks: Mapping[str, Task], facts: Mapping[str, Any]) -> None:
        self.folder, self.tasks = folder, tasks
        self.results: dict[tuple[str, float], Result] = {}
        self.sheets: dict[tuple[str, float], Sheet] = {}
        folder.mkdir(parents=True, exist_ok=True)
        known = json.dumps(facts, sort_keys=True, default=str)
        lines = _whole_lines(folder / FILE)
        if lines and lines[0] != known:
            raise RunError(
                f"The race in {folder.parent} was run with another recipe, other data or other libraries.",
                hint="train again without --resume",
            )
        for line in lines[1:]:
            self._take(json.loads(line))
        run.write_text(folder / FILE, "".join(line + "\n" for line in lines or [known]))

    def add(self, result: Result, sheet: Sheet | None) -> None:
        """Keeps a result for good: its sheet first, then the line that says that it is there."""
        key = result.name, result.share
        line: dict[str, Any] = asdict(result)
        if sheet is not None:
            with self._file(key).open("wb") as file:
                np.save(file, sheet.counts, allow_pickle=False)
            line |= {"valid": sheet.valid, "widths": list(sheet.widths)}
            self.sheets[key] = sheet
        self.results[key] = result
        with (self.folder / FILE).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, sort_keys=True) + "\n")

    def _take(self, line: dict[str, Any]) -> None:
        valid, widths = line.pop("valid", None), line.pop("widths", None)
        result = Result(**line)
        key = result.name, result.share
        if widths is not None:
            counts = np.load(self._file(key), allow_pickle=False)
            self.sheets[key] = Sheet(counts, valid, tuple(widths), scorer(self.tasks, widths))
        self.results[key] = result

    def _file(self, key: tuple[str, float]) -> Path:
        return self.folder / f"{slug(key[0])}-{key[1]:g}.npy"

    def keep_weights(self, name: str, network: Network, records: Sequence[Record]) -> None:
        """The weights of a network that was fitted on all training texts, and the records of its fit."""
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
        lines = "".join(json.dumps(asdict(record)) + "\n" for record in records)
        try:
            run.write_text(self.folder / f"{slug(name)}.jsonl", lines)
            run.write_bytes(self.folder / f"{slug(name)}.safetensors", save(weights))
        except OSError as error:
            raise RunError(
                f"A rung could not be kept in {self.folder}: {error.strerror}.", hint="free some disk space"
            ) from error

    def load_weights(self, name: str, network: Network) -> None:
        """Puts them back."""
        network.load_state_dict(load_file(self.folder / f"{slug(name)}.safetensors"))

    def records(self, name: str) -> str:
        """The records that were kept with them, as lines of JSON."""
        return (self.folder / f"{slug(name)}.jsonl").read_text(encoding="utf-8")


def slug(name: str) -> str:
    """A rung's name as a file is called."""
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower())


def _whole_lines(file: Path) -> list[str]:
    """The lines that were written to their end."""
    if not file.is_file():
        return []
    text = file.read_text(encoding="utf-8")
    return text[: text.rfind("\n") + 1].splitlines()

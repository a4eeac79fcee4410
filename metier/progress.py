"""What the command line shows: progress bars on a terminal, plain lines elsewhere, tables of results."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

from metier.evaluate.findings import Findings
from metier.evaluate.search_page import value_text

if TYPE_CHECKING:
    from metier.evaluate.search_page import Searched
    from metier.train.loop import Record

LINE_SECONDS = 10.0
"""Seconds between two lines of a stage where there is no terminal."""


class Progress:
    """Draws what a pipeline tells: a `Watch` for people. A context manager."""

    def __init__(self, stream: IO[str]) -> None:
        self.console = Console(file=stream, highlight=False)
        self.bars: Bars | None = None
        self.name, self.total, self.done, self.rate = "", 0, 0, 0.0
        self.started = self.spoken = time.monotonic()

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            columns = (
                TextColumn("{task.description:<24}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
            )
            self.bars = Bars(*columns, console=self.console)
            self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bars is not None:
            self.bars.stop()

    def say(self, text: str) -> None:
        """One line."""
        self.console.print(text, markup=False, soft_wrap=True)

    def stage(self, name: str, total: int) -> None:
        """A new bar, or a line."""
        self.name, self.total, self.done = name, total, 0
        self.started = self.spoken = time.monotonic()
        if self.bars is not None:
            self.task = self.bars.add_task(name, total=total or None, note="")
        else:
            self.say(f"{name}: {total} to do" if total else name)

    def tick(self, units: int, note: str = "") -> None:
        """Moves the bar; a line every few seconds where there is none."""
        self.done += units
        if self.bars is not None:
            self.bars.update(self.task, advance=units, note=note)
        elif time.monotonic() - self.spoken >= LINE_SECONDS:
            self.spoken = time.monotonic()
            rate = self.done / (self.spoken - self.started)
            left = f", {(self.total - self.done) / rate:.0f} s left" if self.total and rate else ""
            of = f" of {self.total}" if self.total else ""
            self.say(f"{self.name}: {self.done}{of}, {rate:.0f}/s{left} {note}".rstrip())

    def step(self, record: Record) -> None:
        """An update of the fit; the record of a method without updates has step 0 and only figures."""
        if record.step:
            self._update(record)
        if record.valid is not None:
            figures = ", ".join(f"{name} {value:.4f}" for name, value in record.valid.items() if name != "metric")
            where = f"epoch {record.epoch + 1} step {record.step}: " if record.step else ""
            best = " (best)" if record.step and record.best else ""
            self.say(f"{where}valid {figures}{best}")

    def _update(self, record: Record) -> None:
        speed = record.examples / max(record.seconds, 1e-9)
        self.rate = speed if not self.rate else 0.95 * self.rate + 0.05 * speed
        self.tick(record.examples, f"{self.rate:.0f}/s loss {record.loss:.3f} rate {record.rate:.2e}")


def show_findings(findings: Findings, path: Path, stream: IO[str]) -> None:
    """The table of a finished fit and where its files are."""
    from metier.evaluate.report import table

    rows = table(findings)
    _table(rows[0], rows[1:], stream)
    Console(file=stream, highlight=False).print(
        f"run     {path}\nreport  {path / 'report.html'}", soft_wrap=True, markup=False
    )


def show_rows(rows: Sequence[Sequence[str]], stream: IO[str]) -> None:
    """A table whose first row names the columns."""
    _table(list(rows[0]), [list(row) for row in rows[1:]], stream)


def show_race(found: Mapping[str, Any], stream: IO[str]) -> None:
    """The table of a race, who won, and what more labels would buy."""
    from metier.evaluate import race

    rows = race.table(found)
    _table(rows[0], rows[1:], stream)
    said = f"winner  {found['winner']}, {found['spent']:.0f} of {found['budget']:g} s"
    Console(file=stream, highlight=False).print("\n".join([said, *race.outlook(found)]), soft_wrap=True, markup=False)


def show_figures(heads: Mapping[str, Any], stream: IO[str]) -> None:
    """The headline of each head with its interval."""
    rows = []
    for name, head in heads.items():
        for split, figures in head.items():
            if split != "task":
                line = figures["headline"]
                rows.append(
                    [
                        name,
                        split,
                        line["name"],
                        _figure(line["value"]),
                        _interval(line["interval"]),
                        str(figures["documents"]),
                    ]
                )
    _table(["head", "split", "metric", "value", "95 % interval", "texts"], rows, stream)


def show_seeds(summary: Mapping[str, Any], stream: IO[str]) -> None:
    """Mean and deviation over seeds."""
    rows = []
    for name, head in summary["heads"].items():
        line = head["test"]["headline"] or {"name": "-", "value": None, "sd": None}
        rows.append(
            [name, line["name"], f"{_figure(line['value'])} ± {_figure(line['sd'])}", str(len(summary["seeds"]))]
        )
    _table(["head", "metric", "mean ± sd", "seeds"], rows, stream)


def show_search(found: Searched, stream: IO[str], best: int = 10) -> None:
    """The best trials of a search, what matters, and where its files are."""
    rows = [
        [
            str(one.number),
            _figure(one.score),
            f"{one.seconds:.1f}",
            *(value_text(one.values.get(key)) for key in found.parameters),
        ]
        for one in found.whole[:best]
    ]
    _table(["trial", "score", "seconds", *found.parameters], rows, stream)
    if found.importance:
        rows = [[key, f"{found.importance.get(key, 0.0):.0%}"] for key in found.parameters]
        _table(["parameter", "importance"], rows, stream)
    counts = f"{found.count('whole')} whole, {found.count('cut short')} cut short, {found.count('failed')} failed"
    Console(file=stream, highlight=False).print(
        f"trials  {counts}\nrecipe  {found.recipe}\npage    {found.recipe.with_name('search.html')}",
        soft_wrap=True,
        markup=False,
    )


def show_runs(found: Sequence[Mapping[str, Any]], folder: Path, stream: IO[str]) -> None:
    """The runs of a folder."""
    if not found:
        Console(file=stream).print(f"There are no runs in {folder}.", markup=False)
        return
    rows = [[run["run"], run["state"], run["created"], run["method"], run["figures"]] for run in found]
    _table(["run", "state", "created", "method", "figures"], rows, stream)


def show_comparison(found: Mapping[str, Any], a: Path, b: Path, stream: IO[str]) -> None:
    """Two runs, head by head."""
    rows = [
        [
            name,
            line["name"],
            _figure(line["a"]),
            _figure(line["b"]),
            f"{line['difference']:+.4f}",
            _interval(line["interval"]),
            f"{line['p_value']:.4f}",
        ]
        for name, line in found.items()
    ]
    _table(["head", "metric", a.name, b.name, "A - B", "95 % interval", "p"], rows, stream)


def print_tiers(found: Mapping[str, Any], stream: IO[str]) -> None:
    """What each tier of customer service answered, as a table, and what that comes to."""
    rows = [[name, str(count), str(right), f"{right / count:.0%}"] for name, (count, right) in found["tiers"].items()]
    _table(["tier", "messages", "right", "share"], rows, stream)
    inside, both = found["questions"] - found["outside"], found["seconds"]
    told = [(found["right"], f"of {inside} questions with an answer are answered right"),
            (found["precise"], "of the answers given are right"),
            (found["refused"], f"of {found['outside']} questions without an answer are not answered")]  # fmt: skip
    lines = [f"{share:6.1%}  {words}" for share, words in told if share is not None]
    lines.append(f"{1000 * both[0]:.0f} ms an answer, {1000 * both[1]:.0f} ms at the 95 % quantile")
    Console(file=stream, highlight=False).print("\n".join(lines), soft_wrap=True, markup=False)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _interval(bounds: Sequence[float | None]) -> str:
    return f"[{_figure(bounds[0])}, {_figure(bounds[1])}]"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], stream: IO[str]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in header:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(file=stream, highlight=False)
    if not console.is_terminal:
        console.width = 160
    console.print(table)

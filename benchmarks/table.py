"""Fills the table of figures in both READMEs from `results/*.json`: `python -m benchmarks.table`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGES = ("README.md", "README.zh-CN.md")
MARKS = re.compile(r"(<!-- figures -->\n).*?(<!-- /figures -->)", re.DOTALL)
Line = Callable[[dict[str, Any]], tuple[str, str]]


def percent(value: float | None) -> str:
    """`93.5 %`, a dash for nothing."""
    return "-" if value is None else f"{100 * value:.1f} %"


def quality(result: dict[str, Any]) -> tuple[str, str]:
    """Figure and bar of a quality measurement: mean ± sd over the seeds."""
    spread = f" ± {100 * result['sd']:.1f}" if result.get("sd") else ""
    count = len(result["seeds"])
    return f"{percent(result['mean'])}{spread} ({count} seed{'s' * (count > 1)})", percent(result["bar"])


def times(ratio: dict[str, float]) -> str:
    """A median ratio with its spread."""
    return f"{ratio['median']:.2f} × ({ratio['min']:.2f} – {ratio['max']:.2f})"


LINES: dict[str, tuple[str, Line]] = {
    "banking77": ("Banking77, accuracy", quality),
    "clinc150": ("CLINC150, in-scope accuracy", quality),
    "phrasebank:50agree": ("Financial PhraseBank 50 % agree, accuracy", quality),
    "phrasebank:allagree": ("Financial PhraseBank all agree, accuracy", quality),
    "sst2": ("SST-2 (6,909 sentences), accuracy", quality),
    "bc5cdr": ("BC5CDR, strict entity F1", quality),
    "wnut17": ("WNUT17, strict entity F1", quality),
    "reuters": ("Reuters-21578 ModApte, micro-F1", quality),
    "semeval2010": ("SemEval-2010 task 8, official macro-F1", quality),
    "training_speed": (
        "examples a second of a fit against transformers' `Trainer`: batch 32 / batch 16 / padded to 128",
        lambda r: (
            " / ".join(times(r[name]["ratio"]) for name in ("batch_32", "batch_16", "padded_to_128")),
            " / ".join(f"{r[name]['bar']} ×" for name in ("batch_32", "batch_16", "padded_to_128")),
        ),
    ),
    "two_heads": ("two heads on one encoder against two runs", lambda r: (times(r["ratio"]), f"{r['bar']} ×")),
    "startup": (
        "`import metier` / `metier --help`",
        lambda r: (
            " / ".join(f"{r['seconds'][name]['median']:.2f} s" for name in r["bars"]),
            " / ".join(f"{bar} s" for bar in r["bars"].values()),
        ),
    ),
    "memory_read": (
        "1,000,000 rows (200 MB): reader, doctor, prediction without a model; peak memory",
        lambda r: (f"{max(job['peak_mb'] for job in r['jobs'].values()):.0f} MB", f"{r['limit_mb']} MB"),
    ),
}


def table() -> str:
    """The Markdown table of every result that there is."""
    rows = ["| what | measured | bar |", "|---|---|---|"]
    for key, (title, line) in LINES.items():
        name, _, part = key.partition(":")
        file = HERE / "results" / f"{name}.json"
        if file.is_file():
            result = json.loads(file.read_text(encoding="utf-8"))
            rows.append("| " + " | ".join((title, *line(result[part] if part else result))) + " |")
    return "\n".join(rows)


def main() -> None:
    """Writes the table between the marks of each page."""
    for name in PAGES:
        page = HERE.parent / name
        text = page.read_text(encoding="utf-8")
        page.write_text(MARKS.sub(lambda found: f"{found[1]}{table()}\n{found[2]}", text), encoding="utf-8")


if __name__ == "__main__":
    main()

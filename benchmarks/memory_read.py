"""A CSV of 1,000,000 rows (200 MB) through the reader, the doctor, and all of prediction but the model: memory, speed.

The claim: resident memory stays within 1.5 GiB. Each job runs in a process of its own, whose peak is the kernel's
figure (`VmHWM`).
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from itertools import accumulate
from pathlib import Path
from typing import Any

NAME = "memory_read"
LIMIT = 1.5 * 2**30
TEXT_LENGTH = 185
TOPICS = ("markets", "companies", "policy", "technology", "energy")
JOBS = ("resolve", "examples", "doctor", "score")


def run(rows: int = 1_000_000, path: str | None = None) -> dict[str, Any]:
    """Figures of each job: `peak_mb`, `seconds`, `rows_per_second`. `path`: use this file and write none."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(path) if path else write_csv(Path(folder) / "news.csv", rows)
        size = file.stat().st_size
        jobs = {job: _measured(job, file) for job in JOBS}
    for job in jobs.values():
        job["rows_per_second"] = round(rows / job["seconds"]) if job["rows"] else 0
    peak = max(job["peak_mb"] for job in jobs.values())
    return {
        "rows": rows,
        "megabytes": round(size / 1e6, 1),
        "limit_mb": round(LIMIT / 2**20),
        "within": peak <= LIMIT / 2**20,
        "jobs": jobs,
    }


def write_csv(path: Path, rows: int) -> Path:
    """A synthetic CSV with the columns `text` and `topic`: words drawn by Zipf's law, some rows repeated or edited."""
    rng = random.Random(13)
    letters = "etaoinshrdlucmfwypvbgk"
    words = ["".join(rng.choices(letters, k=rng.randint(2, 10))) for _ in range(30_000)]
    weights = list(accumulate(1 / (rank + 1) for rank in range(len(words))))
    recent: list[str] = ["nothing was said before this"]
    with path.open("w", encoding="utf-8") as file:
        file.write("text,topic\n")
        for row in range(rows):
            text = _text(rng, (words, weights), recent) if row % 50 else rng.choice(recent)
            recent = [*recent[-99:], text]
            file.write(f'"{text}",{rng.choice(TOPICS)}\n')
    return path


def _text(rng: random.Random, vocabulary: tuple[list[str], list[float]], recent: list[str]) -> str:
    """A new text; one in fifty is an earlier one with a word changed."""
    words, weights = vocabulary
    if rng.random() < 0.02:
        text = rng.choice(recent).split()
        text[rng.randrange(len(text))] = rng.choice(words)
        return " ".join(text)
    return " ".join(rng.choices(words, cum_weights=weights, k=45))[:TEXT_LENGTH]


def _measured(job: str, path: Path) -> dict[str, Any]:
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory_read", job, str(path)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1]) | {"seconds": round(time.perf_counter() - started, 2)}


def work(job: str, path: str) -> dict[str, Any]:
    """One job in this process (`resolve` looks at the columns alone): the rows that it saw, its peak in MB."""
    from metier.data.read import examples, resolve
    from metier.pipeline.doctor import diagnose

    columns = resolve(path, labels=("topic",))
    found: dict[str, Any] = {"rows": 0}
    if job == "examples":
        found["rows"] = sum(1 for _ in examples(path, columns))
    elif job == "doctor":
        diagnosis = diagnose(path, ("topic",))
        found |= {"rows": diagnosis.rows, "problems": {p.code: p.count for p in diagnosis.problems}}
    elif job == "score":
        found["rows"] = score(path)
    return found | {"peak_mb": peak_mb()}


def score(path: str) -> int:
    """Reads, cleans, tokenises and writes every row; the model is replaced by a constant."""
    from collections.abc import Sequence

    from metier.data import read
    from metier.models import backbone
    from metier.models.tokeniser import Tokeniser
    from metier.pipeline.predict import SHARD
    from metier.predict import corpus
    from metier.types import Document, Prediction

    tokeniser = Tokeniser(backbone.load_tokenizer(backbone.find("minilm")), max_length=256)

    def constant(documents: Sequence[Document]) -> list[dict[str, Prediction]]:
        tokens = len(tokeniser.rows(documents).ids)
        assert tokens > len(documents)
        return [{"head": Prediction("label", 1.0)}] * len(documents)

    with tempfile.TemporaryDirectory() as folder:
        job = corpus.Job(Path(folder) / "scored.parquet", {"source": path}, {"head": "classify"})
        frames = read.frames(path, rows=SHARD)
        steps = corpus.Steps(lambda frame, first: read.documents(frame, ("text",), first=first), constant)
        return corpus.score(job, frames, steps)


def peak_mb() -> float:
    """The most memory that this process ever had resident, in MB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def main() -> None:
    """Without arguments the whole benchmark; with a job and a path, that job alone."""
    if len(sys.argv) == 3:
        print(json.dumps(work(sys.argv[1], sys.argv[2])))
        return
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    figures = run()
    (results / f"{NAME}.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()

"""A corpus of ten times the rows: ten times the time, and not a byte more memory.

The claim: `metier predict` on ten million rows takes ten times as long as on one million, within 10 %, and the process
takes as much memory for the one as for the other. Rows are made of the words of real texts where `texts` names a file
with a column `text`, else of words made up. Without `run` a stand-in predicts: everything but the model, tokeniser
included. Each measurement has a process of its own; small and large alternate, and the median of the ratios counts.

    python -m benchmarks corpus run=runs/student texts=corpus.csv
    python -m benchmarks corpus rows=20000 factor=3 pairs=1        # seconds, to see that it works
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHUNK = 100_000


def corpus(path: Path, rows: int, words: list[str], seed: int = 13) -> None:
    """So many different texts of 3 to 30 words, as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet

    rng = random.Random(seed)
    schema = pa.schema([("id", pa.int64()), ("text", pa.string())])
    with pa.parquet.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, CHUNK):
            ids = range(start, min(rows, start + CHUNK))
            texts = [" ".join(rng.choices(words, k=rng.randint(3, 30))) for _ in ids]
            writer.write_table(pa.table({"id": list(ids), "text": texts}, schema=schema), row_group_size=10_000)


def vocabulary(texts: str | None) -> list[str]:
    """Words as often as they stand in real texts; without any, three thousand that were made up."""
    if texts is None:
        rng = random.Random(1)
        return ["".join(rng.choices("aeioulnrst", k=rng.randint(2, 9))) for _ in range(3_000)]
    import polars as pl

    from metier.data import read

    frame: pl.DataFrame = next(iter(read.frames(texts, rows=50_000)))
    return " ".join(frame["text"].drop_nulls().cast(pl.String).to_list()).split()


def score(path: str, out: str, run: str | None, threads: int) -> dict:
    """Scores a corpus in this process: rows, seconds, and the most memory in MiB, in the whole and by tenths."""
    import psutil

    from metier.pipeline import predict as pipeline
    from metier.predict import corpus as scoring

    process, memory, rows = psutil.Process(), [], 0

    class Watch:
        def __getattr__(self, name: str):
            return lambda *_: None

        def tick(self, units: int) -> None:
            nonlocal rows
            rows += units
            memory.append(process.memory_info().rss / 2**20)

    if run is None:
        steps = standing_in()
        bare = memory_now = process.memory_info().rss / 2**20
        start = time.perf_counter()
        job = scoring.Job(Path(out), {"source": path}, {"label": "classify"})
        frames = pipeline.read.frames(path, rows=pipeline.SHARD)
        scoring.score(job, frames, steps, Watch().tick)
    else:
        from metier.model import Model

        model = Model(run, threads=threads)
        bare = memory_now = process.memory_info().rss / 2**20
        start = time.perf_counter()
        scored = pipeline.Scoring(path, Path(out))
        pipeline.predict(model.runtime, model.recipe, "0", scored, Watch())
    seconds = time.perf_counter() - start
    tenth = max(1, len(memory) // 10)
    tenths = [round(max(memory[at : at + tenth]), 1) for at in range(0, len(memory), tenth)]
    return {
        "rows": rows,
        "seconds": round(seconds, 2),
        "rows_per_second": round(rows / seconds),
        "memory_mib": {"loaded": round(bare, 1), "most": round(max(memory, default=memory_now), 1), "tenths": tenths},
    }


def standing_in():
    """Steps without a model: tokenised by the embedded backbone's tokenizer, and a label from the number of tokens."""
    from metier.data import read
    from metier.models import backbone
    from metier.models.tokeniser import Tokeniser
    from metier.predict.corpus import Steps
    from metier.types import Prediction

    tokeniser = Tokeniser(backbone.load_tokenizer(backbone.find("minilm")), max_length=256)

    def predicted(rows) -> list:
        return [{"label": Prediction("odd" if length % 2 else "even", 0.5)} for length in rows.lengths.tolist()]

    return Steps(lambda frame, first: tokeniser.rows(read.documents(frame, ("text",), first=first)), predicted)


def run(
    *,
    run: str | None = None,
    texts: str | None = None,
    rows: int = 1_000_000,
    factor: int = 10,
    pairs: int = 3,
    threads: int = 0,
    suffix: str = ".parquet",
) -> dict:
    """So many rows against `factor` times as many, in turn."""
    words = vocabulary(texts)
    found: list[tuple[dict, dict]] = []
    with tempfile.TemporaryDirectory(prefix="metier-corpus-") as folder:
        sizes = {"small": rows, "large": rows * factor}
        for name, count in sizes.items():
            corpus(Path(folder) / f"{name}.parquet", count, words)
        for _ in range(pairs):
            small, large = (_measured(Path(folder), name, run, threads, suffix) for name in sizes)
            found.append((small, large))
    ratios = [large["seconds"] / small["seconds"] / factor for small, large in found]
    growth = [large["memory_mib"]["most"] / small["memory_mib"]["most"] for small, large in found]
    return {
        "model": Path(run).name if run else "stand-in",
        "pairs": [{"small": small, "large": large} for small, large in found],
        "time_ratio": round(statistics.median(ratios), 3),
        "memory_ratio": round(statistics.median(growth), 3),
        "keeps": {
            "linear": abs(statistics.median(ratios) - 1) <= 0.1,
            "flat": statistics.median(growth) <= 1.1,
        },
    }


def _measured(folder: Path, name: str, run: str | None, threads: int, suffix: str) -> dict:
    out = folder / f"{name}-scored{suffix}"
    call = json.dumps([str(folder / f"{name}.parquet"), str(out), run, threads])
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.corpus", call], cwd=ROOT, check=True, capture_output=True, text=True
    )
    out.unlink()
    found: dict = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    print(json.dumps(score(*json.loads(sys.argv[1]))))

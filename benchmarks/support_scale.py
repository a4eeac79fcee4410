"""Search over many entries: MedQuAD's questions varied until there are enough, and how long build and search take.

A variation is one of the rewritings of `rewriting` of a question, with a sentence of its answer behind every second
one, and a number of its own, as tickets have. Times are those of a quiet machine only where the machine is quiet:
processor seconds stand beside them.
"""

from __future__ import annotations

import itertools
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.rewriting import KINDS, rewritten
from benchmarks.support_medquad import rows
from metier.pipeline.encoder import build
from metier.search.index import Index
from metier.search.stored import Entry

BUILD, P95 = 40 * 60.0, 0.060
"""The bars: seconds of a build of 200,000 entries, seconds of a search."""


def run(entries: int = 200_000, queries: int = 300, threads: int = 1, encoder: str = "") -> dict[str, Any]:
    """Seconds to build, seconds a search (median, p95), size on disk, memory.

    Args:
        entries: texts in the index.
        queries: that are asked, none of them in the index.
        threads: of the encoder.
        encoder: a folder where the encoder is kept; empty: made for this measurement.
    """
    with tempfile.TemporaryDirectory() as folder:
        encode = build(encoder or Path(folder) / "encoder", threads=threads)
        texts = list(itertools.islice(varied(13), entries))
        wall, cpu = time.perf_counter(), time.process_time()
        built = Index.build(Path(folder) / "index", texts, encode, merge=0)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        del built, texts
        before = psutil.Process().memory_info().rss
        index = Index(Path(folder) / "index", encode, merge=0)
        asked = [entry.text for entry in itertools.islice(varied(14), queries)]
        took = _asked(index, asked)
        changed = _changed(index)
        sizes = {path.name: path.stat().st_size for path in sorted((Path(folder) / "index" / "000001").iterdir())}
        after = psutil.Process().memory_info()
    return {
        "metric": "p95 of a search, seconds",
        "mean": took["wall_p95"],
        "bar": P95,
        "entries": entries,
        "build": {"wall_seconds": round(wall, 1), "cpu_seconds": round(cpu, 1), "bar_seconds": BUILD},
        "build_cpu_seconds_for_200000": round(cpu * 200_000 / entries, 1),
        "search": took,
        "put_cpu_seconds": changed,
        "memory": {"peak_of_build": peak, "resident_before_open": before, "resident_after_search": after.rss},
        "bytes_on_disk": sum(sizes.values()),
        "files": sizes,
    }


def varied(seed: int) -> Iterator[Entry]:
    """Entries without an end."""
    draw, known = random.Random(seed), rows()
    for number in itertools.count():
        row = draw.choice(known)
        kind = draw.choice(KINDS)
        text = rewritten(row["question"], kind, f"{seed}:{number}") or row["question"]
        if number % 2:
            text += f" {draw.choice(row['answer'].split('. '))[:200]}"
        yield Entry(str(number), f"{text} #{draw.randrange(10**7)}", row["question"], "en")


def _asked(index: Index, texts: list[str]) -> dict[str, float]:
    """Seconds of a search with its vector."""
    index.search(texts[0])
    wall, cpu = [], []
    for text in texts:
        began, used = time.perf_counter(), time.process_time()
        index.search(text)
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - used)
    return {
        f"{name}_{label}": round(float(np.percentile(took, share)), 5)
        for name, took in (("wall", wall), ("cpu", cpu))
        for label, share in (("median", 50), ("p95", 95))
    }


def _changed(index: Index) -> float:
    """Processor seconds, median, of putting one text whose vector is known into an overlay of 1,000."""
    vector = np.zeros((1, index._width), dtype=np.float32)
    vector[0, 0] = 1.0
    index.put([Entry(f"n{at}", f"a new text {at}") for at in range(1000)], vectors=np.repeat(vector, 1000, axis=0))
    took = []
    for at in range(100):
        began = time.thread_time()
        index.put([Entry(f"m{at}", f"another text {at}")], vectors=vector)
        took.append(time.thread_time() - began)
    return round(float(np.median(took)), 6)

"""Test accuracy of the fits that `training_speed` times: that speed was not bought with quality.

Both from the same weights on all of Banking77's training texts for as many epochs at the same learning rate, each with
the head that it comes with: ours the mean of the states, the `Trainer`'s model the pooled first token.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import torch

from benchmarks.training_speed import banking77, ours, peer

MARGIN = 0.005


def run(epochs: int = 4, batch: int = 32, threads: int = 0, texts: int = 20_000) -> dict[str, Any]:
    """Accuracy of both on the official test split; ours may not be lower by more than half a point."""
    if threads:
        torch.set_num_threads(threads)
    examples, test = banking77(texts)
    found: dict[str, float] = {}
    for name, fitted in (("ours", ours), ("trainer", peer)):
        found[name] = fitted(examples, test, (batch, 0), epochs, time.perf_counter)["accuracy"]
        print(name, found[name], file=sys.stderr, flush=True)
    return {
        "accuracy": found,
        "difference": found["ours"] - found["trainer"],
        "margin": MARGIN,
        "texts": {"train": len(examples), "test": len(test)},
        "epochs": epochs,
        "batch": batch,
    }

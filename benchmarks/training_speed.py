"""Examples a second of a full fit, against transformers' `Trainer` as it comes: same model, texts, epochs, threads.

Ours is the loop that `metier.train` drives, without reading and evaluation; the peer is timed from the first step to
the last, without its preparations. Runs alternate (A B A B ...), each ratio is that of neighbours, and the result is
their median. Three settings: batches of 32, of 16, and batches of 32 with every text padded to 128 tokens, as tutorials
do it (fewer texts there: the ratio of rates is what counts).
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
import torch

from benchmarks.matmul_peak import gflops
from benchmarks.quality import data
from metier.data import read
from metier.models import backbone as backbones
from metier.models.machine import machine
from metier.models.network import Network
from metier.models.table import Table
from metier.models.tokeniser import Tokeniser
from metier.recipe import TrainPart
from metier.tasks.classify import Classify
from metier.train import loop
from metier.train.finetune import Job, assemble
from metier.types import Document, Example

NAME = "training_speed"
BARS = {"batch_32": 3.3, "batch_16": 2.0, "padded_to_128": 8.0}
BAR_SHARE = 0.55
RATE = 1e-4
HEAD = "intent"


Clock = Callable[[], float]
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "cpu": time.process_time}


def run(
    pairs: int = 5,
    texts: int = 1600,
    padded_texts: int = 320,
    threads: int = 0,
    clock: str = "wall",
) -> dict[str, Any]:
    """Ratios and rates of the three settings, and the share of the matrix-product peak.

    On a machine that does other work, `threads=1 clock=cpu` is the fairer look (figures of one thread, then). That the
    two reach the same accuracy is the claim of `training_accuracy`.
    """
    if threads:
        torch.set_num_threads(threads)
    examples, _ = banking77(texts)
    now = CLOCKS[clock]
    before = gflops(2048, 2048, 2048, 8, now)
    figures: dict[str, Any] = {}
    settings = {"batch_32": (32, 0, texts), "batch_16": (16, 0, texts), "padded_to_128": (32, 128, padded_texts)}
    for name, (batch, pad, count) in settings.items():
        if count:
            figures[name] = _alternate((examples, examples[:count]), (batch, pad), pairs, now) | {"bar": BARS[name]}
            print(name, figures[name], file=sys.stderr, flush=True)
    peak = max(before, gflops(2048, 2048, 2048, 8, now))
    for name in figures.keys() & {"batch_32", "batch_16"}:
        figures[name]["share_of_peak"] = figures[name]["gflops"] / peak
    return {"threads": torch.get_num_threads(), "clock": clock, "peak_gflops": peak, "bar_share": BAR_SHARE, **figures}


def banking77(texts: int) -> tuple[list[Example], list[Example]]:
    """The first `texts` of the training split in a fixed random order, and the test split."""
    frame = pl.concat(read.frames(data("support_banking77/banking77.csv.gz")))
    train = frame.filter(pl.col("split") == "train").sample(fraction=1.0, shuffle=True, seed=13).head(texts)
    return _typed(train), _typed(frame.filter(pl.col("split") == "test"))


def _typed(frame: pl.DataFrame) -> list[Example]:
    rows = zip(frame["text"], frame["label"], strict=True)
    return [Example(Document(text), {HEAD: label}) for text, label in rows]


def _alternate(
    examples: tuple[list[Example], list[Example]], size: tuple[int, int], pairs: int, now: Clock
) -> dict[str, Any]:
    """Median ratio over pairs of neighbouring runs; a short run of each goes first and does not count."""
    mine, theirs = examples
    ours(mine[:64], [], size, 1, now)
    peer(theirs[:64], [], size, 1, now)
    found = [(ours(mine, [], size, 1, now), peer(theirs, [], size, 1, now)) for _ in range(pairs)]
    ratios = [one["examples_per_second"] / other["examples_per_second"] for one, other in found]
    return {
        "ratio": {"median": median(ratios), "min": min(ratios), "max": max(ratios), "pairs": pairs},
        "ours": median(one["examples_per_second"] for one, _ in found),
        "trainer": median(other["examples_per_second"] for _, other in found),
        "gflops": median(one["gflops"] for one, _ in found),
        "texts": {"ours": len(mine), "trainer": len(theirs)},
    }


def ours(
    examples: list[Example], test: list[Example], size: tuple[int, int], epochs: int, now: Clock
) -> dict[str, float]:
    torch.manual_seed(13)
    found = backbones.find("minilm")
    encoder = backbones.load_encoder(found)
    tokeniser = Tokeniser(backbones.load_tokenizer(found), max_length=128)
    tasks = {HEAD: Classify.build([example.targets[HEAD] for example in examples])}
    network = Network(encoder, tasks)
    table, empty = _table(examples, tokeniser, tasks), _table([], tokeniser, tasks)
    part = TrainPart(epochs=epochs, batch_size=size[0], learning_rate=RATE, warmup=0.0, weight_decay=0.0)
    job = Job(network, machine("cpu", "fp32"), table, empty, part, 13, {HEAD: {}}, {HEAD: 1.0})
    with tempfile.TemporaryDirectory() as folder:
        fit = assemble(job, None, Path(folder), lambda rows: None)
        start = now()
        tokens = sum(record.tokens for record in loop.steps(fit))
        seconds = now() - start
        loop.restore_best(fit)
    weights = sum(weight.numel() for layer in encoder.layers for weight in layer.parameters())
    figures = {
        "examples_per_second": len(examples) * epochs / seconds,
        "gflops": 6 * weights * tokens / seconds / 1e9,  # tokens of texts, padding not counted
    }
    return figures | ({"accuracy": _score(network, _table(test, tokeniser, tasks), test)} if test else {})


def _table(examples: list[Example], tokeniser: Tokeniser, tasks: dict[str, Any]) -> Table:
    table = Table.of([example.document for example in examples], tokeniser, tasks)
    table.label(examples)
    return table


@torch.no_grad()
def _score(network: Network, table: Table, test: list[Example]) -> float:
    network.eval()
    labels, right = network.tasks[HEAD].labels, 0
    for units in np.array_split(np.arange(len(test)), max(1, len(test) // 64)):
        best = network(table.plain(units))[HEAD].argmax(-1)
        right += sum(labels[int(index)] == test[unit].targets[HEAD] for index, unit in zip(best, units, strict=True))
    return right / len(test)


def peer(
    examples: list[Example], test: list[Example], size: tuple[int, int], epochs: int, now: Clock
) -> dict[str, float]:
    """`Trainer` with its defaults: dynamic padding, random order, fused AdamW. `size`: batch, padded length or 0."""
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )
    from transformers import logging as voice

    batch, pad = size
    voice.set_verbosity_error()
    voice.disable_progress_bar()
    folder = str(backbones.find("minilm").folder)
    labels = sorted({str(example.targets[HEAD]) for example in examples})
    tokenizer = AutoTokenizer.from_pretrained(folder)
    padding = {"padding": "max_length", "max_length": pad} if pad else {"max_length": 128}
    encoded = tokenizer([example.document.text for example in examples], truncation=True, **padding)
    rows = [
        {"input_ids": ids, "attention_mask": mask, "labels": labels.index(str(example.targets[HEAD]))}
        for ids, mask, example in zip(encoded["input_ids"], encoded["attention_mask"], examples, strict=True)
    ]

    class Watch(TrainerCallback):
        start = stop = 0.0

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.start = now()

        def on_train_end(self, *_: Any, **__: Any) -> None:
            self.stop = now()

    with tempfile.TemporaryDirectory() as out:
        arguments = TrainingArguments(
            out,
            num_train_epochs=epochs,
            per_device_train_batch_size=size[0],
            learning_rate=RATE,
            optim="adamw_torch_fused",
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            logging_strategy="no",
            seed=13,
        )
        model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(labels))
        watch = Watch()
        collate = DataCollatorWithPadding(tokenizer)
        trainer = Trainer(model, arguments, data_collator=collate, train_dataset=rows, callbacks=[watch])
        trainer.train()
    figures = {"examples_per_second": len(examples) * epochs / (watch.stop - watch.start)}
    if test:
        figures["accuracy"] = _score_peer(model, tokenizer, labels, test)
    return figures


@torch.no_grad()
def _score_peer(model: Any, tokenizer: Any, labels: list[str], test: list[Example]) -> float:
    model.eval()
    right = 0
    for at in range(0, len(test), 64):
        part = test[at : at + 64]
        encoded = tokenizer(
            [example.document.text for example in part],
            truncation=True,
            max_length=128,
            padding=True,
            return_tensors="pt",
        )
        best = model(**encoded).logits.argmax(-1)
        right += sum(labels[int(index)] == example.targets[HEAD] for index, example in zip(best, part, strict=True))
    return right / len(test)

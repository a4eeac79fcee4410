"""Small networks of every kind of task with a batch of training texts, for what is minimised."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metier import tasks
from metier.models import backbone
from metier.models.batch import Batch
from metier.models.machine import Machine
from metier.models.network import Network
from metier.models.table import Table
from metier.models.tokeniser import Tokeniser
from metier.recipe import RegularisePart
from metier.tasks.task import Task
from metier.train.objective import Terms, objective
from metier.types import Document, Example, Span

TEXTS = [
    "Berlin gains today", "the company falls", "Oslo sinks after a weak report and its bank results", "Rome wins",
    "shares of the bank", "Paris loses", "the market grows in Lima today", "fraud",
]  # fmt: skip
CPU = Machine(torch.device("cpu"), torch.float32, 1)


def _tagged(at: int) -> tuple[Span, ...]:
    return (Span(0, len(TEXTS[at].split()[0]), "X"),) if at % 2 else ()


def _crf() -> Task:
    task = tasks.build("tag", [(Span(0, 1, "X"),)])
    task.crf = True  # type: ignore[attr-defined]
    return task


HEADS: dict[str, tuple[Callable[[], Task], Callable[[int], Any]]] = {
    "classify": (lambda: tasks.build("classify", ["x", "y", "z"]), lambda at: "xyz"[at % 3]),
    "multilabel": (lambda: tasks.build("multilabel", [("x", "y")]), lambda at: ("x",) if at % 2 else ()),
    "tag": (lambda: tasks.build("tag", [(Span(0, 1, "X"),)]), _tagged),
    "crf": (_crf, _tagged),
    "score": (lambda: tasks.build("score", [1.0, 2.0, 4.0]), lambda at: float(at % 5)),
    "relate": (lambda: tasks.build("relate", ["x", "y"]), lambda at: "xy"[at % 2]),
    "embed": (lambda: tasks.build("embed", [0.0, 1.0, 0.5]), lambda at: at / 8),
}


def document(head: str, at: int) -> Document:
    text = TEXTS[at]
    if head == "relate":
        first, *rest = text.split()
        return Document(f"<e1>{first}</e1> {' '.join(rest)} <e2>bank</e2>")
    return Document(text, TEXTS[(at + 3) % 8]) if head == "embed" else Document(text)


def scene(folder: Path, *heads: str, dropout: float = 0.0, without: int = 0, **settings: Any) -> tuple[Terms, Batch]:
    """The terms of a fit of a tiny network, and a batch of eight texts; `without` lack a target of the last head."""
    found = backbone.find(str(folder))
    torch.manual_seed(3)
    made = {name: HEADS[name][0]() for name in heads}
    encoder = backbone.load_encoder(found, dropout=dropout)
    tokeniser = Tokeniser(backbone.load_tokenizer(found), max_length=48)
    tokeniser.add([token for task in made.values() for token in task.special_tokens])
    if missing := tokeniser.tokenizer.get_vocab_size() - encoder.vocabulary:
        encoder.resize_vocabulary(missing)
    network = Network(encoder, made)
    for part in network.heads.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = dropout
    network.train()
    documents = [document(heads[0], at) for at in range(8)]
    table = Table.of(documents, tokeniser, made)
    table.label([Example(item, targets(heads, at, without)) for at, item in enumerate(documents)])
    options = {name: {"label_smoothing": 0.0, "class_weights": None, "focal": 0.0} for name in heads}
    terms = Terms(network, CPU, options, dict.fromkeys(heads, None), RegularisePart.model_validate(settings))
    return terms, table.batch(torch.arange(8).numpy())


def targets(heads: tuple[str, ...], at: int, without: int) -> dict[str, Any]:
    kept = heads[:-1] if at < without else heads
    return {name: HEADS[name][1](at) for name in kept}


def driven(terms: Terms, batch: Batch, seed: int = 5) -> tuple[list[float], dict[str, Tensor]]:
    """The losses of a batch and the gradients that they leave, as the loop takes them."""
    torch.manual_seed(seed)
    terms.network.zero_grad()
    losses = []
    for found in objective(terms, batch):
        found.backward()  # type: ignore[no-untyped-call]
        losses.append(float(found.detach()))
    return losses, gradients(terms.network)


def gradients(network: Network) -> dict[str, Tensor]:
    return {name: weight.grad.clone() for name, weight in network.named_parameters() if weight.grad is not None}

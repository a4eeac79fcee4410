"""Documents to predictions through a language model that is asked, with the interface of `Runtime`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from metier.models.batch import Batch
from metier.models.ensemble import Ensemble, networks_of
from metier.models.machine import Machine
from metier.models.network import Network
from metier.models.prompts import pooled
from metier.models.table import Table
from metier.models.tokeniser import Tokeniser
from metier.models.wording import Question, Scorer, Shot, Wording, calibrated
from metier.predict.runtime import Logits, Tick
from metier.predict.torch_runtime import TorchRuntime
from metier.types import Document, Prediction

CHUNK = 64


@dataclass
class Shots:
    """Labelled texts to choose examples from: their unit vectors `(texts, width)` and how many are shown."""

    texts: list[str]
    targets: list[dict[str, int]]
    """Of each text, the index of its label by head."""
    vectors: np.ndarray
    count: int

    def choose(self, head: str, labels: int, text: str, vector: np.ndarray) -> tuple[Shot, ...]:
        """The examples of one text, the nearest last (Liu et al. 2022), never the text itself.

        The nearest of each label are taken in turn where there are at least as many examples as labels.
        """
        order = np.argsort(-(self.vectors @ vector), kind="stable").tolist()
        known = [at for at in order if head in self.targets[at] and self.texts[at] != text]
        if self.count >= labels:
            seen: dict[int, int] = {}
            rank: list[tuple[int, int, int]] = []
            for at in known:
                label = self.targets[at][head]
                rank.append((seen.get(label, 0), len(rank), at))
                seen[label] = seen.get(label, 0) + 1
            chosen = {at for _, _, at in sorted(rank)[: self.count]}
            known = [at for at in known if at in chosen]
        return tuple((self.texts[at], self.targets[at][head]) for at in reversed(known[: self.count]))


@dataclass
class Asking:
    """Who is asked what: a scorer, the wording of each head, and examples where they are shown."""

    scorer: Scorer
    wordings: Mapping[str, Wording]
    shots: Shots | None = None
    known: dict[str, dict[tuple[Shot, ...], np.ndarray]] = field(default_factory=dict)


class Prompted(TorchRuntime):
    """A runtime whose logits are the log-probabilities that a language model gives the labels.

    The network's encoder chooses the examples; its heads say nothing.
    """

    def __init__(
        self,
        network: Network | Ensemble,
        tokeniser: Tokeniser,
        machine: Machine,
        floors: Mapping[str, float],
        asking: Asking,
    ) -> None:
        super().__init__(network, tokeniser, machine, floors)
        self.asking = asking

    @torch.inference_mode()
    def logits(
        self,
        table: Table,
        prepare: Callable[[Batch], Batch] = lambda batch: batch,
        tick: Tick = lambda rows: None,
        vectors: bool = False,
    ) -> Logits:
        """The scores of every document of a table; zeros where the model named no label."""
        found: Logits = {name: [] for name in self.tasks}
        for start in range(0, len(table.documents), CHUNK):
            documents = table.documents[start : start + CHUNK]
            for name, questions in self._questions(documents).items():
                known = self.asking.known.setdefault(name, {})
                if self.asking.shots is not None:
                    known.clear()  # the examples of other texts are others
                found[name] += list(calibrated(self.asking.scorer, self.asking.wordings[name], questions, known))
            tick(len(documents))
        return found

    def decode(self, table: Table, logits: Logits, heads: Sequence[str] | None = None) -> list[dict[str, Prediction]]:
        """As `Runtime.decode`; a text for which the model named no label abstains."""
        found = super().decode(table, logits, heads)
        for at, row in enumerate(found):
            for name in row:
                if not np.any(logits[name][at]):
                    row[name] = replace(row[name], abstain=True)
        return found

    def _questions(self, documents: Sequence[Document]) -> dict[str, list[Question]]:
        texts = [said(document) for document in documents]
        shots = self.asking.shots
        if shots is None:
            return {name: [Question(text) for text in texts] for name in self.tasks}
        vectors = units(networks_of(self.network)[0], self.tokeniser, texts)
        return {
            name: [
                Question(text, shots.choose(name, len(task.labels), text, vector))
                for text, vector in zip(texts, vectors, strict=True)
            ]
            for name, task in self.tasks.items()
        }


def said(document: Document) -> str:
    """A document as it stands in a prompt; the second text of a pair on a line of its own."""
    return document.text if document.pair is None else f"{document.text}\n{document.pair}"


def units(network: Network, tokeniser: Tokeniser, texts: Sequence[str]) -> np.ndarray:
    """The unit pooled vectors of texts, `(texts, width)`."""
    vectors: np.ndarray = torch.nn.functional.normalize(pooled(network, tokeniser, texts), dim=-1).cpu().numpy()
    return vectors

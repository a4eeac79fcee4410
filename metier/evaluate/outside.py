"""Knowing what a classifier does not know: one score a text for lying outside of all of its classes.

A classifier's probabilities are shared among the classes that it knows, so a text of none of them gets a label like any
other, often with a high probability. What tells it apart is where its vector lies and how even its calibrated
probabilities are (`signals`). Their combination is learned where there are examples of texts that belong nowhere, and
is their mean rank among texts that belong somewhere where there are none. The probabilities of a softmax as it was
fitted are never looked at: those that come in are calibrated.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from metier.errors import DataError, RunError
from metier.evaluate import signals
from metier.evaluate.combine import Learned, Ranks
from metier.evaluate.refusal import Curve
from metier.evaluate.signals import SIGNALS, Answers, Gaussians
from metier.run import write_bytes, write_text

ARRAYS, SETTINGS = "outside.safetensors", "outside.json"
FORMAT = 1
KS = (1, 2, 5, 10, 20, 50, 100)
"""The neighbours among which the number of them is chosen."""
MOST = 20_000
"""Training texts that are kept to measure distances to; Sun et al. (2022) lose little with one in a hundred."""
FOLDS = 3
FEWEST = 20
"""Examples from which on a combination is learned, and held-out texts that ranks are taken among."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What was learned of a run's own classes, ready to score texts.

    Args:
        bank: `(m, width)`, vectors of training texts at length 1.
        k: which nearest neighbour counts.
        gaussians: of the classes.
        combination: of the signals that `combination.names` lists.
        run: the version of the run that all of this is of; empty: not told.
    """

    bank: np.ndarray
    k: int
    gaussians: Gaussians
    combination: Learned | Ranks
    run: str = ""

    @classmethod
    def fit(
        cls,
        vectors: np.ndarray,
        labels: Sequence[str],
        held_out: Answers,
        outside_examples: Answers | None = None,
        *,
        names: Sequence[str] = (),
        k: int | None = None,
        seed: int = 13,
    ) -> Outside:
        """Learns from a run's training vectors, and from held-out texts that the run was not fitted on.

        Args:
            vectors: `(n, width)`, of the training texts.
            labels: `(n,)`, theirs.
            held_out: of texts in scope that were not trained on.
            outside_examples: of texts out of scope; with 20 or more the combination is learned from them, with fewer
                or none it is the mean rank.
            names: the signals to combine; empty: all that there are.
            k: which neighbour counts; `None`: the one that parts the held-out texts best.
            seed: of the draw of training texts where there are more than 20,000.

        Raises:
            DataError: where nothing can be learned from these: too few texts, widths that differ.
        """
        _require(vectors, labels, held_out, outside_examples)
        names = tuple(names) or tuple(name for name in SIGNALS if name != "energy" or held_out.logits is not None)
        classes = np.unique(np.asarray(labels), return_inverse=True)[1]
        kept = _drawn(classes, seed)
        bank = signals.unit(vectors[kept])
        if k is None:
            k = _neighbours(bank, classes[kept], held_out, outside_examples)
        gaussians = Gaussians.fit(vectors, classes)
        empty = np.zeros((0, len(names)))
        bare = cls(bank, min(k, len(bank)), gaussians, Ranks(names, empty))
        inside = bare.signals(held_out)
        if outside_examples is None or len(outside_examples) < FEWEST:
            return replace(bare, combination=Ranks.fit(names, inside))
        return replace(bare, combination=Learned.fit(names, inside, bare.signals(outside_examples)))

    def signals(self, answers: Answers) -> np.ndarray:
        """`(n, signals)`, in the order of `combination.names`, each larger further outside."""
        return np.stack([self.signal(name, answers) for name in self.combination.names], axis=1)

    def signal(self, name: str, answers: Answers) -> np.ndarray:
        """One signal, `(n,)`. Raises `DataError` for `energy` without logits, and for a signal that there is not."""
        match name:
            case "neighbours":
                return signals.nearest(signals.unit(answers.vectors), self.bank, [self.k])[:, 0]
            case "mahalanobis":
                distances: np.ndarray = np.sqrt(self.gaussians.distances(answers.vectors)[0])
                return distances
            case "relative":
                own, every = self.gaussians.distances(answers.vectors)
                relative: np.ndarray = own - every
                return relative
            case "energy" if answers.logits is not None:
                return signals.energy(answers.logits)
            case "energy":
                raise DataError("The signal 'energy' needs logits, and there are none.", hint="fit without it")
            case "odds":
                return signals.odds(answers.probabilities)
            case "entropy":
                return signals.entropy(answers.probabilities)
        raise DataError(f"There is no signal {name!r}.", expected=", ".join(SIGNALS))

    def score(self, vectors: np.ndarray, probabilities: np.ndarray, logits: np.ndarray | None = None) -> np.ndarray:
        """How far outside of all classes texts are, `(n,)`, from 0 to 1.

        Where the combination was learned: the probability that a text belongs to none of them, if every second one
        did. Else the mean share of held-out texts in scope that lie less far outside.

        Args:
            vectors: `(n, width)`.
            probabilities: `(n, classes)`, calibrated.
            logits: `(n, classes)`, where `energy` is one of the signals.
        """
        answers = Answers(vectors, probabilities, logits)
        if not len(answers):
            return np.zeros(0)
        if vectors.shape[1] != self.bank.shape[1]:
            raise DataError(f"Vectors have {vectors.shape[1]} numbers.", expected=f"{self.bank.shape[1]}, as fitted")
        return self.combination.score(self.signals(answers))

    @staticmethod
    def curve(inside_scores: np.ndarray, right: np.ndarray, outside_scores: np.ndarray) -> Curve:
        """In-scope accuracy against out-of-scope recall over all thresholds; `Curve.at` picks one."""
        return Curve(inside_scores, right, outside_scores)

    def describe(self) -> dict[str, Any]:
        """As JSON values, without the arrays."""
        return {
            "format": FORMAT,
            "run": self.run,
            "k": self.k,
            "bank": len(self.bank),
            "width": self.bank.shape[1],
            "combination": self.combination.describe(),
        }

    def save(self, folder: str | Path) -> None:
        """Writes `outside.safetensors` and `outside.json` into a folder; what is written last is the JSON."""
        from safetensors.numpy import save

        own = {
            "bank": self.bank,
            "centres": self.gaussians.centres,
            "whitening": self.gaussians.whitening,
            "centre": self.gaussians.centre,
            "whitening_all": self.gaussians.whitening_all,
            **self.combination.arrays(),
        }
        Path(folder).mkdir(parents=True, exist_ok=True)
        write_bytes(Path(folder) / ARRAYS, save({name: np.ascontiguousarray(array) for name, array in own.items()}))
        write_text(Path(folder) / SETTINGS, json.dumps(self.describe(), indent=1) + "\n")

    @classmethod
    def load(cls, folder: str | Path, *, run: str = "") -> Outside:
        """What `save` wrote.

        Args:
            folder: where.
            run: the version of the run whose texts are to be scored; empty: not compared.

        Raises:
            RunError: where a file is missing or damaged, or all of it is of another run.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        again = "score the run's texts again"
        try:
            told = json.loads((Path(folder) / SETTINGS).read_text(encoding="utf-8"))
            arrays = load_file(Path(folder) / ARRAYS)
            if told["format"] != FORMAT:
                raise RunError(f"{folder} holds an outside.json of another format.", expected=f"format {FORMAT}")
            combination = (Learned if told["combination"]["kind"] == "learned" else Ranks).restore(
                told["combination"], arrays
            )
            gaussians = Gaussians(*(arrays[name] for name in ("centres", "whitening", "centre", "whitening_all")))
            found = cls(arrays["bank"], int(told["k"]), gaussians, combination, str(told["run"]))
        except FileNotFoundError as error:
            raise RunError(
                f"{folder} does not know what is outside: {Path(error.filename).name} is missing.", hint=again
            ) from None
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise RunError(f"{folder}: what is known of outside cannot be read ({error}).", hint=again) from None
        if run and found.run and run != found.run:
            raise RunError(f"{folder} knows the outside of run {found.run}, not of {run}.", hint=again)
        return found


def _require(vectors: np.ndarray, labels: Sequence[str], held_out: Answers, outside: Answers | None) -> None:
    if vectors.ndim != 2 or len(vectors) != len(labels):
        raise DataError(
            f"Vectors {vectors.shape} and {len(labels)} labels do not belong together.", expected="one each"
        )
    if not np.isfinite(vectors).all():
        raise DataError("The training vectors hold values that are no numbers.", expected="finite numbers")
    if len(set(labels)) < 2:
        raise DataError("There is nothing to tell apart: the training texts have fewer than two labels.")
    if len(held_out) < FEWEST:
        raise DataError(f"{len(held_out)} held-out texts are too few.", expected=f"{FEWEST} or more, not trained on")
    for answers in (held_out, *([outside] if outside is not None and len(outside) else [])):
        if answers.vectors.shape[1] != vectors.shape[1]:
            widths = f"{answers.vectors.shape[1]} and {vectors.shape[1]}"
            raise DataError(f"Vectors have {widths} numbers.", expected="all of the same run")


def _drawn(classes: np.ndarray, seed: int) -> np.ndarray:
    """The places of at most `MOST` texts, the same share of each class as far as it has them."""
    if len(classes) <= MOST:
        return np.arange(len(classes))
    order = np.random.default_rng(seed).permutation(len(classes))
    turn = np.empty(len(classes), dtype=np.int64)
    for name in np.unique(classes):
        own = order[classes[order] == name]
        turn[own] = np.arange(len(own))
    found: np.ndarray = np.sort(order[np.argsort(turn[order], kind="stable")[:MOST]])
    return found


def _neighbours(bank: np.ndarray, classes: np.ndarray, held_out: Answers, outside: Answers | None) -> int:
    """The number of neighbours whose distance parts the held-out texts best.

    With examples of outside: in scope from out of scope. Without: texts of classes that are taken out of the bank, a
    third at a time, from the others; the class of a held-out text is that of its nearest training text.
    """
    ks = [k for k in KS if k <= len(bank)]
    vectors = signals.unit(held_out.vectors)
    if outside is not None and len(outside):
        near, far = (signals.nearest(each, bank, ks) for each in (vectors, signals.unit(outside.vectors)))
        found = [signals.auroc(near[:, at], far[:, at]) for at in range(len(ks))]
        return ks[int(np.argmax(np.round(found, 4)))]
    own = classes[np.concatenate([(block @ bank.T).argmax(axis=1) for block in np.array_split(vectors, 16)])]
    areas = []
    for fold in range(FOLDS):
        distances = signals.nearest(vectors, bank[classes % FOLDS != fold], ks)
        left = own % FOLDS == fold
        areas.append([signals.auroc(distances[~left, at], distances[left, at]) for at in range(len(ks))])
    return ks[int(np.argmax(np.round(np.nan_to_num(areas).mean(axis=0), 4)))]

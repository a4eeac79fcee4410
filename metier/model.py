"""A run, loaded: what a program that uses Metier holds in its hands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metier.data.clean import clean_text
from metier.data.source import Source
from metier.errors import DataError, RecipeError, nearest
from metier.pipeline import load as loading
from metier.pipeline.watch import Silent, Watch
from metier.recipe import Recipe
from metier.run import RECIPE, Run
from metier.types import Document, Prediction

if TYPE_CHECKING:
    from metier.predict.runtime import Runtime
    from metier.tasks.task import Task

Text = str | tuple[str, str] | Document
"""A text, a pair of texts, or either with an id and metadata."""


class Model:
    """A run, loaded and ready to answer.

    >>> model = metier.load("runs/news")                           # doctest: +SKIP
    >>> model.predict(["Operating profit rose to EUR 13.1 mn"])    # doctest: +SKIP
    [{'sentiment': Prediction(label='positive', score=0.97, ...)}]

    Args:
        run: a run folder. Raises `RunError` where it is missing, damaged or half-written.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        threads: of the processor; 0: all.
        spin: whether they wait for the next text at full speed, which answers single texts up to a third sooner and
            takes a processor from whatever else runs here; a service does without.
    """

    def __init__(self, run: str | Path, *, device: str = "auto", threads: int = 0, spin: bool = True) -> None:
        self._run = Run.open(run)
        self.recipe: Recipe = Recipe.read(self._run.path / RECIPE)
        self.runtime: Runtime = loading.runtime(self._run, self.recipe, device=device, threads=threads, spin=spin)

    @property
    def run(self) -> Path:
        """The folder."""
        return self._run.path

    @property
    def heads(self) -> Mapping[str, Task]:
        """The tasks by the names of their heads."""
        return self.runtime.tasks

    def predict(self, texts: Text | Iterable[Text], heads: Sequence[str] | None = None) -> list[dict[str, Prediction]]:
        """One prediction a head for each text; a single string or document gives a list of one.

        Args:
            texts: strings, pairs of strings, or documents.
            heads: the heads to answer; all by default.

        Raises:
            DataError: for anything else than texts, a pair where the run reads single texts, or the reverse.
            RecipeError: for a head that the run does not have.
        """
        if isinstance(texts, str | Document):
            texts = [texts]
        if heads is not None:
            self._require(heads)
        pair = len(self.recipe.data.text) == 2
        single = not pair or any(task.separate for task in self.heads.values())  # which give a single text its vector
        documents = [document(text, single=single, pair=pair) for text in texts]
        if self.recipe.data.clean:
            keep_length = any(task.per_token for task in self.heads.values())
            documents = [_cleaned(item, keep_length) for item in documents]
        return self.runtime.predict(documents, heads)

    def _require(self, heads: Sequence[str]) -> None:
        """Raises `RecipeError` where no head is asked, or one that the run does not have."""
        unknown = [name for name in heads if name not in self.heads]
        if unknown or not heads:
            found = "".join(f"There is no head {name!r}.{nearest(name, self.heads)}" for name in unknown[:1])
            raise RecipeError(found or "No head is asked.", expected=f"heads among {', '.join(self.heads)}")

    def evaluate(self, source: Source, *, split: str | None = None, seed: int | None = None) -> dict[str, Any]:
        """The figures of every head on labelled data, with 95 % intervals.

        Args:
            source: a path or a table with the columns that the run was fitted on. Of the very data that it was fitted
                on, only rows that were held out count.
            split: only rows of this split (`test` by default where the data names splits).
            seed: of the bootstrap.
        """
        from metier.pipeline.evaluate import evaluate as evaluate_run

        return evaluate_run(
            self.runtime, self.recipe, source, fitted_on=self._run.manifest.get("data", ""), split=split, seed=seed
        )

    def report(self) -> Path:
        """The run's report, a web page in one file."""
        return self.run / "report.html"

    def describe(self) -> dict[str, Any]:
        """Name, version, heads, backbone and headline figures, as JSON values."""
        return about(self._run, self.recipe, self.heads)


def about(run: Run, recipe: Recipe, tasks: Mapping[str, Task]) -> dict[str, Any]:
    """What a model of a run says of itself, from its files alone."""
    evaluation = run.json("evaluation.json")
    heads = {
        name: {
            "task": task.kind,
            "labels": list(task.labels),
            "headline": evaluation["heads"].get(name, {}).get("test", {}).get("headline"),
        }
        for name, task in tasks.items()
    }
    return {
        "name": run.path.absolute().name,
        "version": run.version,
        "created": run.manifest["created"],
        "backbone": recipe.model.backbone,
        "method": recipe.train.method,
        "pair": len(recipe.data.text) == 2,
        "heads": heads,
    }


def document(text: Text, *, single: bool, pair: bool) -> Document:
    """A text of any kind as a document.

    Args:
        single: whether the run reads single texts. A document is taken as it is.
        pair: whether it reads pairs.
    """
    match text:
        case Document():
            _require_inside(text)
            return text
        case str() if single:
            return Document(text)
        case [str() as first, str() as second] if pair:
            return Document(first, second)
    wanted = [what for what, takes in (("a string", single), ("a pair of strings", pair)) if takes]
    raise DataError(f"{text!r:.80} is nothing that this run reads.", expected=f"{' or '.join(wanted)} for each text")


def _require_inside(document: Document) -> None:
    """Raises `DataError` for a mention that is no stretch of the text."""
    for start, end in document.mentions or ():
        if not 0 <= start < end <= len(document.text):
            raise DataError(
                f"The mention {start} to {end} does not lie in a text of {len(document.text)} characters.",
                expected="character offsets (start, end), the end one past the last character",
            )


def _cleaned(document: Document, keep_length: bool) -> Document:
    """As the texts were that the run was fitted on; `keep_length`, words and mentions keep offsets valid."""
    placed = document.tokens is not None or document.mentions is not None
    text = clean_text(document.text, keep_length or placed)
    pair = None if document.pair is None else clean_text(document.pair, keep_length)
    return document if (text, pair) == (document.text, document.pair) else replace(document, text=text, pair=pair)


def load(run: str | Path, *, device: str = "auto", threads: int = 0) -> Model:
    """The model of a run folder."""
    return Model(run, device=device, threads=threads)


def train(
    source: Source | Recipe,
    *,
    label: str | Sequence[str] | Mapping[str, str] = (),
    text: str | Sequence[str] = (),
    task: str | Mapping[str, str] | None = None,
    out: str | Path | None = None,
    watch: Watch | None = None,
    **settings: Any,
) -> Model:
    """Fits a model on labelled texts and returns it; its folder is `model.run`.

    Args:
        source: a path, a polars or pandas DataFrame, a list of dictionaries, or a whole `Recipe`.
        label: the column or columns to learn, or a mapping from head to column.
        text: the text column, or two for pairs of texts; found where there is only one that it can be.
        task: the kind of task, of all heads or by head; guessed from the values.
        out: the folder of the run; a new one in `runs/` by default.
        watch: hears of progress.
        settings: anything of `metier.recipe.TrainPart` (`method`, `epochs`, ...), `seed`, `backbone`, `max_length`,
            `split`, `group`, `time`; `mention`: the column of names that the labels are about, or these by head.

    Raises:
        MetierError: for whatever of this its user can mend.
    """
    from metier.pipeline.recipes import recipe_of
    from metier.pipeline.train import train as train_run

    if isinstance(source, Recipe):
        recipe, data = source, None
    else:
        recipe, data = recipe_of(source, label=label, text=text, task=task, settings=settings)
    return Model(train_run(recipe, out=out, source=data, watch=watch or Silent()).path)

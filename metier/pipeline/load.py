"""A run on disk as something that answers. What torch computes is loaded by `weights`, and only where it is asked."""

from __future__ import annotations

from tokenizers import Tokenizer

from metier.models.tokeniser import Tokeniser
from metier.predict.runtime import Runtime
from metier.recipe import Recipe
from metier.run import Run

WEIGHTS, ADAPTER = "model.safetensors", "adapter.safetensors"
MEMBER = "member-{}.safetensors"
TOKENIZER, LABELS, ENCODER = "tokenizer.json", "labels.json", "encoder.json"


def runtime(run: Run, recipe: Recipe, *, device: str = "auto", threads: int = 0) -> Runtime:
    """The runtime of a run, as it was saved."""
    from metier.pipeline import weights

    return weights.runtime(run, recipe, device=device, threads=threads)


def read_tokeniser(run: Run, recipe: Recipe, window: int) -> Tokeniser:
    """The tokenizer of a run, for an encoder whose rows have at most `window` tokens."""
    return Tokeniser(
        Tokenizer.from_file(str(run.path / TOKENIZER)),
        max_length=min(recipe.model.max_length, window),
        stride=recipe.model.stride,
        window=recipe.model.long == "window",
    )


def floors(recipe: Recipe) -> dict[str, float]:
    """Of each head, the calibrated score under which it abstains."""
    return {name: head.floor for name, head in recipe.heads.items()}

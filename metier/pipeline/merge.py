"""An adapter run folded into its backbone: an ordinary run that answers the same and needs no backbone any more."""

from __future__ import annotations

import shutil
from pathlib import Path

from metier import __version__
from metier import run as folder
from metier.errors import RunError
from metier.models.adapters import FOLDING, fold
from metier.models.ensemble import networks_of
from metier.pipeline import weights
from metier.pipeline.load import ENCODER
from metier.recipe import Recipe
from metier.run import Run

WHY = {
    "adapter": "its bottlenecks have a non-linearity between their two matrices, and no single matrix does the same",
    "prefix": "its keys and values stand beside those of every text, not in a weight",
    "prompt": "its virtual tokens stand before every text, not in a weight",
}
"""Why what a method trains cannot become part of the weights."""


def merge(run: str | Path, out: str | Path) -> Run:
    """Adds what `lora` or `adalora` learned to the weights of its backbone and saves a whole run.

    Args:
        run: the folder of a run that saved its adapter alone.
        out: the new run; its manifest names the version of the old one as its `parent`.

    Raises `RunError` for a run that has no adapter, or one that cannot be folded.
    """
    known, path = Run.open(run), Path(out)
    saved = known.json(ENCODER).get("adapter")
    if saved is None:
        raise RunError(f"{known.path} has no adapter: its weights are whole already.")
    if saved["method"] not in FOLDING:
        raise RunError(
            f"A run of the method {saved['method']!r} cannot be merged: {WHY[saved['method']]}.",
            expected=f"a run of {' or '.join(FOLDING)}",
            hint="serve it as it is: runs beside one backbone share its memory",
        )
    if path.resolve() == known.path.resolve():
        raise RunError(f"{path} would take the place of what it is made of.", hint="another --out")
    runtime = weights.runtime(known, Recipe.read(known.path / folder.RECIPE), device="cpu")
    for network in networks_of(runtime.network):
        fold(network.encoder)
    staged = folder.stage(path)
    with folder.claimed(staged):
        folder.clear(path)
        _copy(known, staged)
        weights.save_runtime(runtime, staged)
        facts = {"metier": __version__, "data": known.manifest.get("data"), "parent": known.version}
        return folder.seal(path, facts)


def _copy(known: Run, staged: Path) -> None:
    """Every file of a run but its weights, which are saved anew."""
    try:
        for name in known.manifest["files"]:
            if not name.endswith(".safetensors"):
                (staged / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(known.path / name, staged / name)
    except OSError as error:
        raise RunError(
            f"The run could not be saved in {staged}: {error.strerror}.", hint="free some disk space"
        ) from error

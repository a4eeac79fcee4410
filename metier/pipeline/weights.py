"""The weights of a run on disk and what belongs to them: saved by the pipeline, loaded where torch computes."""

from __future__ import annotations

import json
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from metier import run as folder
from metier import tasks
from metier.errors import BackboneError, RunError
from metier.models import backbone as backbones
from metier.models.adapters import restore
from metier.models.backbone import Backbone
from metier.models.encoder import Encoder
from metier.models.ensemble import Ensemble, assembled, networks_of, own_weights
from metier.models.halves import as_saved
from metier.models.hub import HubEncoder
from metier.models.machine import Machine, machine, seeded
from metier.models.network import Network
from metier.pipeline.asking import PROMPT, built, described, restore_asking, save_asking
from metier.pipeline.load import ADAPTER, ENCODER, LABELS, MEMBER, TOKENIZER, WEIGHTS, floors, read_tokeniser
from metier.predict.prompted import Prompted
from metier.predict.torch_runtime import TorchRuntime
from metier.recipe import Recipe
from metier.run import Run


def save_runtime(runtime: TorchRuntime, path: Path) -> None:
    """Weights, tokenizer, heads and the encoder's shape, each written whole or not at all.

    Of a network with an adapter, the adapter and the heads alone; the backbone's hash stands beside them. Of an
    ensemble's further members, what is not the first one's.
    """
    first, *others = networks_of(runtime.network)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in _kept(first).items()}
    adapter = first.encoder.adapter
    encoder = described(first.encoder) | ({} if adapter is None else {"adapter": adapter.describe()})
    try:
        folder.write_bytes(path / (WEIGHTS if adapter is None else ADAPTER), save(weights))
        for number, member in enumerate(others, 1):
            folder.write_bytes(path / MEMBER.format(number), save(own_weights(first, member)))
        folder.write_text(path / TOKENIZER, runtime.tokeniser.tokenizer.to_str())
        heads = {name: task.describe() for name, task in runtime.tasks.items()}
        folder.write_text(path / LABELS, json.dumps(heads, ensure_ascii=False, indent=1))
        folder.write_text(path / ENCODER, json.dumps(encoder, indent=1, default=str))
        if isinstance(runtime, Prompted):
            save_asking(runtime.asking, path)
    except OSError as error:
        raise RunError(
            f"The run could not be saved in {path}: {error.strerror}.", hint="free some disk space"
        ) from error


def runtime(run: Run, recipe: Recipe, *, device: str = "auto", threads: int = 0) -> TorchRuntime:
    """The runtime of a run, as it was saved."""
    found = machine(device, recipe.train.precision if device == "auto" else "auto", threads)
    heads = {name: tasks.restore(saved) for name, saved in run.json(LABELS).items()}
    saved = run.json(ENCODER)
    file = run.path / (ADAPTER if "adapter" in saved else WEIGHTS)
    with seeded(0):  # what is drawn here is overwritten at once, and the caller's generator stays where it was
        encoder = _adapted(run, saved["adapter"], found) if "adapter" in saved else built(saved)
        network = Network(encoder, heads, pooling=recipe.model.pooling)
    try:
        weights = load_file(file)
        if odd := sorted(weights.keys() ^ _kept(network).keys()):
            raise RuntimeError(f"{len(odd)} weights are missing or unknown, among them {odd[0]}")
        network.load_state_dict(weights, strict=False)
    except (SafetensorError, RuntimeError) as error:
        raise RunError(f"{file} does not fit the run: {str(error).splitlines()[0]}") from None
    tokeniser = read_tokeniser(run, recipe, network.encoder.window)
    whole, found = as_saved(_whole(run, network.to(found.device)).eval(), found, weights)
    if PROMPT in run.manifest["files"]:
        return Prompted(whole, tokeniser, found, floors(recipe), restore_asking(run, network, tokeniser, found))
    return TorchRuntime(whole, tokeniser, found, floors(recipe))


def _whole(run: Run, first: Network) -> Network | Ensemble:
    """The network, or the ensemble whose first member it is."""
    known = set(run.manifest["files"])
    files = [run.path / name for name in takewhile(known.__contains__, map(MEMBER.format, count(1)))]
    try:
        return assembled(first, map(load_file, files)) if files else first
    except (SafetensorError, RuntimeError) as error:
        raise RunError(f"{files[0]} does not fit the run: {str(error).splitlines()[0]}") from None


def _kept(network: Network) -> dict[str, Any]:
    """The state that a run saves: all of it, or beside a frozen backbone what is not the backbone's."""
    state, adapter = network.state_dict(), network.encoder.adapter
    if adapter is None:
        return state
    own = {f"encoder.{name}" for name in adapter.weights()}
    return {name: tensor for name, tensor in state.items() if name in own or not name.startswith("encoder.")}


def _adapted(run: Run, saved: dict[str, Any], found: Machine) -> Encoder | HubEncoder:
    """The backbone of a run that saved its adapter alone, in memory once for all such runs, with modules beside it."""
    backbone = find_backbone(run, saved)
    encoder = backbones.load_frozen(backbone, found.device)
    restore(encoder, saved, backbone)
    return encoder


def find_backbone(run: Run, saved: dict[str, Any]) -> Backbone:
    """The backbone that an adapter was fitted beside. Raises `RunError` where it is not to be had, or is another."""
    name, folder, wanted = saved["backbone"]["name"], saved["backbone"]["folder"], saved["backbone"]["sha256"]
    hint = "put the backbone back as it was, or train again; the run itself is whole"
    known: Backbone | None = None
    for place in dict.fromkeys((name, folder)):
        try:
            known = backbones.find(place)
        except BackboneError:
            continue
        if known.sha256 == wanted:
            return known
    beside = f"{run.path} is an adapter beside the backbone {name!r} with the SHA-256 {wanted[:12]}"
    if known is None:
        raise RunError(f"{beside}, which is not to be found.", hint=hint)
    raise RunError(f"{beside}, but {known.folder} has {known.sha256[:12]}.", hint=hint)

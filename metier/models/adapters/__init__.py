"""What is put beside a frozen encoder so that little is trained and little is saved.

`attach` is the whole surface: it freezes an encoder and gives it the modules of a method. Methods of peft are peft's
own modules; the bottleneck of Houlsby et al. (2019), which peft does not have, is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from metier.errors import BackboneError, MissingExtra, RecipeError
from metier.models.adapters.tokens import Grown
from metier.models.encoder import Encoder
from metier.models.hub import HubEncoder
from metier.recipe import AdapterPart

if TYPE_CHECKING:
    from metier.models.adapters.lowrank import Ranks
    from metier.models.backbone import Backbone

LOWEST = 6
"""LoRA leaves one layer in so many, from below, as it is."""
FOLDING = ("lora", "adalora")
"""Methods whose modules can become part of the encoder's weights."""


@dataclass
class Adapter:
    """What `attach` put beside an encoder."""

    method: str
    part: AdapterPart
    encoder: Encoder | HubEncoder
    backbone: Backbone
    ranks: Ranks | None = field(default=None, repr=False)
    """AdaLoRA's allocator."""

    def weights(self) -> dict[str, Tensor]:
        """Everything that is not the backbone's, under the names of the encoder's state."""
        return {name: weight for name, weight in self.encoder.named_parameters() if weight.requires_grad}

    def describe(self) -> dict[str, Any]:
        """What `restore` needs, as JSON values."""
        folder = str(self.backbone.folder.absolute())
        backbone = {"name": self.backbone.name, "folder": folder, "sha256": self.backbone.sha256}
        settings = self.part.model_dump(mode="json")
        return {"method": self.method, "settings": settings, "added": self.encoder.added, "backbone": backbone}


def attach(encoder: Encoder | HubEncoder, method: str, part: AdapterPart, backbone: Backbone) -> Adapter:
    """Freezes an encoder and puts the modules of a method beside it; they alone require gradients.

    Rows of the token embedding that no pretraining has seen (marks of a task) are trained, too. An encoder that has
    an adapter keeps it.

    Args:
        encoder: with its pretrained weights. Its answers are the same until something is trained, but for `prefix`
            and `prompt`, which its tokens attend to.
        method: `lora`, `adalora`, `adapter`, `prefix` or `prompt`.
        part: their settings.
        backbone: where the weights came from.

    Raises:
        BackboneError: where the encoder cannot have these modules.
        MissingExtra: where peft is not installed.
    """
    if encoder.adapter is not None:
        return encoder.adapter
    if method != "adapter" and find_spec("peft") is None:
        raise MissingExtra("peft", "train")
    encoder.requires_grad_(False)
    found = Adapter(method, part, encoder, backbone)
    names = linears(encoder)
    if not names and method not in ("prefix", "prompt"):
        raise BackboneError("The backbone has no linear layers that can be adapted.", hint="--method full or head")
    if method == "lora":
        from metier.models.adapters.lowrank import lora

        lora(encoder, upper(names, encoder.depth), part)
    elif method == "adalora":
        from metier.models.adapters.lowrank import Ranks

        found.ranks = Ranks(encoder, names, part)
    elif method == "adapter":
        from metier.models.adapters.bottleneck import bottlenecks

        bottlenecks(encoder, names, part)
    else:
        from metier.models.adapters.virtual import prefix, prompt

        (prefix if method == "prefix" else prompt)(encoder, part)
    if encoder.added and not isinstance(encoder.words, Grown):
        encoder.replace_words(Grown.split(encoder.words, encoder.added))
    encoder.adapter = found
    return found


def restore(encoder: Encoder | HubEncoder, saved: Mapping[str, Any], backbone: Backbone) -> Adapter:
    """Attaches what `Adapter.describe` described to a backbone as it was pretrained, with weights that mean nothing."""
    if saved["added"]:
        encoder.replace_words(Grown.over(encoder.words, saved["added"]))
        encoder.added = saved["added"]
    found = attach(encoder, saved["method"], AdapterPart.model_validate(saved["settings"]), backbone)
    if isinstance(encoder.words, Grown):
        encoder.words.rows.requires_grad_(True)
    return found


def upper(names: list[str], depth: int) -> list[str]:
    """The linear layers above the lowest sixth of the layers, where each has as many.

    The lowest layers gain least, and what lies below the lowest adapter needs no pass backwards.
    """
    each, rest = divmod(len(names), max(1, depth))
    return names if rest else names[each * (depth // LOWEST) :]


def fold(encoder: Encoder | HubEncoder) -> None:
    """Makes what `lora` or `adalora` learned part of the weights: a plain encoder that answers the same."""
    from metier.models.adapters.lowrank import fold as fold_products

    fold_products(encoder)
    if isinstance(encoder.words, Grown):
        encoder.replace_words(encoder.words.whole())
    encoder.adapter = None


def room(encoder: Encoder | HubEncoder, method: str, part: AdapterPart) -> int:
    """The most tokens of a text that a row may have when the method's own are there, too."""
    if method in FOLDING and part.rank > encoder.width:
        raise RecipeError(
            f"adapter.rank is {part.rank}.",
            expected=f"at most {encoder.width}: no weight of the encoder has a higher rank",
        )
    taken = part.tokens if method == "prompt" and isinstance(encoder, HubEncoder) else 0
    if taken >= encoder.window:
        raise BackboneError(
            f"{taken} virtual tokens leave no room for a text.", expected=f"adapter.tokens far below {encoder.window}"
        )
    return encoder.window - taken


def linears(encoder: Encoder | HubEncoder) -> list[str]:
    """The linear layers inside the layers of an encoder that start or end at its width, in their order."""
    stacked = tuple(f"{name}." for name, item in encoder.named_modules() if isinstance(item, nn.ModuleList))
    return [
        name
        for name, item in encoder.named_modules()
        if isinstance(item, nn.Linear) and name.startswith(stacked) and encoder.width in item.weight.shape
    ]

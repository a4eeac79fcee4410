"""Virtual tokens: prefix tuning (Li & Liang 2021) and prompt tuning (Lester et al. 2021), with peft's parameters.

Texts attend to them and nothing else sees them: they are not pooled, have no position and no label.
"""

from __future__ import annotations

from inspect import signature
from typing import Any

import torch
from peft import PrefixTuningConfig, PromptEmbedding, PromptTuningConfig
from peft.tuners.prefix_tuning import PrefixEncoder
from torch import Tensor, nn

from metier.errors import BackboneError
from metier.models.encoder import Encoder
from metier.models.hub import HubEncoder
from metier.recipe import AdapterPart


class Prefix(nn.Module):
    """Keys and values that every layer's attention finds before those of the text."""

    def __init__(self, encoder: Encoder, tokens: int) -> None:
        super().__init__()
        self.shape = (tokens, encoder.depth, 2, encoder.shape.heads, encoder.width // encoder.shape.heads)
        self.encoder: Any = PrefixEncoder(_sizes(PrefixTuningConfig, encoder, tokens))
        self.encoder.to(encoder.words.weight.device)

    def forward(self) -> Tensor:
        """`(depth, 2, heads, tokens, size)`."""
        found: Tensor = self.encoder(torch.arange(self.shape[0], device=self.encoder.embedding.weight.device))
        return found.view(self.shape).permute(1, 2, 3, 0, 4)


class Prompt(nn.Module):
    """Vectors that stand before the embeddings of a text; they start as those of random words."""

    def __init__(self, encoder: Encoder | HubEncoder, tokens: int) -> None:
        super().__init__()
        self.tokens = tokens
        config = _sizes(PromptTuningConfig, encoder, tokens, prompt_tuning_init="SAMPLE_VOCAB")
        self.encoder: Any = PromptEmbedding(config, encoder.words)

    def forward(self) -> Tensor:
        """`(tokens, width)`."""
        found: Tensor = self.encoder(torch.arange(self.tokens, device=self.encoder.embedding.weight.device))
        return found


def _sizes(kind: Any, encoder: Encoder | HubEncoder, tokens: int, **settings: Any) -> Any:
    return kind(
        num_virtual_tokens=tokens, token_dim=encoder.words.weight.shape[1], num_layers=encoder.depth,
        num_transformer_submodules=1, **settings,
    )  # fmt: skip


def prefix(encoder: Encoder | HubEncoder, part: AdapterPart) -> None:
    """Gives an encoder a prefix in every layer. Raises `BackboneError` where keys and values cannot be entered."""
    if not isinstance(encoder, Encoder):
        raise BackboneError(
            f"A {encoder.model.config.model_type} encoder takes no keys and values before those of a text.",
            expected="a backbone of the BERT family", hint="--method lora, adapter or prompt",
        )  # fmt: skip
    if encoder.shape.layers:
        raise BackboneError("The layers of this encoder differ in their heads: no prefix fits all of them.",
                            hint="--method lora, adapter or prompt")  # fmt: skip
    encoder.before = Prefix(encoder, part.tokens)


def prompt(encoder: Encoder | HubEncoder, part: AdapterPart) -> None:
    """Puts virtual tokens before every text. Raises `BackboneError` where embeddings cannot be entered."""
    if isinstance(encoder, HubEncoder) and "inputs_embeds" not in signature(encoder.model.forward).parameters:
        raise BackboneError(
            f"A {encoder.model.config.model_type} encoder takes no embeddings in place of tokens.",
            hint="--method lora or adapter",
        )
    encoder.prompt = Prompt(encoder, part.tokens)

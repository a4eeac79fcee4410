"""Labels in words: the sentences that they stand in, and the vectors that an encoder gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from metier.data.batches import by_length
from metier.data.languages import language
from metier.data.names import words
from metier.models.network import Network
from metier.models.table import Table
from metier.models.tokeniser import Tokeniser
from metier.types import Document

TEMPLATES: dict[str, tuple[str, ...]] = {
    "en": ("This text is about {}.", "The topic is {}.", "It is {}."),
    "zh": ("这段文字是关于{}的。", "主题是{}。", "这是{}。"),
}
"""What an encoder reads of a label beside its bare name, by language; English stands for all others."""


def tongue(texts: Sequence[str]) -> str:
    """`zh` where at least half of the texts whose language is known are Chinese, else `en`."""
    found = [name for name in map(language, texts) if name is not None]
    return "zh" if found and 2 * found.count("zh") >= len(found) else "en"


def filled(label: str, templates: Sequence[str]) -> list[str]:
    """A label's bare name and every template with it."""
    return [label, *(template.replace("{}", label) for template in templates)]


def label_vectors(
    network: Network,
    tokeniser: Tokeniser,
    labels: Sequence[str],
    names: Mapping[str, str] | None = None,
    templates: Sequence[str] | None = None,
) -> Tensor:
    """One unit vector a label, `(labels, width)`: where the encoder puts what the label is called.

    The mean of the unit pooled vectors of the bare name and of every template with it (the descriptions of Yin, Hay &
    Roth 2019, compared as vectors instead of entailed).

    Args:
        network: its encoder and pooling.
        tokeniser: of that encoder.
        labels: as the task has them; `metier.data.names.words` makes words of them.
        names: descriptions of labels, where their names do not say it.
        templates: sentences with `{}`; `None`: ours, in the language of the labels.
    """
    names = names or {}
    said = [names.get(label) or words(label) for label in labels]
    if templates is None:
        templates = TEMPLATES[tongue(said)]
    sentences = [sentence for one in said for sentence in filled(one, templates)]
    vectors = functional.normalize(pooled(network, tokeniser, sentences), dim=-1)
    return functional.normalize(vectors.view(len(said), -1, vectors.shape[-1]).mean(1), dim=-1)


@torch.no_grad()
def pooled(network: Network, tokeniser: Tokeniser, texts: Sequence[str]) -> Tensor:
    """The pooled vector of each text, `(texts, width)` in float32; of a long one the mean over its windows."""
    table = Table.of([Document(text) for text in texts], tokeniser, {})
    training = network.training
    network.eval()
    sums = torch.zeros(len(texts), network.encoder.width, device=network.device)
    for rows in by_length(table.rows.lengths, size=256, tokens=4096):
        batch = table.plain(rows).to(network.device)
        found = network.pool(network.encode(batch), batch.mask).float()
        sums.index_add_(0, torch.from_numpy(table.rows.owner[rows]).to(network.device), found)
    network.train(training)
    windows = torch.from_numpy(np.bincount(table.rows.owner, minlength=len(texts))).to(network.device)
    return sums / windows.unsqueeze(1)

"""Labels in words: the sentences that they stand in, and the vectors that an encoder gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from metier.data.batches import by_length
from metier.data.languages import language
from metier.data.names import described, words
from metier.errors import RecipeError
from metier.models.backbone import Backbone
from metier.models.generator import Endpoint, folder_of
from metier.models.network import Network
from metier.models.table import Table
from metier.models.tokeniser import Tokeniser
from metier.models.verbaliser import has_head
from metier.models.wording import worded
from metier.recipe import Recipe
from metier.tasks.task import Task
from metier.types import Document, Example

TEMPLATES: dict[str, tuple[str, ...]] = {
    "en": ("This text is about {}.", "The topic is {}.", "It is {}."),
    "zh": ("这段文字是关于{}的。", "主题是{}。", "这是{}。"),
}
"""What an encoder reads of a label beside its bare name, by language; English stands for all others."""
SCALE = 10.0
"""What cosines are multiplied by to be logits, where no labelled text says better."""
SHARPNESS, PULL, RESISTANCE, ROUNDS = 40.0, 0.5, 5.0, 3
"""Of `drawn`, chosen on rows held out of the training splits of Banking77, TREC, SST-2 and CLINC150."""
RARE = 1.5
"""A label of several applies to a text that is nearer to it than the mean by so many standard deviations."""


def tongue(*several: Sequence[str]) -> str:
    """The language of the first list of texts of which any text says one: `zh` if half of these are Chinese, else `en`.

    Labels are too short to be told apart in the Latin script, and their texts then speak for them.
    """
    for texts in several:
        found = [name for name in map(language, texts) if name is not None]
        if found:
            return "zh" if 2 * found.count("zh") >= len(found) else "en"
    return "en"


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
    rows = row_vectors(network, table, np.arange(len(table.rows)))
    owners = torch.from_numpy(table.rows.owner).to(rows.device)
    sums = torch.zeros(len(texts), rows.shape[1], device=rows.device).index_add_(0, owners, rows)
    return sums / torch.bincount(owners, minlength=len(texts)).unsqueeze(1)


@torch.no_grad()
def row_vectors(
    network: Network, table: Table, rows: np.ndarray, tick: Callable[[int], None] = lambda rows: None
) -> Tensor:
    """The pooled vectors of some rows of a table, `(rows, width)` in float32, in their order."""
    training = network.training
    network.eval()
    found = torch.zeros(len(rows), network.encoder.width, device=network.device)
    for chosen in by_length(table.rows.lengths[rows], size=256, tokens=4096):
        batch = table.plain(rows[chosen]).to(network.device)
        where = torch.from_numpy(chosen).to(network.device)
        found[where] = network.pool(network.encode(batch), batch.mask).float()
        tick(len(chosen))
    network.train(training)
    return found


def matched(labels: Tensor, texts: Tensor, *, several: bool = False) -> tuple[Tensor, Tensor]:
    """The linear layer that compares a pooled vector with the vectors of labels: weights `(labels, width)` and biases.

    Both are centred, which takes away what all texts, and all labels, have in common. Where one label of several is
    the answer, label vectors are then drawn towards the texts.

    Args:
        labels: what `label_vectors` returned.
        texts: pooled vectors of texts without their labels, `(texts, width)`.
        several: whether any number of labels may apply. The biases are then such that few do.
    """
    middle = texts.mean(0)
    spread = (texts - middle).norm(dim=1).mean().clamp_min(1e-6)
    centred = labels - labels.mean(0) if len(labels) > 1 else labels
    vectors = functional.normalize(centred, dim=-1)
    if not several:
        vectors = drawn(vectors, functional.normalize(texts - middle, dim=-1))
    weight = vectors * (SCALE / spread)
    bias = -(weight @ middle)
    if several:
        bias = bias - RARE * (texts @ weight.T).std(dim=0, correction=0)
    return weight, bias


def drawn(labels: Tensor, texts: Tensor) -> Tensor:
    """Unit label vectors `(labels, width)`, moved towards the mean of the unit texts `(texts, width)` nearest to them.

    A few rounds of soft clustering on the sphere (Banerjee et al. 2005) that starts from the labels. A label that many
    texts are near to goes half the way, one with none stays where it is.
    """
    found = labels
    for _ in range(ROUNDS):
        shares = (SHARPNESS * texts @ found.T).softmax(1)
        mass = shares.sum(0).unsqueeze(1)
        way = PULL * mass / (mass + RESISTANCE)
        centres = functional.normalize(shares.T @ texts, dim=-1)
        found = functional.normalize((1 - way) * labels + way * centres, dim=-1)
    return found


@torch.no_grad()
def put(head: nn.Module, weight: Tensor, bias: Tensor) -> None:
    """Gives a `Pooled` head these weights."""
    out = head.out
    assert isinstance(out, nn.Linear)
    out.weight.copy_(weight)
    out.bias.copy_(bias)


READ = {"classify": False, "multilabel": True}
"""The kinds of task whose labels an encoder can be compared with, and whether several of them may apply."""
ASKED = ("classify", "relate")
"""The kinds of task whose one label a language model can be asked for."""


def way(recipe: Recipe, backbone: Backbone) -> str:
    """How `zero_shot` and `few_shot` get an answer: from an `endpoint`, a `causal` or `masked` model, an `encoder`."""
    if recipe.prompt.endpoint:
        return "endpoint"
    if recipe.prompt.generator:
        return "causal"
    return "masked" if has_head(backbone) else "encoder"


def require(recipe: Recipe, heads: Mapping[str, Task], backbone: Backbone, train: Sequence[Example]) -> None:
    """Raises `RecipeError` for what the method cannot do with this backbone, these tasks, labels and examples."""
    method, how = recipe.train.method, way(recipe, backbone)
    if method == "few_shot" and how == "encoder":
        raise RecipeError(
            f"few_shot shows examples to a language model, and the backbone {backbone.name!r} is none.",
            expected="prompt.endpoint, prompt.generator, or a backbone with a masked-language head",
            hint="--method contrastive, which learns from few examples",
        )
    kinds = [*READ, "embed"] if how == "encoder" else list(ASKED)
    who = "an encoder" if how == "encoder" else "a language model"
    for name, task in heads.items():
        if task.kind not in kinds:
            raise RecipeError(
                f"{method} has no {task.kind} ({name}) by {who}.",
                expected=f"a task among {', '.join(kinds)}",
                hint="--method probe",
            )
        called = {} if task.kind == "embed" else described(name, task.labels, recipe.heads[name].names)
        if how != "encoder":
            worded(recipe, called, how, "en")
        there, count = sum(name in example.targets for example in train), recipe.prompt.shots
        if method == "few_shot" and there < count:
            raise RecipeError(
                f"The training split has {there} labelled texts for {name!r}, and prompt.shots is {count}.",
                expected=f"at least {count} texts, or fewer prompt.shots",
            )
    odd = [one for one in recipe.prompt.templates if how == "encoder" and one.count("{}") != 1]
    if odd:
        raise RecipeError(
            f"The template {odd[0]!r} has {odd[0].count('{}')} times {{}}.", expected="{} once, the label"
        )
    if how == "endpoint":
        Endpoint(recipe.prompt.endpoint, recipe.prompt.generator)
    if how == "causal":
        folder_of(recipe.prompt.generator)
    if how == "endpoint" and not recipe.prompt.generator:
        raise RecipeError("prompt.endpoint is set, but no model.", expected="prompt.generator, its name there")

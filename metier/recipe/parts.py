"""The tables of a recipe, each a strict class with the defaults of its keys."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

METHODS = (
    "zero_shot", "few_shot", "probe", "contrastive", "head", "freeze", "full",
    "lora", "adalora", "adapter", "prefix", "prompt",
)  # fmt: skip
"""Every way of fitting. `auto` is none of them: it finds out which to take."""
Words = Annotated[tuple[str, ...], Field(strict=False)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class Part(BaseModel):
    """A table of the recipe: frozen, strictly typed, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class DataPart(Part):
    """Where the examples are and how they are cleaned and split."""

    path: str = ""
    text: Words = ()
    """One column, or two for a pair of texts; empty: found by the reader."""
    split: str | None = None
    group: str | None = None
    time: str | None = None
    fractions: Annotated[tuple[float, float, float], Field(strict=False)] | None = None
    """Shares of train, valid and test; `None`: 80, 10 and 10 %, of 5,000 rows or more 85, 5 and 10 %."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 13
    """Of the split; apart from the recipe's own, so that several seeds are judged on the same texts."""
    unlabelled: str = ""
    """A file of further texts without labels, for what `[semi]` says."""
    interactions: str = ""
    """A store of an application, a file or `postgresql://...`: what people corrected there is learned from as well."""
    clean: bool = True
    dedup: Literal["exact", "near", "off"] = "exact"

    @model_validator(mode="after")
    def _sane(self) -> Self:
        if len(self.text) > 2:
            raise ValueError("data.text takes one column, or two for a pair of texts")
        if self.group and self.time:
            raise ValueError("data.group and data.time exclude each other: a split is by group or by time")
        if self.fractions and (min(self.fractions) < 0 or abs(sum(self.fractions) - 1) > 1e-6):
            raise ValueError("data.fractions are the shares of train, valid and test and must add up to 1")
        if re.match(r"\w+://[^/@]*:[^/@]+@", self.interactions):
            raise ValueError("data.interactions holds a password, which a run would keep; use PGPASSWORD or ~/.pgpass")
        return self


class HeadPart(Part):
    """One head: the column that it learns and the kind of task that it is."""

    column: str
    task: str | None = None
    """`None`: guessed from the column's values."""
    weight: Annotated[float, Field(gt=0)] | None = None
    """The weight of this head's loss; `None`: learned (uncertainty weighting)."""
    floor: Fraction = 0.0
    """Predictions under this calibrated score abstain."""
    path: str = ""
    """Where the examples of this head are, if they are not those of `data.path`."""
    text: Words = ()
    """The text columns of `path`; empty: found by the reader."""
    names: dict[str, str] = {}
    """What labels mean in words, where their names do not say it: `{"1": "positive"}`."""
    mention: str | None = None
    """The column with the name in the text that a row's label is about; the task is `mention` then."""

    @model_validator(mode="after")
    def _own(self) -> Self:
        if self.mention and self.task not in (None, "mention"):
            raise ValueError(f"the head of {self.column!r} has a column of mentions, but its task is {self.task!r}")
        if self.text and not self.path:
            raise ValueError(f"the head of {self.column!r} has text but no path; data.text names that of data.path")
        if len(self.text) > 2:
            raise ValueError(f"the head of {self.column!r} takes one text column, or two for a pair of texts")
        return self


class ModelPart(Part):
    """The pretrained encoder and how texts enter it."""

    backbone: str = "minilm"
    max_length: Annotated[int, Field(ge=8, le=8192)] = 256
    long: Literal["window", "truncate"] = "window"
    """Texts over `max_length` tokens: cut into overlapping windows and merged, or truncated and counted."""
    stride: Annotated[int, Field(ge=0)] = 32
    pooling: Literal["mean", "cls"] = "mean"
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """`None`: as the backbone was pretrained."""
    crf: bool = False
    """A learned linear-chain CRF on `tag` heads."""


class TrainPart(Part):
    """How parameters are fitted. `None` leaves a value to the method's own default."""

    method: Literal[
        "zero_shot", "few_shot", "probe", "contrastive", "head", "freeze", "full",
        "lora", "adalora", "adapter", "prefix", "prompt", "auto",
    ] = "full"  # fmt: skip
    epochs: Annotated[float, Field(gt=0, le=1000)] | None = None
    learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    head_learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    batch_size: Annotated[int, Field(ge=1)] = 32
    batch_tokens: Annotated[int, Field(ge=16)] = 4096
    accumulate: Annotated[int, Field(ge=1)] = 1
    frozen_layers: Annotated[int, Field(ge=0)] | None = None
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    warmup: Fraction = 0.1
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    clip: Annotated[float, Field(gt=0)] = 1.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] | None = None
    """`None`: 0.1, but 0 for `multilabel` heads: where few of many labels apply it spoils their probabilities."""
    focal: Annotated[float, Field(ge=0)] = 0.0
    """Gamma of the focal loss, which turns to the hard examples; 0: off."""
    class_weights: Literal["none", "balanced"] = "none"
    sampling: Annotated[float, Field(ge=1, le=100)] = 1.0
    """The temperature at which rows are drawn from several sources: 1 as many as there are, more: more evenly."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    head_start: Literal["auto", "probe", "random"] = "auto"
    """`auto`: the probe, but random for heads with label smoothing that few texts train; see `methods.blank`."""
    patience: Annotated[int, Field(ge=0)] = 0
    """Evaluations without a better `metric` before the fit stops; 0: never."""
    evaluations: Annotated[int, Field(ge=1)] = 1
    """Evaluations on the validation split an epoch."""
    metric: str = "headline"
    """What the best weights are best at on the validation split: `headline` (the mean of all heads), `loss`, a head."""
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 30.0
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: bool = False
    device: str = "auto"
    threads: Annotated[int, Field(ge=0)] = 0
    """0: as many as the machine has."""
    wandb: bool = False


class AdapterPart(Part):
    """What `lora`, `adalora`, `adapter`, `prefix` and `prompt` put beside the frozen encoder."""

    rank: Annotated[int, Field(ge=1)] = 8
    """Of the matrices of `lora`; of `adalora` the mean that is left at the end."""
    scale: Annotated[float, Field(gt=0)] = 2.0
    """What their product is multiplied by: alpha / rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    size: Annotated[int, Field(ge=1)] = 48
    """Units of the bottleneck of `adapter`."""
    tokens: Annotated[int, Field(ge=1, le=512)] = 16
    """Virtual tokens of `prefix` and `prompt`."""


class ContrastivePart(Part):
    """How `contrastive` fits the encoder before its heads are solved for."""

    texts: Annotated[int, Field(ge=4)] = 64
    """Texts a batch, of which each is compared with every other."""
    temperature: Annotated[float, Field(gt=0)] = 0.07
    """What similarities are divided by: the smaller it is, the more the hardest pairs count."""
    keep: Fraction = 0.5
    """The share of the pretrained weights in those of the fitted encoder."""


class RegularisePart(Part):
    """What keeps a fit by gradient from learning its examples by heart; each is off unless it is asked for."""

    adversarial: Literal["none", "fgm", "pgd", "freelb", "vat"] = "none"
    radius: Annotated[float, Field(gt=0)] = 0.3
    """The norm of an adversarial perturbation of a token's embedding, in tenths of the mean norm of an embedding."""
    ascents: Annotated[int, Field(ge=1, le=20)] | None = None
    """Gradient steps that look for the worst perturbation; `None`: 3 (`pgd`, `freelb`), 1 (`vat`)."""
    r_drop: Annotated[float, Field(ge=0)] = 0.0
    """Alpha of R-Drop, the weight of the divergence between two passes with other dropout; 0: off."""
    supcon: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The share of the supervised contrastive term in the loss; 0: off."""
    supcon_temperature: Annotated[float, Field(gt=0)] = 0.3
    mixup: Annotated[float, Field(ge=0)] = 0.0
    """Alpha of the Beta distribution that hidden vectors of two texts are mixed by; 0: off."""


class AugmentPart(Part):
    """Training texts that are made from others. Every rate is a share of characters (`typos`) or words."""

    copies: Annotated[int, Field(ge=1, le=20)] = 1
    """Changed copies of each text, for every kind that is on."""
    typos: Fraction = 0.0
    synonyms: Fraction = 0.0
    insertions: Fraction = 0.0
    swaps: Fraction = 0.0
    deletions: Fraction = 0.0
    masked: Fraction = 0.0
    """Words that the masked-language head of `fill` replaces."""
    fill: str = ""
    """A backbone with a masked-language head; empty: the run's own."""
    translate: Words = ()
    """Two folders of sequence-to-sequence models, there and back."""
    names: bool | None = None
    """Whether the names of labels count as training texts of theirs; `None`: for `contrastive` alone."""
    agree: bool = True
    """Whether a copy is thrown away that the probe gives another label than its text."""

    @model_validator(mode="after")
    def _there_and_back(self) -> Self:
        if len(self.translate) not in (0, 2):
            raise ValueError("augment.translate takes two folders, a model that translates there and one back")
        return self


class SemiPart(Part):
    """How the texts of `data.unlabelled` are used."""

    method: Literal["pseudo", "uda", "self_training", "none"] = "self_training"
    confidence: Fraction = 0.95
    """The calibrated score that a text needs at first to be given the label that the model says."""
    confidence_end: Fraction = 0.8
    """And at last: it falls linearly over the fit (`pseudo`) or the rounds (`self_training`)."""
    rounds: Annotated[int, Field(ge=1, le=10)] = 2
    weight: Annotated[float, Field(gt=0)] = 1.0
    """Of the loss on unlabelled texts (`pseudo`, `uda`)."""


class PromptPart(Part):
    """What `zero_shot` and `few_shot` say to the model."""

    templates: Words = ()
    """Sentences with `{}` where the name of a label goes (encoders) or with `{text}` and `{label}` (generators and
    masked-language heads); empty: ours, in the language of the texts."""
    shots: Annotated[int, Field(ge=1, le=64)] = 8
    """Examples in a prompt of `few_shot`, the nearest ones of the training split."""
    endpoint: str = ""
    """The address of an OpenAI-compatible generator, `http://127.0.0.1:8080/v1`; empty: none."""
    generator: str = ""
    """The name of the model at `endpoint`, or without one a local folder of a causal language model."""
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the key of `endpoint`."""


class EnsemblePart(Part):
    """Several fits that answer together."""

    members: Annotated[int, Field(ge=1, le=32)] = 1
    kind: Literal["deep", "snapshot"] = "deep"
    """One fit a seed, or one fit with as many cycles of its learning rate."""
    distil: bool = False
    """Whether one network is fitted to what they say together, and takes their place."""
    temperature: Annotated[float, Field(ge=1, le=20)] = 2.0
    """Of the probabilities that it is fitted to."""


UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(value: Any) -> Any:
    """`"90s"`, `"10m"` or `"1.5h"` in seconds; numbers stay. Raises `ValueError` for other words."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", value)
    if not found:
        raise ValueError(f"{value!r} is no length of time; it is written 90, 90s, 10m or 1.5h")
    return float(found[1]) * UNITS[found[2]]


class RacePart(Part):
    """The bounds of `method = "auto"`."""

    budget: Annotated[float, BeforeValidator(seconds), Field(gt=0)] = 600.0
    """Seconds, or with a unit: `"90s"`, `"10m"`, `"1h"`. Reading and measuring are within it."""
    margin: Annotated[float, Field(ge=0)] = 0.5
    """Points of the headline metric that a rung must be expected to gain."""


class OptimisePart(Part):
    """What `metier optimise` makes of a run: what is taken away, then a graph that needs no torch."""

    student: Literal["none", "layers", "static"] = "none"
    """A smaller network that is fitted to what the run says: one of fewer layers, or vectors of tokens alone."""
    layers: Annotated[int, Field(ge=1)] | None = None
    """That are left, or that the student has; `None`: all, and half of them for a student."""
    drop: Literal["ablation", "top"] = "ablation"
    """Which layers go where there is no student: those whose absence costs least, or the highest ones."""
    heads: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The share of attention heads that goes."""
    units: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """The share of feed-forward units that goes."""
    vocabulary: bool = False
    """Whether only those tokens stay that the texts use, and what every text can be spelled with."""
    recover: Annotated[float, Field(ge=0, le=100)] = 1.0
    """Epochs of a short fit after layers, heads or units went."""
    unlabelled: str = ""
    """A file of further texts: for a student to learn from, and whose tokens stay."""
    changed: Annotated[int, Field(ge=0, le=20)] = 0
    """Changed copies of each text for a student to learn from: the run says what has become of them."""
    engines: Words = ()
    """That shall compute the graph; empty: those that are installed."""
    precision: Literal["int8", "fp32", "fp16", "bf16"] = "int8"
    """Of a graph, eight bits or float; of weights for a GPU, sixteen bits."""
    activations: Literal["auto", "static", "dynamic"] = "auto"
    """Whether activations of eight bits have scales from training texts or from each batch; `auto`: what is nearer."""
    smooth: bool | None = None
    """Whether what is hard to quantise moves into the weights; `None`: where it helps."""
    mixed: bool = False
    """Whether parts that suffer from eight bits stay in float."""
    tolerance: Annotated[float, Field(ge=0)] = 0.5
    """Points of each head's headline metric that a step may cost on the held-out texts."""


class EvaluatePart(Part):
    """What is measured beside the model."""

    baselines: bool = True
    suspects: bool = True
    resamples: Annotated[int, Field(ge=10)] = 1000
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95

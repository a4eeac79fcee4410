"""One encoder, several heads, one pass: what each example has a label for counts, and nothing else."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from metier import tasks
from metier.models import backbone
from metier.models.machine import machine
from metier.models.network import Network
from metier.models.table import Table
from metier.models.tokeniser import Tokeniser
from metier.predict.torch_runtime import TorchRuntime
from metier.train.frozen import Frozen
from metier.types import Document, Example, Span

OPTIONS = {"a": {"label_smoothing": 0.0, "class_weights": None}, "b": {"label_smoothing": 0.0, "class_weights": None}}
TEXTS = ["Berlin gains today", "the company falls", "Oslo sinks after a weak report and its bank results", "Rome"]
TARGETS = [{"a": "x", "b": 1.0}, {"a": "y"}, {"b": 3.0}, {"a": "x", "b": 2.0}]


@pytest.fixture
def encoder(toy_backbone):
    return backbone.load_encoder(backbone.find(str(toy_backbone)), dropout=0.0)


@pytest.fixture
def tokeniser(toy_backbone):
    return Tokeniser(Tokenizer.from_file(str(toy_backbone / "tokenizer.json")), max_length=32)


def heads():
    return {"a": tasks.build("classify", ["x", "y"]), "b": tasks.build("score", [1.0, 2.0, 3.0])}


@pytest.fixture
def network(encoder):
    torch.manual_seed(1)
    made = Network(encoder, heads())
    for module in made.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return made


def table(network, tokeniser, targets=TARGETS):
    examples = [Example(Document(text), target) for text, target in zip(TEXTS, targets, strict=True)]
    made = Table.of([example.document for example in examples], tokeniser, network.tasks)
    made.label(examples)
    return made


def test_one_pass_of_the_encoder_for_all_heads(network, tokeniser, monkeypatch):
    calls = []
    forward = network.encoder.forward
    monkeypatch.setattr(network.encoder, "forward", lambda *a, **k: calls.append(1) or forward(*a, **k))
    network.loss(table(network, tokeniser).batch(np.arange(4)), OPTIONS, {"a": None, "b": None}).backward()
    assert len(calls) == 1
    runtime = TorchRuntime(network, tokeniser, machine("cpu", "fp32"), {})
    found = runtime.predict([Document(text) for text in TEXTS])
    assert len(calls) == 2 and all(set(row) == {"a", "b"} for row in found)
    assert all(set(row) == {"b"} for row in runtime.predict([Document(text) for text in TEXTS], ["b"]))


def alone(network, tokeniser, head, rows):
    """The loss of one head over the rows that carry it, from its own logits."""
    made = table(network, tokeniser)
    batch = made.plain(np.array(rows))
    task = network.tasks[head]
    targets = torch.from_numpy(np.stack([task.encode(TARGETS[row][head], made.encoding(row)) for row in rows]))
    return task.loss(network(batch)[head], targets, OPTIONS[head])


def test_fixed_weights(network, tokeniser):
    whole = network.loss(table(network, tokeniser).batch(np.arange(4)), OPTIONS, {"a": 2.0, "b": 0.5})
    parts = 2.0 * alone(network, tokeniser, "a", [0, 1, 3]) + 0.5 * alone(network, tokeniser, "b", [0, 2, 3])
    torch.testing.assert_close(whole, parts)


def test_uncertainty_weights(network, tokeniser):
    with torch.no_grad():
        network.log_variance.copy_(torch.tensor([0.7, -0.4]))
    loss = network.loss(table(network, tokeniser).batch(np.arange(4)), OPTIONS, {"a": None, "b": None})
    parts = [alone(network, tokeniser, "a", [0, 1, 3]), alone(network, tokeniser, "b", [0, 2, 3])]
    expected = sum(torch.exp(-s) * part + s / 2 for s, part in zip(network.log_variance, parts, strict=True))
    torch.testing.assert_close(loss, expected)
    loss.backward()
    slope = [0.5 - float((torch.exp(-s) * part).detach()) for s, part in zip(network.log_variance, parts, strict=True)]
    assert network.log_variance.grad.tolist() == pytest.approx(slope, rel=1e-4)


def test_a_batch_without_any_label_of_a_head(network, tokeniser):
    batch = table(network, tokeniser).batch(np.array([1]))
    loss = network.loss(batch, OPTIONS, {"a": None, "b": None})
    loss.backward()
    assert network.heads[1].out.weight.grad is None and network.heads[0].out.weight.grad is not None
    assert torch.isfinite(loss)


def test_a_batch_without_any_label(network, tokeniser):
    batch = table(network, tokeniser, [{}] * 4).batch(np.arange(4))
    loss = network.loss(batch, OPTIONS, {"a": None, "b": None})
    loss.backward()
    assert float(loss.detach()) == 0.0


def test_padding_has_no_influence(network, tokeniser):
    made = table(network, tokeniser)
    network.eval()
    together = network(made.plain(np.arange(4)))
    for row in range(4):
        own = network(made.plain(np.array([row])))
        for head in ("a", "b"):
            torch.testing.assert_close(own[head][0], together[head][row], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_pooling(encoder, pooling):
    network = Network(encoder, heads(), pooling=pooling)
    hidden = torch.arange(12.0).view(1, 3, 4)
    found = network.pool(hidden, torch.tensor([[True, True, False]]))
    assert found.tolist() == ([[2.0, 3.0, 4.0, 5.0]] if pooling == "mean" else [[0.0, 1.0, 2.0, 3.0]])


@pytest.mark.parametrize("layers", [1, 2])
def test_cached_states_of_frozen_layers(network, tokeniser, tmp_path, monkeypatch, layers):
    network.freeze(layers)
    made = table(network, tokeniser)
    calls, rows = [], []
    prefix = network.encoder.prefix
    monkeypatch.setattr(network.encoder, "prefix", lambda ids, *a, **k: rows.append(len(ids)) or prefix(ids, *a, **k))
    frozen = Frozen(made, network, tmp_path, calls.append)
    assert sum(rows) == sum(calls) == len(made.rows), "every text once"
    network.train()
    grads = []
    for batch in (made.batch(np.array([2, 0, 3])), frozen.batch(np.array([2, 0, 3]))):
        network.zero_grad()
        logits = network(batch)
        network.loss(batch, OPTIONS, {"a": None, "b": None}).backward()
        grads.append((logits, {n: w.grad.clone() for n, w in network.named_parameters() if w.grad is not None}))
    assert sum(rows) == len(made.rows), "nothing was computed again"
    for head in ("a", "b"):
        torch.testing.assert_close(grads[0][0][head], grads[1][0][head], atol=1e-6, rtol=1e-5)
    assert grads[0][1].keys() == grads[1][1].keys()
    for name, gradient in grads[0][1].items():
        torch.testing.assert_close(gradient, grads[1][1][name], atol=1e-6, rtol=1e-4)
    lower = [name for name in grads[0][1] if name.startswith(("encoder.words", "encoder.layers.0"))]
    assert not lower


def test_cached_states_belong_to_their_rows(network, tokeniser, tmp_path):
    network.freeze(2)
    made = table(network, tokeniser)
    frozen = Frozen(made, network, tmp_path)
    batch = frozen.attach(made.plain(np.array([3, 1])))
    network.eval()
    expected = network.encoder(batch.ids, batch.mask, batch.types)
    torch.testing.assert_close(batch.hidden[batch.mask], expected[batch.mask], atol=1e-6, rtol=1e-5)


def test_per_token_heads_and_missing_targets(encoder, tokeniser):
    found = {"tags": tasks.build("tag", [(Span(0, 6, "LOC"),)]), "a": tasks.build("classify", ["x", "y"])}
    network = Network(encoder, found)
    targets = [{"tags": (Span(0, 6, "LOC"),)}, {"a": "x"}, {"tags": (), "a": "y"}, {}]
    batch = table(network, tokeniser, targets).batch(np.arange(4))
    assert batch.present["tags"].tolist() == [True, False, True, False]
    assert batch.targets["tags"].shape == (2, batch.ids.shape[1])
    options = dict.fromkeys(found, OPTIONS["a"])
    network.loss(batch, options, {"tags": None, "a": None}).backward()

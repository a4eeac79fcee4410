"""Layers, heads and units are taken away, and what is left answers as the whole network with them at zero."""

import copy

import numpy as np
import pytest
import torch

from metier import tasks
from metier.data import read
from metier.errors import BackboneError, RunError
from metier.models import backbone as backbones
from metier.models.backbone import build_encoder, describe_encoder
from metier.models.machine import seeded
from metier.models.network import Network
from metier.models.shape import Shape
from metier.models.table import Table, golds
from metier.models.tokeniser import Tokeniser
from metier.optimise import prune

OPTIONS = {name: {"label_smoothing": 0.0, "class_weights": None, "focal": 0.0} for name in ("sentiment", "place")}
WEIGHTS = {"sentiment": None, "place": 1.0}


@pytest.fixture(scope="module")
def table(toy_backbone, toy_news):
    columns = read.resolve(toy_news, ("text",), ["sentiment", "place"])
    examples = list(read.examples(toy_news, columns))[:40]
    heads = {name: tasks.build("classify", golds(examples, name)) for name in ("sentiment", "place")}
    tokeniser = Tokeniser(backbones.load_tokenizer(backbones.find(str(toy_backbone))), max_length=32)
    found = Table.of([example.document for example in examples], tokeniser, heads)
    found.label(examples)
    return found


@pytest.fixture
def network(toy_backbone, table):
    with seeded(3):
        encoder = backbones.load_encoder(backbones.find(str(toy_backbone)))
        for weight in encoder.parameters():  # biases of a fresh network are 0
            weight.data += 0.1 * torch.randn_like(weight)
        return Network(encoder, table.tasks).eval()


def picked():
    heads = [np.array([0, 2]), np.array([1, 2, 3])]
    units = [np.arange(0, 64, 2), np.arange(24)]
    return heads, units


def masks(heads, units):
    found = []
    for own in zip(heads, units, strict=True):
        pair = []
        for kept, count in zip(own, (4, 64), strict=True):
            mask = torch.zeros(1, count)
            mask[0, kept] = 1.0
            pair.append(mask)
        found.append(tuple(pair))
    return found


def pruned(network):
    smaller = copy.deepcopy(network)
    prune.cut(smaller.encoder, *picked())
    return smaller


def answers(network, table):
    with torch.no_grad():
        return network(table.plain(np.arange(len(table.rows))))


def test_what_is_left_answers_as_the_whole_with_the_rest_at_zero(network, table):
    with prune.scaled(network.encoder, masks(*picked())):
        expected = answers(network, table)
    smaller = pruned(network)
    found, whole = answers(smaller, table), answers(network, table)
    for name in expected:
        assert torch.allclose(found[name], expected[name], atol=1e-5)
        assert not torch.allclose(whole[name], expected[name], atol=1e-3)
    assert smaller.encoder.shape.layers == ((2, 32), (3, 24))
    assert smaller.encoder.layers[0].attend.weight.shape == (3 * 16, 32)
    assert smaller.encoder.layers[1].narrow.weight.shape == (32, 24)


def test_a_pruned_encoder_is_built_again_from_its_description(network, table):
    smaller = pruned(network)
    described = describe_encoder(smaller.encoder)
    again = Network(build_encoder(described), table.tasks).eval()
    again.load_state_dict(smaller.state_dict())
    found, expected = answers(again, table), answers(smaller, table)
    assert all(torch.equal(found[name], expected[name]) for name in found)
    assert "layers" not in describe_encoder(network.encoder)["shape"]  # what was written before is written still


def test_a_pruned_encoder_is_entered_in_the_middle(network, table):
    encoder = pruned(network).encoder
    batch = table.plain(np.arange(8))
    with torch.no_grad():
        below = encoder.prefix(batch.ids, batch.mask, batch.types, upto=1)
        found = encoder(batch.ids, batch.mask, batch.types, start=1, hidden=below)
        whole = encoder(batch.ids, batch.mask, batch.types)
    assert torch.allclose(found[batch.mask], whole[batch.mask], atol=1e-5)


def test_fused_gradients_of_a_pruned_encoder_are_those_of_autograd(network, table):
    network.encoder = build_encoder(
        {"shape": {**describe_encoder(network.encoder)["shape"], "dropout": 0.0, "attention_dropout": 0.0}}
    )
    smaller = pruned(network)
    for head in smaller.heads:
        head.dropout.p = 0.0
    batch = table.batch(np.arange(16))
    found = []
    for training in (True, False):  # in training the fused functions compute, else torch's own
        smaller.train(training)
        smaller.zero_grad()
        smaller.loss(batch, OPTIONS, WEIGHTS).backward()
        found.append(
            {
                name: weight.grad.clone()
                for name, weight in smaller.encoder.named_parameters()
                if weight.grad is not None
            }
        )
    assert found[0].keys() == found[1].keys() and len(found[0]) > 20
    assert all(torch.allclose(found[0][name], found[1][name], atol=1e-5) for name in found[0])


def test_importance_is_the_derivative_of_the_loss(network, table):
    found = prune.importance(network, table, OPTIONS, WEIGHTS)
    expected = np.zeros(4)
    for row in range(len(table.rows)):
        batch = table.batch(np.array([row]))
        for head in range(4):
            losses = []
            for step in (1e-2, -1e-2):
                factors = masks([np.arange(4)] * 2, [np.arange(64)] * 2)
                factors[0][0][0, head] += step
                with torch.no_grad(), prune.scaled(network.encoder, factors):
                    losses.append(float(network.loss(batch, OPTIONS, WEIGHTS)))
            expected[head] += abs(losses[0] - losses[1]) / 2e-2
    assert np.allclose(found.heads[0], expected, rtol=0.05, atol=0.02)
    assert [len(own) for own in found.units] == [64, 64] and all((own > 0).any() for own in found.units)
    assert all(weight.grad is None for weight in network.parameters())


def test_importance_needs_labels(network, table):
    bare = Table(table.documents, table.rows, table.tasks)
    with pytest.raises(RunError, match="No text has a label"):
        prune.importance(network, bare, OPTIONS, WEIGHTS)


def test_the_least_important_go_and_no_layer_is_left_without():
    scores = [np.array([9.0, 8.0, 7.0, 6.0]), np.array([1.0, 1.0, 1.0, 9.0])]

    def left(share, compare, given=scores):
        return [own.tolist() for own in prune.kept(given, share, compare=compare)]

    assert left(0.5, "norm") == left(0.5, "raw") == [[0, 1, 2], [3]]
    assert left(0.5, "layer") == [[0, 1], [0, 3]]
    tall = [scores[0], scores[1] * 5]
    assert left(0.5, "norm", tall) == [[0, 1, 2], [3]] and left(0.5, "raw", tall) == [[0, 1, 2], [3]]
    assert left(0.5, "raw", [scores[0], scores[1] * 8]) == [[0, 1], [0, 3]]
    for compare in ("layer", "raw", "norm"):
        assert left(0.0, compare) == [[0], [3]] and left(1.0, compare) == [[0, 1, 2, 3]] * 2
        assert left(0.5, compare, [np.zeros(4), np.zeros(4)]) == [[0, 1], [0, 1]]
    units = [np.arange(20.0), np.arange(20.0)[::-1] ** 4]
    found = prune.kept(units, 0.5, 8, "norm")
    assert [len(own) for own in found] == [16, 8] and list(found[0]) == list(range(4, 20))
    assert [len(own) for own in prune.kept(units, 0.6, 8)] == [16, 16]


def test_ablation_takes_the_layer_that_costs_least(network, table):
    batch = table.batch(np.arange(40))

    def judge():
        with torch.no_grad():
            return float(network.loss(batch, OPTIONS, WEIGHTS))

    whole, encoder = judge(), network.encoder
    alone = []
    for layer in (1, 2):
        with prune._layers(network, [3 - layer]):
            alone.append(judge())
    assert judge() == whole and network.encoder.depth == 2
    ((gone, cost),) = prune.ablate(network, 1, judge)
    assert cost == min(alone) == judge() and gone == 1 + int(np.argmin(alone))
    assert network.encoder is encoder and encoder.depth == encoder.shape.depth == len(encoder.layers) == 1


def test_layers_of_a_pruned_encoder_keep_their_sizes(network, table):
    smaller = pruned(network)
    prune.ablate(smaller, 1, lambda: float(-smaller.encoder.shape.layers[0][0]))  # the layer of three heads stays
    assert smaller.encoder.shape.layers == ((3, 24),) and answers(smaller, table)["place"].shape == (40, 3)


def test_sizes_that_no_layer_can_have():
    sizes = {"vocabulary": 10, "width": 32, "depth": 2, "heads": 4, "intermediate": 64, "positions": 16}
    assert Shape(**sizes).sizes == ((4, 64), (4, 64))
    with pytest.raises(BackboneError, match="sizes of 1 layers"):
        Shape(**sizes, layers=((2, 8),))
    with pytest.raises(BackboneError, match="1 to 4 heads"):
        Shape(**sizes, layers=((2, 8), (5, 8)))


def test_a_pruned_network_is_one_graph(network, table, tmp_path):
    pytest.importorskip("onnxscript")
    onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    from metier.optimise.export import export
    from metier.optimise.graph import feed_of

    smaller, rows = pruned(network), np.arange(7)
    export(smaller, table.arrays(np.arange(3)), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = smaller(table.plain(rows))
    found = session.run(list(expected), feed_of(table.arrays(rows), onnx.load(tmp_path / "model.onnx")))
    for own, other in zip(found, expected.values(), strict=True):
        assert np.allclose(own, other.numpy(), atol=1e-4)

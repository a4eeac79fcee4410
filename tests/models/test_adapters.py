"""What is put beside a frozen encoder: what it trains, what it computes, where it fits."""

import pytest
import torch
from torch import nn

from metier.errors import BackboneError, RecipeError
from metier.models.adapters import attach, fold, linears, restore, upper
from metier.models.adapters.tokens import Grown
from metier.models.backbone import Backbone
from metier.models.encoder import Encoder, Shape
from metier.models.hub import HubEncoder
from metier.recipe import AdapterPart

METHODS = ("lora", "adalora", "adapter", "prefix", "prompt")
SHAPE = Shape(
    vocabulary=50, width=16, depth=2, heads=2, intermediate=32, positions=24, dropout=0.0, attention_dropout=0.0
)
PART = AdapterPart(rank=2, size=4, tokens=3)
IDS = torch.tensor([[4, 9, 2, 30, 7], [5, 8, 0, 0, 0]])
MASK = torch.tensor([[True] * 5, [True, True, False, False, False]])


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(3)


@pytest.fixture
def backbone(tmp_path):
    return Backbone("toy", tmp_path, {}, "0" * 64)


def ours() -> Encoder:
    return Encoder(SHAPE).eval()


def foreign(kind: str = "electra") -> HubEncoder:
    """A tiny encoder of transformers that is not of our families; electra's embeddings are narrower than its layers."""
    from transformers import AutoConfig, AutoModel

    sizes = {
        "vocab_size": 50,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    more = {"embedding_size": 8} if kind == "electra" else {}
    config = AutoConfig.for_model(kind, **sizes, max_position_embeddings=24, **more)
    return HubEncoder(AutoModel.from_config(config)).eval()


def moved(encoder) -> None:
    """Gives what is trained other values, as a fit does."""
    for weight in encoder.parameters():
        if weight.requires_grad:
            nn.init.normal_(weight, std=0.3)


def test_linear_layers_are_found_by_their_shape():
    assert linears(ours()) == [f"layers.{at}.{name}" for at in (0, 1) for name in ("attend", "join", "widen", "narrow")]
    found = linears(foreign())
    assert len(found) == 12 and not any("embed" in name for name in found)


def test_lora_leaves_the_lowest_layers_alone():
    names = [f"layers.{at}.{name}" for at in range(6) for name in ("attend", "join")]
    assert upper(names, 6) == names[2:]
    assert upper(names[:4], 2) == names[:4]  # nothing to spare
    assert upper(names[:3], 12) == names[:3]  # layers that share their weights


@pytest.mark.parametrize("build", [ours, foreign])
@pytest.mark.parametrize("method", METHODS)
def test_only_what_is_beside_the_encoder_is_trained(method, build, backbone):
    encoder = build()
    before = {name: weight.detach().clone() for name, weight in encoder.named_parameters()}
    if method == "prefix" and isinstance(encoder, HubEncoder):
        with pytest.raises(BackboneError, match="electra encoder takes no keys"):
            attach(encoder, method, PART, backbone)
        return
    adapter = attach(encoder, method, PART, backbone)
    encoder.train()
    hidden = encoder(IDS, MASK)
    assert hidden.shape == (2, 5, 16)
    hidden[MASK].square().sum().backward()
    for name, weight in encoder.named_parameters():
        assert (weight.grad is None) == (name not in adapter.weights()), name
    fixed = {name: weight for name, weight in encoder.named_parameters() if not weight.requires_grad}
    assert all(
        torch.equal(weight, before.get(name.replace("base_layer.", ""), weight)) for name, weight in fixed.items()
    )
    assert attach(encoder, method, PART, backbone) is adapter


@pytest.mark.parametrize("build", [ours, foreign])
@pytest.mark.parametrize("method", ["lora", "adalora", "adapter"])
def test_answers_stay_until_something_is_trained(method, build, backbone):
    encoder = build()
    before = encoder(IDS, MASK)[MASK]
    attach(encoder, method, PART, backbone)
    near = 1e-3 if method == "adapter" else 1e-6
    torch.testing.assert_close(encoder(IDS, MASK)[MASK], before, atol=near, rtol=0.0)


@pytest.mark.parametrize("method", METHODS)
def test_a_row_is_the_same_alone_in_a_batch_and_in_a_fit(method, backbone):
    encoder = ours()
    attach(encoder, method, PART, backbone)
    moved(encoder)
    with torch.no_grad():
        together = encoder(IDS, MASK)
        alone = encoder(IDS[1:, :2], MASK[1:, :2])
    torch.testing.assert_close(together[1, :2], alone[0], atol=2e-5, rtol=1e-4)
    fitting = encoder.train()(IDS, MASK)  # the fused functions leave padding out; there is no dropout
    torch.testing.assert_close(fitting[MASK], together[MASK], atol=2e-5, rtol=1e-4)


def test_virtual_tokens_are_attended_to(backbone):
    for method in ("prefix", "prompt"):
        encoder = ours()
        plain = encoder(IDS, MASK)
        attach(encoder, method, PART, backbone)
        moved(encoder)
        assert not torch.allclose(encoder(IDS, MASK)[MASK], plain[MASK], atol=1e-2)


def test_folded_lora_has_the_gradients_of_pefts(backbone):
    from peft.tuners.lora.layer import Linear

    encoder = ours()
    attach(encoder, "lora", PART, backbone)
    moved(encoder)
    layer = encoder.layers[0].attend
    found = []
    for forward in (type(layer).forward, Linear.forward):
        x = torch.linspace(-1, 1, 7 * 16).reshape(7, 16).requires_grad_()
        y = forward(layer, x)
        down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        found.append([y, *torch.autograd.grad(y.square().sum(), [x, down, up])])
    for ours_, pefts in zip(*found, strict=True):
        torch.testing.assert_close(ours_, pefts, atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), found[1][0].detach(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("build", [ours, foreign])
@pytest.mark.parametrize("method", ["lora", "adalora"])
def test_folding_keeps_answers_and_leaves_shared_weights_alone(method, build, backbone):
    encoder = build()
    encoder.resize_vocabulary(2)
    attach(encoder, method, PART, backbone)
    moved(encoder)
    shared = {name: (weight, weight.detach().clone()) for name, weight in encoder.named_parameters()}
    ids = IDS.clone()
    ids[0, 1] = 51  # a row that was added
    before = encoder(ids, MASK)[MASK]
    fold(encoder)
    torch.testing.assert_close(encoder(ids, MASK)[MASK], before, atol=1e-5, rtol=1e-5)
    assert all(torch.equal(weight, kept) for weight, kept in shared.values())
    assert encoder.adapter is None and encoder.vocabulary == 52 and isinstance(encoder.words, nn.Embedding)


@pytest.mark.parametrize("method", METHODS)
def test_what_was_described_is_restored(method, backbone):
    encoder = ours()
    encoder.resize_vocabulary(2)
    adapter = attach(encoder, method, PART, backbone)
    moved(encoder)
    other = Encoder(SHAPE).eval()
    other.load_state_dict(plain_weights(encoder))
    again = restore(other, adapter.describe(), backbone)
    assert again.weights().keys() == adapter.weights().keys()
    other.load_state_dict(adapter.weights(), strict=False)
    ids = IDS.clone()
    ids[0, 1] = 51
    torch.testing.assert_close(other(ids, MASK)[MASK], encoder(ids, MASK)[MASK])


def plain_weights(encoder: Encoder) -> dict[str, torch.Tensor]:
    """The backbone's weights under its own names."""
    known = Encoder(SHAPE).state_dict().keys()
    found = {name.replace("base_layer.", ""): weight for name, weight in encoder.state_dict().items()}
    return {name: weight for name, weight in found.items() if name in known}


def test_adalora_takes_ranks_away_down_to_its_budget(backbone):
    encoder = ours()
    ranks = attach(encoder, "adalora", PART, backbone).ranks
    ranks.plan(10)
    trained = [weight for weight in encoder.parameters() if weight.requires_grad]
    optimiser = torch.optim.SGD(trained, lr=0.1)
    encoder.train()
    for step in range(10):
        optimiser.zero_grad()
        loss = (encoder(IDS, MASK)[MASK].sum(1) - torch.arange(7.0)).square().mean() + ranks.term()
        loss.backward()
        optimiser.step()
        ranks.after_step(step)
        if step == 4:
            middle = {name: tensor.clone() for name, tensor in ranks.state().items()}
    kept = [int((weight != 0).sum()) for name, weight in encoder.named_parameters() if "lora_E" in name]
    assert len(kept) == 8 and sum(kept) == 8 * PART.rank < 8 * 3
    assert any(name.startswith("exp_avg_ipt/") for name in middle)
    ranks.load(middle)
    assert ranks.state().keys() == middle.keys()
    assert all(torch.equal(tensor, middle[name]) for name, tensor in ranks.state().items())


def test_adalora_pulls_its_factors_towards_orthogonality(backbone):
    encoder = ours()
    ranks = attach(encoder, "adalora", PART, backbone).ranks
    for weight in ranks.factors:
        nn.init.orthogonal_(weight)
    assert float(ranks.term().detach()) == pytest.approx(0.0, abs=1e-5)


def test_added_rows_are_apart_from_the_known_ones():
    words = nn.Embedding(5, 3)
    grown = Grown.split(words, 2)
    ids = torch.tensor([[0, 4], [3, 2]])
    torch.testing.assert_close(grown(ids), words(ids))
    grown(ids).sum().backward()
    assert grown.weight.grad is None and grown.rows.grad.tolist() == [[1.0] * 3] * 2
    assert grown.weight.data_ptr() == words.weight.data_ptr() and torch.equal(grown.whole().weight, words.weight)


def test_virtual_tokens_take_their_room_in_a_foreign_window(backbone):
    from metier.models.adapters import room

    encoder = foreign()
    assert room(encoder, "prompt", PART) == 21 and room(encoder, "lora", PART) == room(ours(), "prompt", PART) == 24
    attach(encoder, "prompt", PART, backbone)
    assert encoder.window == 21
    with pytest.raises(BackboneError, match="no room"):
        room(foreign(), "prompt", AdapterPart(tokens=30))


def test_a_rank_that_no_weight_has(backbone):
    from metier.models.adapters import room

    with pytest.raises(RecipeError, match=r"adapter.rank is 900\. Expected: at most"):
        room(ours(), "lora", AdapterPart(rank=900))
    assert room(ours(), "prefix", AdapterPart(rank=900)) > 0

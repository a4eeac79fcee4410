"""Our encoder against transformers' own classes, and what the rest of the house relies on."""

from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel, RobertaConfig, RobertaModel

from metier.errors import BackboneError
from metier.models.encoder import Encoder, Shape

SMALL = {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
PEERS = {
    "bert": lambda: BertModel(BertConfig(**SMALL, max_position_embeddings=40)),
    "roberta": lambda: RobertaModel(RobertaConfig(**SMALL, max_position_embeddings=42, type_vocab_size=1)),
    "distilbert": lambda: DistilBertModel(
        DistilBertConfig(vocab_size=99, dim=32, n_layers=3, n_heads=4, hidden_dim=64, max_position_embeddings=40)
    ),
}


def batch(rows=5, longest=17, seed=3):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, longest + 1, (rows,), generator=generator)
    lengths[0] = longest
    mask = torch.arange(longest) < lengths[:, None]
    ids = torch.randint(5, 99, (rows, longest), generator=generator)
    return ids, mask


def shape(**changes):
    fields = {"vocabulary": 99, "width": 32, "depth": 3, "heads": 4, "intermediate": 64, "positions": 40}
    return Shape(**(fields | changes))


@pytest.fixture(params=PEERS)
def pair(request):
    torch.manual_seed(0)
    peer = PEERS[request.param]().eval()
    for weight in peer.parameters():  # biases and norms start as constants, which would hide a swap
        torch.nn.init.normal_(weight, mean=0.05, std=0.1)
    return peer, Encoder.from_foreign(peer.state_dict(), peer.config.to_dict()).eval()


@torch.no_grad()
def test_equals_transformers(pair):
    peer, ours = pair
    ids, mask = batch()
    padded = ids.masked_fill(~mask, ours.shape.padding)
    theirs = peer(input_ids=padded, attention_mask=mask.long()).last_hidden_state
    torch.testing.assert_close(ours(padded, mask)[mask], theirs[mask], atol=1e-5, rtol=1e-5)


def test_gradients_equal_transformers(pair):
    peer, ours = pair
    ids, mask = batch()
    padded = ids.masked_fill(~mask, ours.shape.padding)
    aim = torch.randn(5, 17, 32)
    ((peer(input_ids=padded, attention_mask=mask.long()).last_hidden_state - aim)[mask] ** 2).mean().backward()
    ((ours(padded, mask) - aim)[mask] ** 2).mean().backward()
    theirs = next(name for name, _ in peer.named_parameters() if name.endswith("word_embeddings.weight"))
    expected = dict(peer.named_parameters())[theirs].grad.clone()
    expected[ours.shape.padding] = 0  # transformers never trains the row of the padding token
    found = ours.words.weight.grad.clone()
    found[ours.shape.padding] = 0
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_types_of_a_pair_count():
    torch.manual_seed(0)
    peer = PEERS["bert"]().eval()
    ours = Encoder.from_foreign(peer.state_dict(), peer.config.to_dict()).eval()
    ids, mask = batch()
    types = torch.randint(0, 2, ids.shape)
    theirs = peer(input_ids=ids, attention_mask=mask.long(), token_type_ids=types).last_hidden_state
    torch.testing.assert_close(ours(ids, mask, types)[mask], theirs[mask], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(ours(ids, mask, types), ours(ids, mask))


@torch.no_grad()
def test_a_prefix_and_the_rest_are_the_whole():
    encoder = Encoder(shape()).eval()
    ids, mask = batch()
    for cut in range(4):
        hidden = encoder.prefix(ids, mask, None, upto=cut)
        assert torch.equal(encoder(ids, mask, start=cut, hidden=hidden), encoder(ids, mask))


@torch.no_grad()
def test_padding_changes_nothing():
    encoder = Encoder(shape()).eval()
    ids, mask = batch()
    longer = torch.nn.functional.pad(ids, (0, 6)), torch.nn.functional.pad(mask, (0, 6))
    torch.testing.assert_close(encoder(*longer)[:, :17][mask], encoder(ids, mask)[mask], atol=1e-6, rtol=1e-5)


def run(seed):
    torch.manual_seed(seed)
    encoder = Encoder(shape()).train()
    ids, mask = batch()
    hidden = encoder(ids, mask)
    hidden[mask].square().sum().backward()
    return [hidden.detach(), *(weight.grad for weight in encoder.parameters())]


def test_same_seed_same_bits():
    first, again, other = run(1), run(1), run(2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_dropout_follows_the_default_generator():
    encoder = Encoder(shape()).train()
    ids, mask = batch()
    state = torch.get_rng_state()
    first, second = encoder(ids, mask), encoder(ids, mask)
    torch.set_rng_state(state)
    assert torch.equal(encoder(ids, mask), first)
    assert torch.equal(encoder(ids, mask), second)
    assert not torch.equal(first, second)


def test_vocabulary_grows():
    encoder = Encoder(shape()).eval()
    ids, mask = batch()
    before = encoder(ids, mask)
    encoder.resize_vocabulary(4)
    assert encoder.words.weight.shape == (103, 32)
    assert torch.equal(encoder(ids, mask), before)
    assert encoder(torch.full((1, 3), 102), torch.ones(1, 3, dtype=torch.bool)).isfinite().all()


def test_window_leaves_room_for_the_offset():
    assert Encoder(shape(positions=42, position_offset=2, padding=1)).window == 40
    with pytest.raises(ValueError, match="window of 40"):
        Encoder(shape()).embed(torch.zeros(1, 41, dtype=torch.long), None, torch.ones(1, 41, dtype=torch.bool))


def test_foreign_names_go_there_and_back():
    from metier.models.foreign import foreign_weights

    peer = PEERS["bert"]()
    config = peer.config.to_dict()
    back = foreign_weights(Encoder.from_foreign(peer.state_dict(), config).state_dict(), config)
    theirs = peer.state_dict()
    assert all(torch.equal(theirs[name], weight) for name, weight in back.items())
    assert set(theirs) - set(back) == {"pooler.dense.weight", "pooler.dense.bias"}


def test_what_cannot_be_read_is_said():
    with pytest.raises(BackboneError, match="family 'gpt2'"):
        Encoder.from_foreign({}, {"model_type": "gpt2"})
    peer = PEERS["bert"]()
    state = peer.state_dict()
    del state["encoder.layer.1.output.dense.bias"]
    with pytest.raises(BackboneError, match=r"encoder\.layer\.1\.output\.dense\.bias"):
        Encoder.from_foreign(state, peer.config.to_dict())
    with pytest.raises(BackboneError, match="heads"):
        shape(heads=5)
    with pytest.raises(BackboneError, match="activation"):
        shape(activation="snake")

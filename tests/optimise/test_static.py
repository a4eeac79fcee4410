"""Bags of tokens, and the static student before and while it is fitted."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from train.regularised import scene

from metier.errors import RecipeError
from metier.models.bags import BREAK, Bags
from metier.models.table import Table
from metier.models.tokeniser import Tokeniser
from metier.optimise.static import Plan, Static, arrays, components, counted, sif, static, token_vectors
from metier.train.optimiser import Optimiser
from metier.types import Document


def slow(bags: Bags, texts: list[list[int]]) -> list[list[int]]:
    """The rows of texts, one token after the other."""
    found = []
    for text in texts:
        rows = []
        for at, token in enumerate(text):
            if token == BREAK or token in bags.skip:
                continue
            rows.append(token)
            if bags.buckets and at + 1 < len(text) and text[at + 1] != BREAK and text[at + 1] not in bags.skip:
                mixed = (token + 1) * 0x9E3779B1 + text[at + 1]
                rows.append(bags.vocabulary + (mixed ^ (mixed >> 15)) % bags.buckets)
        found.append(rows)
    return found


@pytest.mark.parametrize("buckets", [0, 7, 1000])
@pytest.mark.parametrize("skip", [(), (2, 3)])
def test_bags(buckets, skip):
    rng = np.random.default_rng(4)
    texts = [rng.integers(-1, 9, size=size).tolist() for size in (5, 0, 1, 12, 0, 0, 3, 40, 0)]
    bags = Bags(9, buckets, skip)
    bounds = np.cumsum([0, *map(len, texts)])
    rows, ends = bags(np.array([token for text in texts for token in text]), bounds)
    assert [rows[a:b].tolist() for a, b in zip(ends[:-1], ends[1:], strict=True)] == slow(bags, texts)
    assert rows.dtype == np.int32 and (not len(rows) or rows.max() < bags.rows)
    empty, ends = bags(np.zeros(0, dtype=np.int64), np.zeros(3, dtype=np.int64))
    assert not len(empty) and ends.tolist() == [0, 0, 0]


def test_pairs_fall_evenly_into_buckets():
    bags = Bags(3000, 4096)
    ids = np.random.default_rng(1).integers(0, 3000, 40_001)
    rows, _ = bags(ids, np.array([0, len(ids)]))
    counts = np.bincount(rows[rows >= 3000] - 3000, minlength=4096)
    assert counts.sum() == 40_000 and counts.max() < 40 and (counts == 0).mean() < 0.01
    assert len({int(bags(np.array(pair), np.array([0, 2]))[0][1]) for pair in ([5, 6], [6, 5], [5, 7], [4, 6])}) == 4


# -- where it starts from ----------------------------------------------------------------------------------------
def test_components():
    torch.manual_seed(2)
    basis = np.linalg.qr(np.random.default_rng(3).normal(size=(6, 6)))[0]
    spread = np.array([9.0, 5.0, 2.0, 0.1, 0.01, 0.0])
    vectors = 7.0 + (np.random.default_rng(5).normal(size=(500, 6)) * spread) @ basis.T
    found = components(vectors, 3)
    assert found.shape == (500, 3) and np.square(found).mean() == pytest.approx(1.0, rel=1e-4)
    np.testing.assert_allclose(found.mean(axis=0), 0.0, atol=1e-4)
    shares = found.std(axis=0)
    np.testing.assert_allclose(shares / shares[0], spread[:3] / spread[0], rtol=0.1)
    whole = components(vectors, 6)
    gaps = (np.linalg.norm(array[0] - array[1:], axis=1) for array in (whole, vectors))
    one, other = gaps
    np.testing.assert_allclose(one / one.sum(), other / other.sum(), rtol=1e-3)


def test_weights_by_frequency():
    weights = sif(np.array([0, 10, 1000, 100_000]), 1e-3)
    assert (np.diff(weights) < 0).all() and 0 < weights[-1] < 0.01 < 0.9 < weights[0] < 1


def test_tokens_say_what_they_say_alone(toy_backbone):
    terms, _ = scene(toy_backbone, "classify")
    network, tokeniser = terms.network, tokeniser_of(toy_backbone)
    found = token_vectors(network, tokeniser, lambda tokens: None)
    table = Table.of([Document("rises")], tokeniser, network.tasks)
    batch = table.plain(np.arange(1))
    with torch.no_grad():
        wanted = network.pool(network.encode(batch), batch.mask)
    np.testing.assert_allclose(found[table.rows.ids[1]], wanted[0], atol=1e-6)
    assert len(found) == network.encoder.vocabulary


def tokeniser_of(folder) -> Tokeniser:
    return Tokeniser.read(folder / "tokenizer.json", max_length=64)


def made(folder, *heads, plan=None):
    """A static student, and a batch of texts of different lengths."""
    terms, batch = scene(folder, *(heads or ("classify",)))
    tokeniser = tokeniser_of(folder)
    plan = plan or Plan(width=16, buckets=50, hidden=8, drop=0.0)
    torch.manual_seed(1)
    counts = np.bincount(batch.ids[batch.mask].numpy(), minlength=terms.network.encoder.vocabulary)
    return static(terms.network, tokeniser, plan, counts), replace(terms), batch


def test_the_mean_of_a_text(toy_backbone):
    network, _, batch = made(toy_backbone)
    encoder = network.encoder.eval()
    assert isinstance(encoder, Static) and len(encoder.bags.skip) == 2 and not encoder.narrow.weight.any()
    with torch.no_grad():
        for weight in encoder.parameters():
            torch.nn.init.normal_(weight, std=0.3)
        found = network.encode(batch)
    assert found.shape == (8, 1, 16)
    vectors, weights = encoder.words.weight.detach().numpy(), encoder.weights.detach().exp().numpy()
    for row in range(8):
        ids = batch.ids[row][batch.mask[row]].tolist()
        rows = slow(encoder.bags, [ids])[0]
        assert len(rows) == 2 * (len(ids) - 2) - 1
        mean = (weights[rows, None] * vectors[rows]).sum(0) / weights[rows].sum()
        mean = mean / np.sqrt(np.square(mean).mean() + 1e-6)
        inner = np.maximum(encoder.widen.weight.detach().numpy() @ mean + encoder.widen.bias.detach().numpy(), 0)
        wanted = mean + encoder.narrow.weight.detach().numpy() @ inner
        np.testing.assert_allclose(found[row, 0], wanted, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(network.pool(found, batch.mask), found[:, 0])


def test_padding_and_texts_without_tokens_change_nothing(toy_backbone):
    network, _, batch = made(toy_backbone)
    network.eval()
    with torch.no_grad():
        whole = network(batch)["classify"]
        alone = replace(batch, ids=batch.ids[1:2, :5], mask=batch.mask[1:2, :5], types=batch.types[1:2, :5])
        assert bool(alone.mask.all()) and not bool(batch.mask[1, 5:].any())
        np.testing.assert_allclose(network(alone)["classify"], whole[1:2], atol=1e-6)
        empty = replace(batch, mask=batch.mask & (torch.arange(batch.mask.shape[1]) < 1))
        said = network(empty)["classify"]
    assert torch.isfinite(said).all() and torch.equal(said[0], said[1])


def test_what_is_left_out_while_it_is_fitted(toy_backbone):
    network, _, batch = made(toy_backbone, plan=Plan(width=16, buckets=0, hidden=0, drop=0.5))
    network.train()
    torch.manual_seed(3)
    drawn = [network.encode(batch) for _ in range(2)]
    assert not torch.equal(*drawn)
    torch.manual_seed(3)
    assert torch.equal(network.encode(batch), drawn[0])
    network.eval()
    assert torch.equal(network.encode(batch), network.encode(batch))


def test_rows_are_fitted_as_a_dense_table_would_be(toy_backbone):
    network, terms, batch = made(toy_backbone)
    twin, _, _ = made(toy_backbone)
    for one, rows in ((network, [network.encoder.words]), (twin, [])):
        optimiser = Optimiser(one, lr=0.05, row_modules=rows)
        for step in range(4):
            torch.manual_seed(step)
            part = slice(0, 4) if step % 2 else slice(4, 8)
            own = replace(batch, ids=batch.ids[part], mask=batch.mask[part])
            logits = one.train()(own)["classify"]
            loss = torch.nn.functional.cross_entropy(logits, batch.targets["classify"][part])
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
        optimiser.close()
    np.testing.assert_allclose(network.encoder.words.weight.detach(), twin.encoder.words.weight.detach(), atol=1e-5)
    changed = network.encoder.words.weight.detach()[network.encoder.bags.vocabulary :].any(1)
    assert 0 < int(changed.sum()) < network.encoder.bags.buckets  # pairs of neighbours, that started at 0


def test_arrays_are_all_that_is_needed(toy_backbone):
    network, _, _ = made(toy_backbone, "classify", "multilabel", "score")
    found = arrays(network)
    assert found["vectors"].dtype == np.float16 and found["vectors"].shape == (network.encoder.bags.rows, 16)
    assert [len(found[f"heads.{at}"]) for at in range(3)] == [3, 2, 1]
    assert sorted(found) == sorted(
        ["vectors", "weights", "widen", "widen_bias", "narrow"]
        + [f"heads.{at}{part}" for at in range(3) for part in ("", ".bias")]
    )
    plain, _, _ = made(toy_backbone, plan=Plan(width=0, buckets=0, hidden=0))
    assert sorted(arrays(plain)) == ["heads.0", "heads.0.bias", "vectors", "weights"]
    assert arrays(plain)["vectors"].shape[1] == 32  # as wide as the teacher


@pytest.mark.parametrize("head", ["tag", "relate", "embed"])
def test_heads_that_need_more_than_a_vector(head, toy_backbone):
    with pytest.raises(RecipeError, match=rf"one vector a text and cannot answer for {head} \({head}\)"):
        made(toy_backbone, head)


def test_tokens_are_counted(toy_backbone):
    tokeniser = tokeniser_of(toy_backbone)
    tables = [Table.of([Document("rises rises"), Document("rises falls")], tokeniser, {})] * 2
    counts = counted(tables, tokeniser.tokenizer.get_vocab_size())
    assert counts[tokeniser.tokenizer.token_to_id("rises")] == 6 and counts.sum() == 2 * 8

"""A vocabulary is trimmed, and no text of the corpus is cut into other pieces than before."""

import json
import random

import numpy as np
import pytest
import torch
import toy
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from metier.errors import RunError
from metier.models import backbone as backbones
from metier.models.backbone import build_encoder, describe_encoder
from metier.models.encoder import Encoder, Shape
from metier.models.hub import HubEncoder
from metier.models.tokeniser import Tokeniser
from metier.optimise import vocabulary
from metier.types import Document

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def texts(seed, count=200):
    rng = random.Random(seed)
    words = [*toy.GOOD, *toy.BAD, *toy.PLACES, *toy.FILLER]
    letters = "abcdefghijklmnopqrstuvwxyz"
    made = []
    for _ in range(count):
        chosen = [*rng.sample(words, 5), "".join(rng.choices(letters, k=5)), "".join(rng.choices(toy.CHINESE, k=4))]
        rng.shuffle(chosen)
        made.append(" ".join(chosen))
    return made


def trained(kind):
    """A tokenizer that learned its vocabulary from texts."""
    if kind == "word pieces":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=600, special_tokens=SPECIAL)
    elif kind == "unigram":
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(vocab_size=400, special_tokens=SPECIAL, unk_token="[UNK]")
    elif kind == "bytes":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=SPECIAL, initial_alphabet=alphabet)
    else:
        tokenizer = Tokenizer(models.BPE(unk_token="[UNK]", end_of_word_suffix="</w>"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=SPECIAL, end_of_word_suffix="</w>")
    tokenizer.train_from_iterator(texts(1), trainer)
    return surrounded(tokenizer)


def surrounded(tokenizer):
    numbers = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.Sequence(
        [processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=numbers)]
    )
    return tokenizer


def pieces(tokenizer, text):
    return tokenizer.encode(text, "and another").tokens


KINDS = ("word pieces", "unigram", "bytes", "byte pairs")


@pytest.mark.parametrize("kind", KINDS)
def test_the_corpus_has_the_same_pieces_and_no_text_becomes_unknown(kind):
    whole = Tokeniser(trained(kind), max_length=64)
    whole.add(["<e1>", "</e1>"])
    corpus = [Document(f"{text} <e1> {text[:9]}", pair=text[::-1]) for text in texts(1, 8)]
    found = vocabulary.trim(whole, corpus, {})
    size = found.tokeniser.tokenizer.get_vocab_size()
    assert size == len(found.kept) < 0.8 * whole.tokenizer.get_vocab_size() and (np.diff(found.kept) > 0).all()
    old, new = whole.tokenizer, found.tokeniser.tokenizer
    assert [new.id_to_token(at) for at in range(size)] == [old.id_to_token(int(at)) for at in found.kept]
    before, after = whole.rows(corpus, offsets=True), found.tokeniser.rows(corpus, offsets=True)
    assert np.array_equal(found.kept[after.ids], before.ids) and np.array_equal(after.start, before.start)
    for text in texts(2):
        assert pieces(new, text).count("[UNK]") <= pieces(old, text).count("[UNK]")
        assert "".join(new.encode(text, add_special_tokens=False).tokens).replace("##", "") == "".join(
            old.encode(text, add_special_tokens=False).tokens
        ).replace("##", "")  # all that was said is said still
    assert any(pieces(new, text) != pieces(old, text) for text in texts(2))
    for name in (*SPECIAL, "<e1>"):
        assert new.token_to_id(name) is not None
    assert "<e1>" in new.encode("to <e1> or not").tokens
    assert pieces(new, "a [SEP]").count("[SEP]") == pieces(old, "a [SEP]").count("[SEP]")  # typed by a user: text
    assert found.tokeniser.layout.before.tolist() == [new.token_to_id("[CLS]")]


@pytest.mark.parametrize("kind", KINDS)
def test_trimming_twice_changes_nothing_more(kind):
    corpus = [Document(text) for text in texts(1, 8)]
    once = vocabulary.trim(Tokeniser(trained(kind), max_length=64), corpus, {})
    again = vocabulary.trim(once.tokeniser, corpus, {})
    assert list(again.kept) == list(range(len(once.kept)))


def test_merges_are_kept_with_all_that_they_need():
    whole = trained("byte pairs")
    found = vocabulary.trim(Tokeniser(whole, max_length=64), [Document("shares market profit")], {})
    model = json.loads(found.tokeniser.tokenizer.to_str())["model"]
    assert 0 < len(model["merges"]) < len(json.loads(whole.to_str())["model"]["merges"])
    assert (
        found.tokeniser.tokenizer.encode("shares").tokens[1:-1] == whole.encode("shares").tokens[1:-1] == ["shares</w>"]
    )


def test_chinese_characters_stay(toy_backbone):
    whole = Tokeniser(backbones.load_tokenizer(backbones.find(str(toy_backbone))), max_length=64)
    found = vocabulary.trim(whole, [Document("公司 profit")], {})
    text = "股市上涨，公司亏损 weak"
    was, now = whole.tokenizer.encode(text).tokens, found.tokeniser.tokenizer.encode(text).tokens
    assert now[:4] == was[:4] == ["[CLS]", "股", "市", "上"] and now.count("[UNK]") == was.count("[UNK]") == 1
    assert "profit" in found.tokeniser.tokenizer.get_vocab() and "weak" not in found.tokeniser.tokenizer.get_vocab()


def test_pieces_that_no_chinese_text_can_have_go():
    names = [*SPECIAL, "股", "##股", "a", "##a", "市", "##é"]
    tokenizer = Tokenizer(models.WordPiece({name: at for at, name in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    found = vocabulary.trim(Tokeniser(surrounded(tokenizer), max_length=32), [Document("a")], {}).tokeniser.tokenizer
    assert set(names) - found.get_vocab().keys() == {"##股"}
    assert found.encode("a股aé股市").tokens == tokenizer.encode("a股aé股市").tokens
    tokenizer.normalizer = normalizers.BertNormalizer(handle_chinese_chars=False)
    kept = vocabulary.trim(Tokeniser(tokenizer, max_length=32), [Document("a")], {}).tokeniser.tokenizer
    assert "##股" in kept.get_vocab()


def test_a_word_that_was_unknown_stays_unknown():
    names = [*SPECIAL, "a", "b", "x", "##a", "##b", "##x", "ab", "##yb", "##bz", "q"]
    tokenizer = Tokenizer(models.WordPiece({name: at for at, name in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    whole = Tokeniser(surrounded(tokenizer), max_length=32)
    assert tokenizer.encode("abz").tokens[1:-1] == ["[UNK]"]  # "ab" leaves "##z", though "a" and "##bz" would do
    found = vocabulary.trim(whole, [Document("abz"), Document("axyb")], {})
    assert found.tokeniser.tokenizer.encode("abz").tokens[1:-1] == ["[UNK]"]
    assert found.tokeniser.tokenizer.encode("axyb").tokens[1:-1] == ["a", "##x", "##yb"]
    assert "ab" in found.tokeniser.tokenizer.get_vocab()
    other = vocabulary.trim(whole, [Document("q")], {}).tokeniser.tokenizer
    assert "ab" not in other.get_vocab() and "##yb" in other.get_vocab()


def test_bytes_that_unknown_characters_fall_back_to_stay():
    scores = [("<unk>", 0.0), *((f"<0x{at:02X}>", -9.0) for at in range(256)), ("a", -2.0), ("b", -2.0), ("ab", -3.0)]
    tokenizer = Tokenizer(models.Unigram([*scores, ("rare", -20.0), ("bb", -3.5)], 0, True))
    found = vocabulary.trim(Tokeniser(tokenizer, max_length=32), [Document("ab")], {}).tokeniser.tokenizer
    assert found.encode("é").tokens == tokenizer.encode("é").tokens == ["<0xC3>", "<0xA9>"]
    assert found.get_vocab_size() == 262 - 1 and "bb" not in found.get_vocab() and "rare" in found.get_vocab()


def test_rows_of_the_embedding_go_with_their_tokens(toy_backbone):
    backbone = backbones.find(str(toy_backbone))
    whole, encoder = Tokeniser(backbones.load_tokenizer(backbone), max_length=64), backbones.load_encoder(backbone)
    whole.add(["<mark>"])
    encoder.resize_vocabulary(1)
    corpus = [Document("Berlin <mark> gains profit"), Document("weak 12")]
    found = vocabulary.trim(whole, corpus, {})

    def hidden(tokeniser):
        rows = tokeniser.rows(corpus[:1])
        ids = torch.from_numpy(rows.ids.astype(np.int64))[None]
        with torch.no_grad():
            return encoder.eval()(ids, torch.ones_like(ids, dtype=torch.bool))

    before = hidden(whole)
    vocabulary.cut(encoder, found.kept)
    assert encoder.vocabulary == encoder.shape.vocabulary == len(found.kept) < whole.tokenizer.get_vocab_size()
    assert torch.equal(hidden(found.tokeniser), before)
    assert encoder.words.weight.requires_grad


def test_the_padding_of_a_shape_is_renumbered():
    encoder = Encoder(Shape(10, 8, 1, 2, 16, 8, padding=3))
    vocabulary.cut(encoder, np.array([1, 3, 7]))
    assert encoder.shape.padding == 1 and encoder.vocabulary == 3


def test_a_tokenizer_of_whole_words_is_refused():
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    with pytest.raises(RunError, match="WordLevel tokenizer cannot be trimmed.*BPE, Unigram, WordPiece"):
        vocabulary.trim(Tokeniser(tokenizer, max_length=32), [Document("a")], {})


def test_an_encoder_of_transformers_loses_rows_too(toy_backbone):
    from transformers import AutoConfig

    whole = Tokeniser(backbones.load_tokenizer(backbones.find(str(toy_backbone))), max_length=64)
    sizes = {"embedding_size": 16, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = AutoConfig.for_model("electra", vocab_size=whole.tokenizer.get_vocab_size(), intermediate_size=64, **sizes)
    encoder = HubEncoder.build(config.to_dict()).eval()
    found = vocabulary.trim(whole, [Document("Berlin gains profit")], {})

    def hidden(tokeniser, encoder):
        ids = torch.from_numpy(tokeniser.rows([Document("profit gains")]).ids.astype(np.int64))[None]
        with torch.no_grad():
            return encoder(ids, torch.ones_like(ids, dtype=torch.bool), torch.zeros_like(ids))

    before = hidden(whole, encoder)
    vocabulary.cut(encoder, found.kept)
    again = build_encoder(describe_encoder(encoder)).eval()
    again.load_state_dict(encoder.state_dict())
    for one in (encoder, again):
        assert one.vocabulary == len(found.kept) < len(whole.tokenizer.get_vocab())
        assert torch.allclose(hidden(found.tokeniser, one), before, atol=1e-6)
    assert encoder.model.config.pad_token_id == 0

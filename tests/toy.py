"""A backbone and data sets small enough to fit in a second: real files, read by the real code."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

GOOD = ["rises", "gains", "wins", "grows", "beats", "record", "profit", "strong"]
BAD = ["falls", "loses", "sinks", "warns", "misses", "fraud", "loss", "weak"]
PLACES = ["Berlin", "Paris", "Lima", "Oslo", "Rome", "Kyoto"]
FILLER = "the a of shares company today market after on report and its bank results in".split()  # noqa: SIM905
CHINESE = "股市上涨下跌公司利润亏损北京市好坏"


def backbone(folder: Path, *, layers: int = 2, width: int = 32) -> Path:
    """A BERT encoder with random weights and a word-piece tokenizer, in Hugging Face layout."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = list("abcdefghijklmnopqrstuvwxyz0123456789.,'-<>/")
    words = [word.lower() for word in [*GOOD, *BAD, *PLACES, *FILLER]]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *letters, *(f"##{x}" for x in letters), *CHINESE]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=2 * width,
        max_position_embeddings=64,
    )
    with torch.random.fork_rng():
        torch.manual_seed(7)
        BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def sentence(rng: random.Random, words: list[str]) -> str:
    """Filler with two telling words and a number, so that no two are the same."""
    chosen = [*rng.sample(FILLER, 4), *rng.sample(words, 2)]
    rng.shuffle(chosen)
    return " ".join([*chosen, str(rng.randrange(10**6))])


def news(path: Path, rows: int = 120, seed: int = 1) -> Path:
    """Two heads: `sentiment` from the telling words, `place` from the city named; a `split` column."""
    rng = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "sentiment", "place", "split"])
        for row in range(rows):
            mood, words = ("positive", GOOD) if row % 2 else ("negative", BAD)
            place = PLACES[row % 3]
            split = "train" if row < rows * 0.6 else "valid" if row < rows * 0.8 else "test"
            writer.writerow([f"{place} {sentence(rng, words)}", mood, place, split])
    return path


def cities(folder: Path, rows: int = 90, seed: int = 2) -> Path:
    """A tagging data set in CoNLL: cities are B-LOC."""
    rng = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in (("train", rows), ("valid", rows // 3), ("test", rows // 3)):
        blocks = []
        for _ in range(count):
            words = [*rng.sample(FILLER, 5), str(rng.randrange(10**6))]
            words.insert(rng.randrange(len(words)), rng.choice(PLACES))
            blocks.append("\n".join(f"{word}\t{'B-LOC' if word in PLACES else 'O'}" for word in words))
        (folder / f"{name}.conll").write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    return folder


def lines(path: Path, rows: list[dict[str, object]]) -> Path:
    """A JSONL file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path

"""Tiny language models with weights of their own: a masked and a causal one."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch
import toy
from tokenizers import Tokenizer
from transformers import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast


def masked(folder: Path, *, steps: int = 0) -> Path:
    """A `BertForMaskedLM`, fitted to say "profit" of texts with good words and "loss" of those with bad ones."""
    toy.backbone(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    config = BertConfig.from_pretrained(
        folder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, initializer_range=0.2
    )
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = BertForMaskedLM(config)
        if steps:
            _fit(model, tokenizer, steps)
    model.save_pretrained(folder)
    return folder


def _fit(model: Any, tokenizer: Tokenizer, steps: int) -> None:
    rng, words = random.Random(2), ("profit", "loss")
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    mask = tokenizer.token_to_id("[MASK]")
    for _ in range(steps):
        rows, targets = [], []
        for _ in range(16):
            side = rng.randrange(2)
            kind = [word for word in (toy.BAD if side else toy.GOOD) if word not in words]
            text = toy.sentence(rng, kind)
            rows.append([*tokenizer.encode(f"{text} the report is").ids[:-1], mask, tokenizer.token_to_id("[SEP]")])
            targets.append(tokenizer.token_to_id(words[side]))
        ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
        logits = model(input_ids=ids, attention_mask=(ids > 0).long()).logits
        loss = torch.nn.functional.cross_entropy(logits[ids == mask], torch.tensor(targets))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()


def causal(folder: Path) -> Path:
    """A GPT-2 with random weights and the toy's tokenizer."""
    toy.backbone(folder)
    for file in folder.glob("*.safetensors"):
        file.unlink()
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), pad_token="[PAD]")
    config = GPT2Config(
        vocab_size=tokenizer.vocab_size, n_positions=96, n_embd=32, n_layer=2, n_head=4, bos_token_id=2, eos_token_id=3
    )
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = GPT2LMHeadModel(config)
    (folder / "config.json").unlink()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder

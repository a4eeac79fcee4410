"""What the setfit package does, as its documentation says; run by `benchmarks.setfit` in the peers' environment.

Reads JSON from stdin: `model` (a folder), `train`, `test` (lists of text and label), `seed`, `threads`, `folder`,
`iterations` (pairs a text and kind). Writes one line of JSON: accuracy, CPU seconds of the fit.
"""

from __future__ import annotations

import json
import sys
import time

import torch
from datasets import Dataset
from setfit import SetFitModel, Trainer, TrainingArguments


def main() -> None:
    """Fits and judges."""
    asked = json.load(sys.stdin)
    torch.set_num_threads(asked["threads"])
    labels = sorted({label for _, label in asked["train"]})
    train, test = (
        Dataset.from_dict({"text": [text for text, _ in rows], "label": [labels.index(label) for _, label in rows]})
        for rows in (asked["train"], asked["test"])
    )
    start = time.process_time()
    model = SetFitModel.from_pretrained(asked["model"])
    arguments = TrainingArguments(
        output_dir=asked["folder"], seed=asked["seed"], save_strategy="no", report_to="none",
        num_iterations=asked["iterations"],
    )  # fmt: skip
    trainer = Trainer(model=model, args=arguments, train_dataset=train)
    trainer.train()
    seconds = time.process_time() - start
    found = model.predict(test["text"])
    right = sum(int(a) == int(b) for a, b in zip(found, test["label"], strict=True))
    print(json.dumps({"accuracy": right / len(test), "seconds": seconds}))


if __name__ == "__main__":
    main()
